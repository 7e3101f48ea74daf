-- Purpose: tell a session of our own from a pooler's, and one server from another.
-- Result: pid of the session that answers; when its server was started (seconds, numeric). No text, which
--   arrives as the encoding has it that is not set yet, and no operators: the search path is not ours.
SELECT pg_catalog.pg_backend_pid(), EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())
