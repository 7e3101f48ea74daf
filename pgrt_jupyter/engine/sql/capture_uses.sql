-- Purpose: list the triggers that use one of our functions. Parameters: name.
-- Result: triggers (text[], "name on table"; a table in public goes by its bare name). No row: no such function.
SELECT ARRAY(SELECT pg_catalog.format(CASE WHEN n.nspname = 'public' THEN '%%1$s on %%3$I'
                                           ELSE '%%1$s on %%2$I.%%3$I' END,
                                      t.tgname, n.nspname, c.relname)
             FROM pg_catalog.pg_trigger AS t
             JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE t.tgfoid = p.oid ORDER BY 1)
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS s ON s.oid = p.pronamespace
WHERE s.nspname = '_pgrt' AND p.proname = %(name)s
