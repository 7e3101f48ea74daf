-- Purpose: recognise servers and poolers on which nothing would ever be heard.
-- Result: pid of the session that answers, whether the server is a standby.
SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()
