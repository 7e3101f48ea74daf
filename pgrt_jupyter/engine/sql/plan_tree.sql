-- Purpose: read from the stored form of a query what its text does not tell.
-- Parameters: function (oid of the temporary function that holds it).
-- Result: aggregates (the query itself has some), sets (an output gives several rows).
SELECT tree ~ '^\({1,2}\{QUERY (?:(?! :hasSubLinks ).)*:hasAggs true' AS aggregates,
       tree ~ ':hasTargetSRFs true' AS sets
FROM (SELECT p.prosqlbody::text FROM pg_catalog.pg_proc AS p WHERE p.oid = %(function)s::oid) AS t(tree)
