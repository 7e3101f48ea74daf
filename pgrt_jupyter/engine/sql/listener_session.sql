-- Purpose: recognise servers and poolers on which nothing would ever be heard, and this server again.
-- Result: pid of the session that answers, whether the server is a standby, when it was started (seconds, numeric).
SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
       EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())
