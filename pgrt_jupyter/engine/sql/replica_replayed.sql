-- Purpose: say how far a standby has replayed the log. Result: bytes (numeric).
SELECT pg_catalog.pg_wal_lsn_diff(COALESCE(pg_catalog.pg_last_wal_replay_lsn(), '0/0'::pg_catalog.pg_lsn), '0/0')
