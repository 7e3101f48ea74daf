-- Purpose: list our trigger functions. Result: function name.
SELECT p.proname::text
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = '_pgrt' AND p.proname ~ '^capture_[0-9]+$'
ORDER BY p.proname
