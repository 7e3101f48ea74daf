-- Purpose: say how outputs of a query are compared. Parameters (composed): each (an expression that has the
--   collation of an output and reads nothing, per output), types (their oids).
-- Result, per output in order: plain (equal values are the same text), ordered (sorted as their bytes are,
--   or of no collation).
WITH output(place, name, type) AS (
    SELECT o.place, o.name, o.type
    FROM ROWS FROM (pg_catalog.unnest(ARRAY[{each}]::pg_catalog.text[]),
                    pg_catalog.unnest(ARRAY[{types}]::pg_catalog.oid[])) WITH ORDINALITY AS o(name, type, place)
)
SELECT coalesce(k.collisdeterministic, true)
         AND (o.type = ANY ('{{int2,int4,int8,text,varchar,uuid,bool,date,timestamp,timestamptz}}'::regtype[]::oid[])
              OR EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.oid = o.type AND t.typtype = 'e')) AS plain,
       CASE WHEN o.type = ANY ('{{text,varchar}}'::regtype[]::oid[])
            THEN coalesce(k.collname IN ('C', 'POSIX', 'ucs_basic', 'pg_c_utf8') OR (k.collname = 'default'
              AND EXISTS (SELECT FROM pg_catalog.pg_database AS d
                          WHERE d.datname = pg_catalog.current_database()
                            AND coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') <> 'i'
                            AND d.datcollate IN ('C', 'POSIX')
                            AND coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') = 'c')), false)
            ELSE o.type = ANY ('{{int2,int4,int8,float4,float8,numeric,bool,uuid,date,time,timestamp,timestamptz}}'
                               ::regtype[]::oid[]) END AS ordered
FROM output AS o
LEFT JOIN pg_catalog.pg_collation AS k ON k.oid = o.name::pg_catalog.regcollation
ORDER BY o.place
