-- Purpose: tell one database from another, whatever it is called; a standby answers as its primary does.
-- Result: system identifier of the cluster, oid of the database.
SELECT c.system_identifier, d.oid
FROM pg_catalog.pg_control_system() AS c
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
