-- Purpose: read what decides whether an expression can be believed from its stored form.
-- Parameters: function (oid of the temporary function that holds it).
-- Result: operators (oid[], used), strange (an operator or function that is not PostgreSQL's own is used),
--   typed (so is a type), mutable (a function is not immutable, or a value takes the way through its text),
--   failing (a column is cast unseen in a way that fails for some values, or compared by its elements).
WITH tree(tree) AS (
    SELECT p.prosqlbody::text FROM pg_catalog.pg_proc AS p WHERE p.oid = %(function)s::oid
), called(oid) AS (
    SELECT m[1]::oid
    FROM tree, pg_catalog.regexp_matches(tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') AS m
), cast_unseen(oid) AS (
    SELECT m[1]::oid
    FROM tree, pg_catalog.regexp_matches(
      tree, '{FUNCEXPR :funcid (\d+) :funcresulttype \d+ :funcretset \w+ :funcvariadic \w+ :funcformat 2 '
         || ':funccollid \d+ :inputcollid \d+ :args \((?!{CONST )', 'g') AS m
), used(oid) AS (
    SELECT m[1]::oid FROM tree, pg_catalog.regexp_matches(tree, ':opno (\d+)', 'g') AS m
)
SELECT ARRAY(SELECT DISTINCT u.oid FROM used AS u) AS operators,
       EXISTS (SELECT FROM called AS c WHERE c.oid >= 12000)
         OR EXISTS (SELECT FROM used AS u WHERE u.oid >= 12000) AS strange,
       EXISTS (SELECT FROM pg_catalog.pg_depend AS d
               WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                 AND d.objid = %(function)s::oid
                 AND d.refclassid NOT IN ('pg_catalog.pg_namespace'::pg_catalog.regclass,
                                          'pg_catalog.pg_collation'::pg_catalog.regclass)) AS typed,
       (SELECT tree ~ 'COERCEVIAIO|NEXTVALUEEXPR|SQLVALUEFUNC' FROM tree)
         OR EXISTS (SELECT FROM called AS c JOIN pg_catalog.pg_proc AS p ON p.oid = c.oid
                    WHERE p.provolatile <> 'i') AS mutable,
       EXISTS (SELECT FROM cast_unseen AS c
               WHERE NOT EXISTS (
                 SELECT FROM pg_catalog.pg_cast AS k
                 WHERE k.castfunc = c.oid
                   AND ((k.castsource IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                         AND k.casttarget IN ('int4'::regtype, 'int8'::regtype, 'float4'::regtype,
                                              'float8'::regtype, 'numeric'::regtype))
                     OR (k.castsource = 'float4'::regtype AND k.casttarget = 'float8'::regtype)
                     OR (k.castsource IN ('bpchar'::regtype, 'name'::regtype)
                         AND k.casttarget IN ('text'::regtype, 'varchar'::regtype)))))
         OR EXISTS (SELECT FROM used AS u JOIN pg_catalog.pg_operator AS o ON o.oid = u.oid
                    WHERE o.oprleft IN ('anyarray'::regtype, 'record'::regtype, 'anyrange'::regtype,
                                        'anymultirange'::regtype)) AS failing
FROM tree
