-- Purpose: list the relations whose triggers could not send a notification since an earlier snapshot.
-- Parameters: since (pg_snapshot as text, or NULL: ever). Result: the snapshot of now (text), oids.
SELECT pg_catalog.pg_current_snapshot()::text,
       ARRAY(SELECT DISTINCT c.relation FROM _pgrt.changes AS c
             WHERE c.operation = '?'
               AND CASE WHEN %(since)s::text IS NULL THEN true
                        ELSE NOT pg_catalog.pg_visible_in_snapshot(
                               c.xid, %(since)s::pg_catalog.pg_snapshot) END)
