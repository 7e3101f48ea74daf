-- Purpose: say whether the schema of ours is complete.
-- Result: one boolean.
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_namespace AS n
  JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'changes'
  JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'image'
  WHERE n.nspname = '_pgrt')
