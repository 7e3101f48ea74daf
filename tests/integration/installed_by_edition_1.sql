-- What an engine of edition 1 installed for orders (id int PRIMARY KEY, status text, amount numeric).
-- OID and the KEYs stand for what differs between databases. See test_editions.py.
-- Purpose: make the schema that holds everything of ours, with the table of row images.
-- Dropping it with CASCADE removes every trigger too. Run only where it is missing or incomplete.
CREATE SCHEMA IF NOT EXISTS _pgrt;
COMMENT ON SCHEMA _pgrt IS 'pgrt_jupyter: announces changes to live queries. DROP SCHEMA _pgrt CASCADE removes all of it.';

-- Images of changed rows, written only while a live query with a row filter waits for them.
CREATE UNLOGGED TABLE IF NOT EXISTS _pgrt.changes (
    xid       xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    relation  oid NOT NULL,
    operation "char" NOT NULL,  -- I, U or D
    old       jsonb,
    new       jsonb
);
CREATE INDEX IF NOT EXISTS changes_xid ON _pgrt.changes (xid);
REVOKE ALL ON TABLE _pgrt.changes FROM PUBLIC;

-- One row as {"v": {column: value}, "h": {column: SHA-256 of a value over 5,000 bytes}},
-- whatever the writer's settings are.
CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1'
AS $image$
BEGIN
  RETURN (
    SELECT pg_catalog.jsonb_build_object(
      'v', coalesce(pg_catalog.jsonb_object_agg(f.key, f.value) FILTER (WHERE NOT f.large), '{}'),
      'h', coalesce(pg_catalog.jsonb_object_agg(
             f.key, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(f.value #>> '{}', 'UTF8')), 'hex')
           ) FILTER (WHERE f.large), '{}'))
    FROM (SELECT e.key, e.value,
                 coalesce(pg_catalog.octet_length(e.value #>> '{}') > 5000, false) AS large
          FROM pg_catalog.jsonb_each(pg_catalog.to_jsonb(_pgrt_row)) AS e) AS f);
END
$image$;
REVOKE ALL ON FUNCTION _pgrt.image(record) FROM PUBLIC;

CREATE OR REPLACE FUNCTION _pgrt.capture_OID()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$-- pgrt_jupyter 1: announces changes to live queries; silent while nobody waits.
-- A key that can be locked exclusively has no waiter. Taking and releasing it are one expression, so
-- no cancel can fall between; a failed try is repeated, since another writer may just be trying it.
DECLARE
  _pgrt_changed bigint[];  -- tags of the columns that changed; NULL: any
  _pgrt_many boolean;
  _pgrt_images text := '';
BEGIN
  IF (CASE WHEN pg_catalog.pg_try_advisory_lock(RELATION_KEY) THEN pg_catalog.pg_advisory_unlock(RELATION_KEY)
          WHEN pg_catalog.pg_try_advisory_lock(RELATION_KEY) THEN pg_catalog.pg_advisory_unlock(RELATION_KEY)
          ELSE false END) THEN
    RETURN NULL;
  END IF;
  -- A full notification queue would fail the writer's commit; the engines poll while it is so full.
  IF pg_catalog.pg_notification_queue_usage() > 0.5 THEN
    RETURN NULL;
  END IF;
  IF TG_LEVEL = 'ROW' THEN
    -- Written by logical replication, which fires no statement triggers.
    PERFORM pg_catalog.pg_notify('pgrt_jupyter', 'OID ' || pg_catalog.left(TG_OP, 1) || ' *');
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_new) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_old) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    SELECT EXISTS (SELECT FROM _pgrt_new OFFSET 1), pg_catalog.array_remove(ARRAY[CASE WHEN pg_catalog.record_image_ne(ROW(_pgrt_o."id"), ROW(_pgrt_n."id")) THEN 627131719 END, CASE WHEN CASE WHEN pg_catalog.pg_column_size(_pgrt_o."status") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."status") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."status"), ROW(_pgrt_n."status")) END THEN 121378372 END, CASE WHEN CASE WHEN pg_catalog.pg_column_size(_pgrt_o."amount") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."amount") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."amount"), ROW(_pgrt_n."amount")) END THEN 1329125756 END]::pg_catalog.int8[], NULL)
      INTO _pgrt_many, _pgrt_changed
      FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF _pgrt_many THEN
      -- FULL JOIN cannot be planned as a nested loop, whatever row count the plan was cached for.
      IF EXISTS (SELECT FROM _pgrt_new OFFSET 100) THEN
        _pgrt_changed := NULL;
      ELSE
        SELECT CASE WHEN pg_catalog.bool_or(_pgrt_o."id" IS NULL OR _pgrt_n."id" IS NULL) THEN NULL ELSE pg_catalog.array_remove(ARRAY[CASE WHEN pg_catalog.bool_or(pg_catalog.record_image_ne(ROW(_pgrt_o."id"), ROW(_pgrt_n."id"))) THEN 627131719 END, CASE WHEN pg_catalog.bool_or(CASE WHEN pg_catalog.pg_column_size(_pgrt_o."status") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."status") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."status"), ROW(_pgrt_n."status")) END) THEN 121378372 END, CASE WHEN pg_catalog.bool_or(CASE WHEN pg_catalog.pg_column_size(_pgrt_o."amount") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."amount") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."amount"), ROW(_pgrt_n."amount")) END) THEN 1329125756 END]::pg_catalog.int8[], NULL) END
          INTO _pgrt_changed
          FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON _pgrt_o."id"::pg_catalog.text = _pgrt_n."id"::pg_catalog.text;
      END IF;

    END IF;
    IF _pgrt_changed = '{}' THEN RETURN NULL; END IF;
    IF pg_catalog.cardinality(_pgrt_changed) > 50 THEN _pgrt_changed := NULL; END IF;
    IF _pgrt_changed IS NOT NULL
       AND (CASE WHEN pg_catalog.pg_try_advisory_lock(EVERY_KEY) THEN pg_catalog.pg_advisory_unlock(EVERY_KEY)
                WHEN pg_catalog.pg_try_advisory_lock(EVERY_KEY) THEN pg_catalog.pg_advisory_unlock(EVERY_KEY)
                ELSE false END)
       AND NOT EXISTS (
         SELECT FROM pg_catalog.unnest(_pgrt_changed) AS _pgrt_tag
         WHERE NOT CASE WHEN pg_catalog.pg_try_advisory_lock(RELATION_KEY + _pgrt_tag)
                        THEN pg_catalog.pg_advisory_unlock(RELATION_KEY + _pgrt_tag)
                        WHEN pg_catalog.pg_try_advisory_lock(RELATION_KEY + _pgrt_tag)
                        THEN pg_catalog.pg_advisory_unlock(RELATION_KEY + _pgrt_tag)
                        ELSE false END) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'TRUNCATE'
     AND NOT (CASE WHEN pg_catalog.pg_try_advisory_lock(ROWS_KEY) THEN pg_catalog.pg_advisory_unlock(ROWS_KEY)
                  WHEN pg_catalog.pg_try_advisory_lock(ROWS_KEY) THEN pg_catalog.pg_advisory_unlock(ROWS_KEY)
                  ELSE false END) THEN
    IF TG_OP = 'INSERT' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT OID, 'I', _pgrt.image(_pgrt_n) FROM _pgrt_new AS _pgrt_n;
        _pgrt_images := ' i';
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_old OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, old)
          SELECT OID, 'D', _pgrt.image(_pgrt_o) FROM _pgrt_old AS _pgrt_o;
        _pgrt_images := ' i';
      END IF;
    ELSIF NOT _pgrt_many THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT OID, 'U', _pgrt.image(_pgrt_o), _pgrt.image(_pgrt_n)
        FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
      _pgrt_images := ' i';
    ELSIF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT OID, CASE WHEN _pgrt_o."id" IS NULL THEN 'I' WHEN _pgrt_n."id" IS NULL THEN 'D' ELSE 'U' END,
               CASE WHEN NOT (_pgrt_o."id" IS NULL) THEN _pgrt.image(_pgrt_o) END,
               CASE WHEN NOT (_pgrt_n."id" IS NULL) THEN _pgrt.image(_pgrt_n) END
        FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON _pgrt_o."id"::pg_catalog.text = _pgrt_n."id"::pg_catalog.text;
      _pgrt_images := ' i';

    END IF;
  END IF;
  PERFORM pg_catalog.pg_notify('pgrt_jupyter', 'OID ' || pg_catalog.left(TG_OP, 1) || ' '
    || coalesce(pg_catalog.array_to_string(_pgrt_changed, ','), '*') || _pgrt_images);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- Nothing of ours may fail a write: tell the engines to look for themselves.
  BEGIN
    PERFORM pg_catalog.pg_notify('pgrt_jupyter', 'OID ? ' || SQLSTATE);
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN NULL;
END
$function$;

REVOKE ALL ON FUNCTION _pgrt.capture_OID() FROM PUBLIC;

CREATE TRIGGER _pgrt_delete AFTER DELETE ON public.orders REFERENCING OLD TABLE AS _pgrt_old FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID();
CREATE TRIGGER _pgrt_insert AFTER INSERT ON public.orders REFERENCING NEW TABLE AS _pgrt_new FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID();
CREATE TRIGGER _pgrt_truncate AFTER TRUNCATE ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID();
CREATE TRIGGER _pgrt_update AFTER UPDATE ON public.orders REFERENCING OLD TABLE AS _pgrt_old NEW TABLE AS _pgrt_new FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID();
ALTER TABLE orders ENABLE ALWAYS TRIGGER _pgrt_insert;
ALTER TABLE orders ENABLE ALWAYS TRIGGER _pgrt_update;
ALTER TABLE orders ENABLE ALWAYS TRIGGER _pgrt_delete;
ALTER TABLE orders ENABLE ALWAYS TRIGGER _pgrt_truncate;
