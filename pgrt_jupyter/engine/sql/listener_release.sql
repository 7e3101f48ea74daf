-- Purpose: stop waiting for some things. Parameters: keys (bigint[]).
SELECT pg_catalog.pg_advisory_unlock_shared(k) FROM pg_catalog.unnest(%(keys)s::bigint[]) AS k
