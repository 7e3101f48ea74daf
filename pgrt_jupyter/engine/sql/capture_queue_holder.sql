-- Purpose: name the session that probably keeps the notification queue from being emptied: a listener
--   reads nothing while it is in a transaction. Who it is shows only to roles that may see it.
-- Result: a text; no row when no such session can be seen.
SELECT pg_catalog.format('pid %s (%s, database %s) has been idle in a transaction since %s',
                         a.pid, a.usename, a.datname, pg_catalog.to_char(a.xact_start, 'HH24:MI:SS'))
FROM pg_catalog.pg_stat_activity AS a
WHERE a.state LIKE 'idle in transaction%' AND a.pid <> pg_catalog.pg_backend_pid()
ORDER BY a.xact_start LIMIT 1
