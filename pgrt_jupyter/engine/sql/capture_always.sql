-- Purpose: fire for sessions in the replica role as well; only a table's owner may ask for that.
ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER _pgrt_insert;
ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER _pgrt_update;
ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER _pgrt_delete;
ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER _pgrt_truncate
