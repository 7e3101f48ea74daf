-- Purpose: write the GRANT statements that this role lacks for installing triggers on a table.
-- Parameters: oid. Result: one row, a statement or NULL per column.
SELECT CASE WHEN n.oid IS NULL
             AND NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
            THEN pg_catalog.format('GRANT CREATE ON DATABASE %%I TO %%I;',
                                   pg_catalog.current_database(), current_user) END,
       CASE WHEN n.oid IS NOT NULL AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')
            THEN pg_catalog.format('GRANT %%I TO %%I;', pg_catalog.pg_get_userbyid(n.nspowner), current_user)
       END,
       CASE WHEN NOT pg_catalog.has_table_privilege(c.oid, 'TRIGGER')
            THEN pg_catalog.format('GRANT TRIGGER ON %%s TO %%I;', c.oid::pg_catalog.regclass, current_user) END,
       CASE WHEN NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
            THEN pg_catalog.format('GRANT USAGE ON SCHEMA %%I TO %%I;',
                                   c.relnamespace::pg_catalog.regnamespace, current_user) END
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) '_pgrt'::pg_catalog.name
WHERE c.oid OPERATOR(pg_catalog.=) %(oid)s::pg_catalog.oid
