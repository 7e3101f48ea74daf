-- Purpose: say how far a standby has replayed the log, and on which timeline: a promotion begins another.
-- Result: bytes (numeric), timeline: that of what it receives, which only pg_read_all_stats may see, else
--   the one it has written down with its last checkpoint or dirty page, some minutes later.
SELECT pg_catalog.pg_wal_lsn_diff(COALESCE(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_catalog.pg_lsn), '0/0'),
       COALESCE((SELECT r.received_tli FROM pg_catalog.pg_stat_get_wal_receiver() AS r),
                (SELECT GREATEST(c.timeline_id, m.min_recovery_end_timeline)
                 FROM pg_catalog.pg_control_checkpoint() AS c, pg_catalog.pg_control_recovery() AS m))
