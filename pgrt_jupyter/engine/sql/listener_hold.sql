-- Purpose: say what to wait for, by holding advisory locks shared; never waits.
-- Parameters: keys (bigint[]). Result: key, held (false: a trigger was just trying that key, or another
--   program holds it exclusively).
SELECT k, pg_catalog.pg_try_advisory_lock_shared(k) FROM pg_catalog.unnest(%(keys)s::bigint[]) AS k
