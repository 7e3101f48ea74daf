-- Purpose: list the tables whose writes can change what these relations show: the relation itself and
--   every member of the partition or inheritance trees it stands in. Takes no lock.
-- Parameters: oids (oid[]).
-- Result: start (the oid asked for), oid, root (has no parent), schema, name, kind, columns (name ->
--   {"size": typlen}), key (primary key columns), subscribed (fed by logical replication),
--   owned (by this role), source (body of our function or NULL), triggers (name -> tgenabled of ours).
WITH RECURSIVE member(start, oid) AS (
    SELECT o, o FROM pg_catalog.unnest(%(oids)s::oid[]) AS o
  UNION
    SELECT m.start, CASE WHEN i.inhrelid = m.oid THEN i.inhparent ELSE i.inhrelid END
    FROM member AS m
    JOIN pg_catalog.pg_inherits AS i ON m.oid IN (i.inhrelid, i.inhparent)
)
SELECT m.start, c.oid, s.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) AS root,
       (SELECT coalesce(json_agg(json_build_array(a.attname, a.attlen) ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.pg_index AS i
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary
             ORDER BY k.place) AS key,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS r WHERE r.srrelid = c.oid) AS subscribed,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
       p.prosrc AS source,
       (SELECT coalesce(jsonb_object_agg(t.tgname, t.tgenabled::text), '{}')
        FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = c.oid AND t.tgfoid = p.oid) AS triggers
FROM member AS m
JOIN pg_catalog.pg_class AS c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = '_pgrt'
LEFT JOIN pg_catalog.pg_proc AS p
  ON p.pronamespace = n.oid AND p.proname = 'capture_' || c.oid
ORDER BY m.start, c.oid
