-- Purpose: read which rows of some relations changed since an earlier snapshot, and the snapshot of now. Runs in
--   the transaction that reads the result, under the user's search path: hence every operator's schema.
-- Parameters (composed): since (pg_snapshot as text), relations (oid[]).
-- Result: the snapshot (text) in each row, and relation, operation, keys (K: an array of objects, text), old
--   and new values (images: objects, text), hashed (an image lacks values); one row of NULLs beside the
--   snapshot when there is nothing new.
SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text, c.relation, c.operation::pg_catalog.text,
       CASE WHEN c.operation OPERATOR(pg_catalog.=) 'K' THEN c.new::pg_catalog.text END,
       CASE WHEN c.operation OPERATOR(pg_catalog.<>) 'K'
            THEN (c.old OPERATOR(pg_catalog.->) 'v')::pg_catalog.text END,
       CASE WHEN c.operation OPERATOR(pg_catalog.<>) 'K'
            THEN (c.new OPERATOR(pg_catalog.->) 'v')::pg_catalog.text END,
       coalesce((c.old OPERATOR(pg_catalog.->) 'h') OPERATOR(pg_catalog.<>) '{{}}'::pg_catalog.jsonb, false)
         OR coalesce((c.new OPERATOR(pg_catalog.->) 'h') OPERATOR(pg_catalog.<>) '{{}}'::pg_catalog.jsonb, false)
FROM (SELECT) AS here
LEFT JOIN _pgrt.changes AS c
  ON c.xid OPERATOR(pg_catalog.>=) pg_catalog.pg_snapshot_xmin({since}::pg_catalog.pg_snapshot)
 AND NOT pg_catalog.pg_visible_in_snapshot(c.xid, {since}::pg_catalog.pg_snapshot)
 AND c.operation OPERATOR(pg_catalog.<>) '?'
 AND c.relation OPERATOR(pg_catalog.=) ANY ({relations}::pg_catalog.oid[])
