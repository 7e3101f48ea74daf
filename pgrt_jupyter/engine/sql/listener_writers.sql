-- Purpose: list the transactions that may have written to these relations and have not ended. A writer
--   keeps its table lock until then, and its rows are visible before the lock is gone. Maintenance
--   (ShareUpdateExclusive) and index builds or triggers (Share, ShareRowExclusive) change no data.
-- Parameters: oids (oid[]). Result: virtualtransaction.
SELECT DISTINCT l.virtualtransaction
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'relation' AND l.granted
  AND l.relation = ANY (%(oids)s::oid[])
  AND l.mode IN ('RowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                    WHERE d.datname = pg_catalog.current_database())
