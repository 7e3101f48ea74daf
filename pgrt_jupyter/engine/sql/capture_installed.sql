-- Purpose: list our trigger functions and the triggers that use them.
-- Result: function name, triggers (text[], "name on table").
SELECT p.proname, ARRAY(SELECT t.tgname || ' on ' || t.tgrelid::pg_catalog.regclass
                        FROM pg_catalog.pg_trigger AS t WHERE t.tgfoid = p.oid ORDER BY 1)
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = '_pgrt' AND p.proname ~ '^capture_[0-9]+$'
ORDER BY p.proname
