-- Purpose: name the functions whose result can change without a change of a watched table.
-- Parameters: oids (oid[]).
-- Result: name, reason. A function with an SQL-standard body is not named, unless it is pinned: its body
--   is analysed.
SELECT pg_catalog.format('%%I.%%I()', s.nspname, p.proname) AS name,
       CASE WHEN p.provolatile = 'v' THEN 'volatile'
            WHEN s.nspname = 'pg_catalog' THEN 'depends on the time or on server state'
            ELSE 'reads what its body hides' END AS reason,
       s.nspname = 'pg_catalog' AS builtin, p.proname AS bare
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS s ON s.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid = ANY (%(oids)s::oid[])
  AND (p.prosqlbody IS NULL OR s.nspname = 'pg_catalog')
  AND p.prokind <> 'a'
  AND (p.provolatile = 'v'
       OR (p.provolatile = 's' AND s.nspname = 'pg_catalog'
           AND (p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp', 'timenow',
                              'table_to_xml', 'query_to_xml', 'schema_to_xml', 'database_to_xml')
                OR p.proname LIKE 'pg\_stat\_get\_%%'
                OR (p.proname = 'age' AND p.pronargs = 1)))
       OR (p.provolatile = 's' AND s.nspname <> 'pg_catalog' AND l.lanname NOT IN ('c', 'internal')
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                             AND d.objid = p.oid AND d.deptype = 'e')))
ORDER BY 1
