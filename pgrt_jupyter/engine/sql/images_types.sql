-- Purpose: give the types to read a table's images as. What is not PostgreSQL's own is text, and a domain
--   is what it is made of: reading it as itself would run its owner's CHECK with the reader's rights.
-- Parameters: oid. Result: name, type; in the order of columns.
WITH RECURSIVE base(domain, oid, typmod) AS (
    SELECT t.oid, t.typbasetype, t.typtypmod FROM pg_catalog.pg_type AS t WHERE t.typtype = 'd'
  UNION ALL
    SELECT b.domain, t.typbasetype, t.typtypmod
    FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.oid WHERE t.typtype = 'd'
)
SELECT a.attname::text,
       coalesce((SELECT pg_catalog.format_type(b.oid, b.typmod) FROM base AS b
                 WHERE b.domain = a.atttypid AND b.oid < 16384
                   AND NOT EXISTS (SELECT FROM base AS d WHERE d.domain = b.oid)),
                CASE WHEN a.atttypid < 16384 THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
                     ELSE 'text' END)
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
