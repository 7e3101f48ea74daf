-- Purpose: write the GRANT statements that this role lacks for reading relations.
-- Parameters: oids (oid[]). Result: statement.
SELECT DISTINCT pg_catalog.format('GRANT USAGE ON SCHEMA %%I TO %%I;', n.nspname, current_user)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[]) AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT pg_catalog.format('GRANT SELECT ON %%I.%%I TO %%I;', n.nspname, c.relname, current_user)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::oid[]) AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
