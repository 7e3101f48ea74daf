-- Purpose: say which settings of the server make triggers that speak, or are there, felt by writers.
-- Result: one row, a text or NULL per column.
SELECT CASE WHEN pg_catalog.current_setting('max_prepared_transactions')::int > 0 THEN
         'two-phase commit is enabled (max_prepared_transactions = '
         || pg_catalog.current_setting('max_prepared_transactions')
         || '): while a live query waits, PREPARE TRANSACTION fails after a change of its tables; sessions that'
            ' prepare can SET pgrt.notify = off, and what they change is seen by the next audit' END,
       CASE WHEN pg_catalog.current_setting('temp_file_limit') <> '-1' THEN
         'temporary files are limited (temp_file_limit = '
         || pg_catalog.current_setting('temp_file_limit')
         || '): a statement whose changed rows take more than work_mem needs them, on a table with triggers' END
