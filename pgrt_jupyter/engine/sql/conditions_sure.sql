-- Purpose: say whether nothing but the text of a query decides which rows of its relations it reads.
-- Parameters: oids (oid[], the relations it reads).
-- Result: one boolean: strings are read by the standard, and no relation is a view, temporary or
--   under row-level security.
SELECT pg_catalog.current_setting('standard_conforming_strings') = 'on'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c
                   WHERE c.oid = ANY (%(oids)s::oid[])
                     AND (c.relrowsecurity OR c.relkind NOT IN ('r', 'p') OR c.relpersistence = 't'))
