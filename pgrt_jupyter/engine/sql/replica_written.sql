-- Purpose: say how far the log has been written, at or after the commit of every change heard of.
-- Result: bytes (numeric), timeline; NULL on a server that is a standby itself. The insert position points behind
--   the header of a fresh page while the last record ends before it, where a standby stops replaying:
--   the header (24 bytes, 40 on the first page of a segment) is taken off.
SELECT CASE
           WHEN in_segment.bytes OPERATOR(pg_catalog.=) 40 THEN at.bytes OPERATOR(pg_catalog.-) 40
           WHEN in_segment.bytes OPERATOR(pg_catalog.>) 40
                AND pg_catalog.mod(at.bytes, size.page) OPERATOR(pg_catalog.=) 24
               THEN at.bytes OPERATOR(pg_catalog.-) 24
           ELSE at.bytes
       END,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN
           pg_catalog.concat('x', pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int
       END
FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
                  THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END) AS at (bytes),
     (SELECT s.setting::pg_catalog.numeric, pg_catalog.current_setting('wal_block_size')::pg_catalog.numeric
      FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) 'wal_segment_size') AS size (segment, page),
     pg_catalog.mod(at.bytes, size.segment) AS in_segment (bytes)
