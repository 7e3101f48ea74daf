-- Purpose: read the row images that became visible since an earlier snapshot, and the snapshot of now.
-- Parameters: since (pg_snapshot as text). Result: the snapshot (text) in each row, and relation,
--   operation, old values (text), old hashes, new values, new hashes (NULL: none); one row of NULLs beside the
--   snapshot when there is nothing new.
SELECT pg_catalog.pg_current_snapshot()::text, c.relation, c.operation::text,
       (c.old -> 'v')::text, nullif(c.old -> 'h', '{}'), (c.new -> 'v')::text, nullif(c.new -> 'h', '{}')
FROM (SELECT) AS here
LEFT JOIN _pgrt.changes AS c
  ON c.xid >= pg_catalog.pg_snapshot_xmin(%(since)s::pg_catalog.pg_snapshot)
 AND NOT pg_catalog.pg_visible_in_snapshot(c.xid, %(since)s::pg_catalog.pg_snapshot)
 AND c.operation NOT IN ('?', 'K')
