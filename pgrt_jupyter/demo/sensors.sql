-- A hundred sensors in two halls, with a minute of readings behind them.
-- Parameters: none.  Result columns: none.

CREATE SCHEMA sensors;

CREATE TABLE sensors.sensors (
    id integer PRIMARY KEY,
    hall text NOT NULL,
    level float8 NOT NULL,
    swing float8 NOT NULL,
    period float8 NOT NULL
);

CREATE TABLE sensors.readings (
    at timestamptz NOT NULL,
    sensor integer NOT NULL,
    value float8 NOT NULL,
    PRIMARY KEY (at, sensor)
);

SELECT setseed(0.25);

INSERT INTO sensors.sensors (id, hall, level, swing, period)
SELECT
    id,
    CASE WHEN id <= 50 THEN 'north' ELSE 'south' END,
    CASE WHEN id <= 50 THEN 18 ELSE 22 END + id % 50 * 0.3,
    CASE WHEN id % 10 = 0 THEN 4 ELSE 0.2 + 0.8 * random() END,
    15 + 45 * random()
FROM generate_series(1, 100) AS id;

-- What they would measure at a time: all go up and down together, each a little by itself.
CREATE FUNCTION sensors.measured(sensors.sensors, at timestamptz) RETURNS float8
RETURN $1.level + $1.swing * sin(2 * pi() * extract(epoch FROM at)::float8 / $1.period + $1.id)
    + 2 * sin(2 * pi() * extract(epoch FROM at)::float8 / 40)
    + 0.3 * (random() - 0.5);

INSERT INTO sensors.readings (at, sensor, value)
SELECT at, id, sensors.measured(sensors, at)
FROM generate_series(now() - interval '60 s', now(), interval '0.1 s') AS at, sensors.sensors
ORDER BY at, id;

ANALYZE sensors.sensors, sensors.readings;
