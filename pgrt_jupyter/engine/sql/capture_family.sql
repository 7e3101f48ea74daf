-- Purpose: list the tables whose writes can change what these relations show: the relation itself and
--   every member of the partition or inheritance trees it stands in. Takes no lock.
-- Parameters: oids (oid[]).
-- Result: start (the oid asked for), oid, root (has no parent), schema, name, kind, columns (name ->
--   {"size": typlen}), opaque (names of columns whose type is not PostgreSQL's own), key (primary key
--   columns), plain_key (there is one, and the text of its values depends on no setting), subscribed (fed by logical replication), above_foreign (a foreign table stands below it),
--   owned (by this role), source (body of our function; NULL when it is missing, or it or what it calls
--   is not as we made it), image (body of the function it calls, likewise), triggers (name -> tgenabled of ours; none that would not fire always), stamp
--   (differs once function or triggers were put in place anew, or all rows were written anew: what
--   happened before was not announced).
WITH RECURSIVE member(start, oid) AS (
    SELECT o, o FROM pg_catalog.unnest(%(oids)s::oid[]) AS o
  UNION
    SELECT m.start, CASE WHEN i.inhrelid = m.oid THEN i.inhparent ELSE i.inhrelid END
    FROM member AS m
    JOIN pg_catalog.pg_inherits AS i ON m.oid IN (i.inhrelid, i.inhparent)
), ours(oid, owner, image) AS (
    -- Our functions run with their owner's rights, so nothing they touch may be anybody else's.
    SELECT n.oid, n.nspowner, p.prosrc
    FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'image'
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'changes'
    WHERE n.nspname = '_pgrt' AND p.proowner = n.nspowner AND c.relowner = n.nspowner
      AND NOT p.prosecdef
      AND 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig)
      AND c.relkind = 'r' AND NOT c.relrowsecurity
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid)
)
SELECT m.start, c.oid, s.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) AS root,
       (SELECT coalesce(json_agg(json_build_array(a.attname, a.attlen) ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid >= 16384) AS opaque,
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.pg_index AS i
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts
             ORDER BY k.place) AS key,
       coalesce((SELECT bool_and(a.atttypid = ANY ('{int2,int4,int8,text,varchar,uuid,date}'::regtype[]::oid[])
                                 AND (k.collisdeterministic IS NOT FALSE))
                 FROM pg_catalog.pg_index AS i
                 JOIN pg_catalog.pg_attribute AS a
                   ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                 LEFT JOIN pg_catalog.pg_collation AS k ON k.oid = a.attcollation
                 WHERE i.indrelid = c.oid AND i.indisprimary), false) AS plain_key,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS r WHERE r.srrelid = c.oid) AS subscribed,
       EXISTS (WITH RECURSIVE below(oid) AS (
                   SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid
                 UNION
                   SELECT i.inhrelid FROM below AS b
                   JOIN pg_catalog.pg_inherits AS i ON i.inhparent = b.oid)
               SELECT FROM below AS b JOIN pg_catalog.pg_class AS f ON f.oid = b.oid
               WHERE f.relkind = 'f') AS above_foreign,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
       CASE WHEN p.proowner = ours.owner AND p.prosecdef AND l.lanname = 'plpgsql'
             AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
            THEN p.prosrc END AS source,
       ours.image,
       (SELECT coalesce(jsonb_object_agg(t.tgname, t.tgenabled::text), '{}')
        FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = c.oid AND t.tgfoid = p.oid
          AND t.tgqual IS NULL AND t.tgattr::text = '') AS triggers,
       -- Rewriting a table empties it for a run that began before and waited for it.
       pg_catalog.concat_ws(',', c.relfilenode, p.oid, p.xmin,
         (SELECT pg_catalog.string_agg(t.oid || ':' || t.xmin::text, ',' ORDER BY t.oid)
          FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = p.oid)) AS stamp
FROM member AS m
JOIN pg_catalog.pg_class AS c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = '_pgrt'
LEFT JOIN ours ON ours.oid = n.oid
LEFT JOIN pg_catalog.pg_proc AS p
  ON p.pronamespace = n.oid AND p.proname = 'capture_' || c.oid
LEFT JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
ORDER BY m.start, c.oid
