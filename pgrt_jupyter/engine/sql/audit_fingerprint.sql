-- Purpose: notice DDL: a text per relation or function that changes when its definition, its name, its
--   privileges or its schema's, its policies, its view rule, the labels of its enums or its place in a
--   partition tree changes, or when another of its name comes or goes, which a search path may find instead.
--   The rows' xmin tell of a change that has been undone since, too. Takes no lock.
-- Parameters: oids (oid[]), functions (oid[]). Result: oid (of a function: negated), fingerprint.
--   What has been dropped has no row.
SELECT c.oid::int8,
       concat_ws('|', c.xmin, c.relname, c.relnamespace, c.relkind, c.relrowsecurity, c.relacl, c.relowner,
         n.nspname, n.nspacl,
         (SELECT md5(string_agg(concat_ws(',', a.attnum, a.xmin, a.attname, a.atttypid, a.atttypmod, a.attacl,
                                          a.attisdropped, e.xmin, l.labels), ';' ORDER BY a.attnum))
          FROM pg_catalog.pg_attribute AS a
          LEFT JOIN pg_catalog.pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
          LEFT JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
          LEFT JOIN LATERAL (
            SELECT string_agg(g.oid || ':' || g.xmin::text, '+' ORDER BY g.oid) AS labels
            FROM pg_catalog.pg_enum AS g WHERE g.enumtypid IN (t.oid, t.typelem, t.typbasetype)
          ) AS l ON true
          WHERE a.attrelid = c.oid AND a.attnum > 0),
         (SELECT string_agg(o.oid::text, ',' ORDER BY o.oid)
          FROM pg_catalog.pg_class AS o
          WHERE o.relname = c.relname AND o.relpersistence <> 't'),
         (SELECT string_agg(r.xmin::text, ',' ORDER BY r.oid)
          FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid),
         (SELECT string_agg(p.oid || ':' || p.xmin::text, ',' ORDER BY p.oid)
          FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid),
         (SELECT string_agg(i.inhrelid || '<' || i.inhparent, ',' ORDER BY i.inhrelid, i.inhparent)
          FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)),
         (SELECT string_agg(m.xmin::text, ',' ORDER BY m.xmin::text)
          FROM pg_catalog.pg_auth_members AS m),
         (SELECT string_agg(b.oid::text, ',' ORDER BY b.oid)
          FROM pg_catalog.pg_roles AS b WHERE b.rolsuper OR b.rolbypassrls)) AS fingerprint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[])
UNION ALL
SELECT -(p.oid::int8),
       concat_ws('|', p.xmin, n.nspname, n.nspacl,
         (SELECT string_agg(o.oid::text, ',' ORDER BY o.oid)
          FROM pg_catalog.pg_proc AS o
          WHERE o.proname = p.proname AND o.prokind = p.prokind))
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.oid = ANY (%(functions)s::oid[])
