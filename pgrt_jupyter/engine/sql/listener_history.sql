-- Purpose: tell an old primary that came back from the one that took its place.
-- Result: system identifier of the cluster, timeline, which each promotion makes greater.
SELECT c.system_identifier,
       pg_catalog.concat('x', pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int
FROM pg_catalog.pg_control_system() AS c
