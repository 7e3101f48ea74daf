-- Purpose: name a session that keeps triggers from being put on a table: one that holds a lock which
--   CREATE TRIGGER conflicts with. The program shows only to roles that may see it.
-- Parameters: %(oid)s the table.
-- Result: a text; no row when nobody does any more.
SELECT pg_catalog.format('process %%s', l.pid)
       || COALESCE(NULLIF(pg_catalog.format(' (%%s)', NULLIF(a.application_name, '')), ' ()'), '')
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.relation = %(oid)s
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                    WHERE d.datname = pg_catalog.current_database())
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND l.pid <> pg_catalog.pg_backend_pid()
ORDER BY a.xact_start NULLS LAST, l.pid LIMIT 1
