-- Purpose: make the function that writes one row as an object, whatever the writer's settings are: "v" maps
--   columns to values, "h" columns to the SHA-256 of a value over 5,000 bytes. Its caller hands over what
--   is not of PostgreSQL's own types as text: to_jsonb would call a cast to json that others have made.
CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1' AS {body};
REVOKE ALL ON FUNCTION _pgrt.image(record) FROM PUBLIC
