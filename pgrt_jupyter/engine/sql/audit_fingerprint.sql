-- Purpose: notice DDL: a text per relation that changes when its definition, its name, its privileges, its
--   policies, its view rule or its place in a partition tree changes, or when another relation of its name
--   comes or goes, which a search path may find instead. Takes no lock.
-- Parameters: oids (oid[]). Result: oid, fingerprint. A dropped relation has no row.
SELECT c.oid,
       concat_ws('|', c.relname, c.relnamespace, c.relkind, c.relrowsecurity, c.relacl, c.relowner,
         (SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.oid = c.relnamespace),
         (SELECT md5(string_agg(concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attacl,
                                          a.attisdropped), ';' ORDER BY a.attnum))
          FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0),
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
          FROM pg_catalog.pg_auth_members AS m)) AS fingerprint
FROM pg_catalog.pg_class AS c
WHERE c.oid = ANY (%(oids)s::oid[])
