-- Purpose: list the columns of tables' primary keys, and of the tables, for plans of incremental refresh.
-- Parameters: oids (oid[]). Result: relation, key (name, attnum and type of each column, in the order of the
--   key), columns (names), virtual (some are worked out when they are read), readable (by this role, all of
--   them).
SELECT c.oid AS relation,
       ARRAY(SELECT pg_catalog.json_build_array(a.attname, a.attnum, pg_catalog.format_type(a.atttypid, -1))
             FROM pg_catalog.pg_index AS i
             CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts
             ORDER BY k.place) AS key,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
               WHERE a.attrelid = c.oid AND a.attgenerated = 'v') AS virtual,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class AS c
WHERE c.oid = ANY (%(oids)s::oid[])
