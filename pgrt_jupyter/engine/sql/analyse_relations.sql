-- Purpose: describe the relations that analysis found.
-- Parameters: oids (oid[]), schemas (text[]: the search path of the query).
-- Result: oid, schema, name, kind (relkind), visible, columns (attnum -> name, live ones),
--   bases (virtual generated column -> the columns it is made of), key (names of the primary key).
SELECT c.oid, s.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.oid = (SELECT f.oid
                FROM unnest(%(schemas)s::text[]) WITH ORDINALITY AS p(name, place)
                JOIN pg_catalog.pg_namespace AS n ON n.nspname = p.name
                JOIN pg_catalog.pg_class AS f ON f.relnamespace = n.oid AND f.relname = c.relname
                ORDER BY p.place LIMIT 1) AS visible,
       (SELECT coalesce(jsonb_object_agg(a.attnum, a.attname), '{}')
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT coalesce(jsonb_object_agg(g.attname, g.bases), '{}')
        FROM (SELECT a.attname, jsonb_agg(b.attname) AS bases
              FROM pg_catalog.pg_attribute AS a
              JOIN pg_catalog.pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
              JOIN pg_catalog.pg_depend AS d
                ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid
               AND d.refobjid = c.oid AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum
              JOIN pg_catalog.pg_attribute AS b
                ON b.attrelid = c.oid AND b.attnum = d.refobjsubid
              WHERE a.attrelid = c.oid AND a.attgenerated = 'v'
              GROUP BY a.attname) AS g) AS bases,
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.pg_index AS i
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts
             ORDER BY k.place) AS key
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])
ORDER BY c.oid
