-- Purpose: forget images that every engine has had time to read: those committed before an old snapshot;
--   and marks after an hour.
-- Parameters: before (pg_snapshot as text).
DELETE FROM _pgrt.changes AS c
WHERE c.xid < pg_catalog.pg_snapshot_xmax(%(before)s::pg_catalog.pg_snapshot)
  AND pg_catalog.pg_visible_in_snapshot(c.xid, %(before)s::pg_catalog.pg_snapshot)
  AND CASE WHEN c.operation = '?'
           THEN (c.new #>> '{}')::timestamptz < pg_catalog.now() - interval '1 hour'
           ELSE true END
