-- Purpose: list what a query's stored form depends on, through views, policies, functions and operators.
-- Parameters: function (oid of the temporary function whose body is the query).
-- Result: one row per object of the walk (classid, objid, name) with what its parse tree shows:
--   relations        text[]  "oid.attnum" of each table or view column used; attnum 0: no single column
--   whole_row        bool    a whole row is used somewhere
--   functions        oid[]   functions called
--   ranges           oid[]   relations in FROM, pinned system catalogs included
--   commands         int[]   command types; 1 is SELECT
--   locks            bool    FOR UPDATE or FOR SHARE
--   clocks           bool    CURRENT_DATE and its like
--   samples          bool    TABLESAMPLE or nextval of an identity
WITH RECURSIVE walk(classid, objid) AS (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, %(function)s::oid
  UNION
    SELECT next.classid, next.objid
    FROM walk
    JOIN pg_catalog.pg_depend AS d
      ON d.classid = walk.classid AND d.objid = walk.objid AND d.deptype = 'n'
    CROSS JOIN LATERAL (
        SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid, r.oid
        FROM pg_catalog.pg_rewrite AS r
        JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
        JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
        WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND r.ev_class = d.refobjid AND r.ev_type = '1' AND c.relkind = 'v'
          AND s.nspname NOT IN ('pg_catalog', 'information_schema')
      UNION ALL
        SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass::oid, p.oid
        FROM pg_catalog.pg_policy AS p
        JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
        WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND p.polrelid = d.refobjid AND p.polcmd IN ('r', '*') AND c.relrowsecurity
      UNION ALL
        SELECT d.refclassid, d.refobjid
        WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                               'pg_catalog.pg_operator'::pg_catalog.regclass)
    ) AS next(classid, objid)
), tree AS (
    SELECT walk.classid, walk.objid,
           coalesce(p.prosqlbody::text, r.ev_action::text, pol.polqual::text, '') AS tree
    FROM walk
    LEFT JOIN pg_catalog.pg_proc AS p
      ON walk.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = walk.objid
    LEFT JOIN pg_catalog.pg_rewrite AS r
      ON walk.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = walk.objid
    LEFT JOIN pg_catalog.pg_policy AS pol
      ON walk.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND pol.oid = walk.objid
)
SELECT classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
         AND objid = %(function)s::oid AS query,
       ARRAY(SELECT DISTINCT d.refobjid || '.' || d.refobjsubid
             FROM pg_catalog.pg_depend AS d
             WHERE d.classid = tree.classid AND d.objid = tree.objid AND d.deptype = 'n'
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) AS relations,
       tree ~ ':varattno 0 ' AS whole_row,
       ARRAY(SELECT DISTINCT m[1]::oid
             FROM regexp_matches(tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') AS m)
         AS functions,
       ARRAY(SELECT DISTINCT m[1]::oid FROM regexp_matches(tree, ':relid (\d+)', 'g') AS m) AS ranges,
       ARRAY(SELECT DISTINCT m[1]::int FROM regexp_matches(tree, ':commandType (\d+)', 'g') AS m)
         AS commands,
       tree ~ ':hasForUpdate true|:rowMarks \(' AS locks,
       tree ~ '{(?:SQLVALUEFUNCTION|SQLVALUEFUNC) :op [0-8] ' AS clocks,
       tree ~ '{(?:TABLESAMPLECLAUSE|NEXTVALUEEXPR) ' AS samples
FROM tree
