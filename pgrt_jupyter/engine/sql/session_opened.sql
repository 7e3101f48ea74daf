-- Purpose: tell a session of our own from a pooler's, and one server from another.
-- Result: pid of the session that answers; when its server was started (microseconds). Numbers: how text
--   arrives depends on the encoding, which is not set yet.
SELECT pg_catalog.pg_backend_pid(), (EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint
