-- Purpose: make the schema that holds everything of ours, with the table of row images.
-- Dropping it with CASCADE removes every trigger too. Run only where it is missing or incomplete.
CREATE SCHEMA IF NOT EXISTS _pgrt;
COMMENT ON SCHEMA _pgrt IS 'pgrt_jupyter: announces changes to live queries. DROP SCHEMA _pgrt CASCADE removes all of it.';

-- Images of changed rows, written only while a live query with a row filter waits for them.
CREATE UNLOGGED TABLE IF NOT EXISTS _pgrt.changes (
    xid       xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    relation  oid NOT NULL,
    operation "char" NOT NULL,  -- I, U or D; K: keys; T: truncated, M: changed, neither; ?: could not be told
    old       jsonb,
    new       jsonb
);
CREATE INDEX IF NOT EXISTS changes_xid ON _pgrt.changes (xid);
-- Default privileges may have given it to others.
DO $revoke$
DECLARE
  _pgrt_role pg_catalog.text;
BEGIN
  FOR _pgrt_role IN
    SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                         ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
    FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
    WHERE c.oid = '_pgrt.changes'::pg_catalog.regclass AND a.grantee <> c.relowner
  LOOP
    EXECUTE 'REVOKE ALL ON TABLE _pgrt.changes FROM ' || _pgrt_role;
  END LOOP;
END
$revoke$
