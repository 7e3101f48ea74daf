-- Purpose: tell an old primary that came back from the one that took its place.
-- Result: timeline, 0 on a standby; an error on servers that show no log.
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 ELSE
           pg_catalog.concat('x', pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int
       END
