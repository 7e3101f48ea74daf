NOT CASE WHEN pg_catalog.pg_try_advisory_lock({key}) THEN pg_catalog.pg_advisory_unlock({key})
           WHEN pg_catalog.pg_try_advisory_lock({key}) THEN pg_catalog.pg_advisory_unlock({key})
           ELSE false END
