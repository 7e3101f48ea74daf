-- Purpose: list the columns that conditions of a query may look at, with the type to read a row's image as.
--   Left out are types whose text in an image is not the whole value (an array's bounds, a NULL in JSON),
--   that are not PostgreSQL's own, or whose text depends on settings; and columns without a stored value.
-- Parameters: oids (oid[], relations). Result: relation, name, declaration (type and collation).
SELECT a.attrelid AS relation, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
         || CASE WHEN a.attcollation = 0 THEN ''
                 ELSE (SELECT pg_catalog.format(' COLLATE %%I.%%I', n.nspname, k.collname)
                       FROM pg_catalog.pg_collation AS k
                       JOIN pg_catalog.pg_namespace AS n ON n.oid = k.collnamespace
                       WHERE k.oid = a.attcollation) END AS declaration
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated <> 'v'
  AND a.atttypid = ANY ('{bool,bytea,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,
                          date,time,timestamp,timestamptz,uuid}'::pg_catalog.regtype[]::oid[])
ORDER BY a.attrelid, a.attnum
