-- Purpose: make one table's trigger function. It writes row images that only its owner may read, hence
-- SECURITY DEFINER; the search path is pinned and nobody else may attach it to another table.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {body};
REVOKE ALL ON FUNCTION {function}() FROM PUBLIC
