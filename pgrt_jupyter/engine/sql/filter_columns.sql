-- Purpose: give the types of a table's columns, for literals in filters. Parameters: oid.
-- Result: name, type to cast a literal to (char(n) keeps its length, since its values are padded).
SELECT a.attname::text,
       pg_catalog.format_type(a.atttypid, CASE WHEN a.atttypid = 'pg_catalog.bpchar'::pg_catalog.regtype
                                               THEN a.atttypmod END)
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
