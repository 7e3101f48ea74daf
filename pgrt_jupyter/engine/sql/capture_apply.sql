-- Purpose: hear of rows that logical replication writes; it fires row triggers marked so, and no others.
CREATE OR REPLACE TRIGGER _pgrt_apply AFTER INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION {function}();
ALTER TABLE ONLY {table} ENABLE REPLICA TRIGGER _pgrt_apply
