-- Purpose: make the schema that holds everything of ours, with the table of row images.
-- Dropping it with CASCADE removes every trigger too. Run only where it is missing or incomplete.
CREATE SCHEMA IF NOT EXISTS _pgrt;
COMMENT ON SCHEMA _pgrt IS 'pgrt_jupyter: announces changes to live queries. DROP SCHEMA _pgrt CASCADE removes all of it.';

-- Images of changed rows, written only while a live query with a row filter waits for them.
CREATE UNLOGGED TABLE IF NOT EXISTS _pgrt.changes (
    xid       xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    relation  oid NOT NULL,
    operation "char" NOT NULL,  -- I, U or D
    old       jsonb,
    new       jsonb
);
CREATE INDEX IF NOT EXISTS changes_xid ON _pgrt.changes (xid);
REVOKE ALL ON TABLE _pgrt.changes FROM PUBLIC;

-- One row as {"v": {column: value}, "h": {column: SHA-256 of a value over 5,000 bytes}},
-- whatever the writer's settings are.
CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1'
AS $image$
BEGIN
  RETURN (
    SELECT pg_catalog.jsonb_build_object(
      'v', coalesce(pg_catalog.jsonb_object_agg(f.key, f.value) FILTER (WHERE NOT f.large), '{}'),
      'h', coalesce(pg_catalog.jsonb_object_agg(
             f.key, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(f.value #>> '{}', 'UTF8')), 'hex')
           ) FILTER (WHERE f.large), '{}'))
    FROM (SELECT e.key, e.value,
                 coalesce(pg_catalog.octet_length(e.value #>> '{}') > 5000, false) AS large
          FROM pg_catalog.jsonb_each(pg_catalog.to_jsonb(_pgrt_row)) AS e) AS f);
END
$image$;
REVOKE ALL ON FUNCTION _pgrt.image(record) FROM PUBLIC;
