CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET "TimeZone" TO 'UTC'
 SET "DateStyle" TO 'ISO, YMD'
 SET "IntervalStyle" TO 'postgres'
 SET bytea_output TO 'hex'
 SET extra_float_digits TO '1'
AS $function$-- pgrt_jupyter 2, read by 2 and later: one row as an object.
DECLARE
  _pgrt_all jsonb := pg_catalog.to_jsonb(_pgrt_row);
BEGIN
  -- No value of a row that is so small can be large: escaped, a byte takes six.
  IF pg_catalog.pg_column_size(_pgrt_all) <= 800 THEN
    RETURN pg_catalog.jsonb_build_object('v', _pgrt_all, 'h', '{}'::pg_catalog.jsonb);
  END IF;
  RETURN (
    SELECT pg_catalog.jsonb_build_object(
      'v', coalesce(pg_catalog.jsonb_object_agg(f.key, f.value) FILTER (WHERE NOT f.large), '{}'),
      'h', coalesce(pg_catalog.jsonb_object_agg(
             f.key, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(f.value #>> '{}', 'UTF8')), 'hex')
           ) FILTER (WHERE f.large), '{}'))
    FROM (SELECT e.key, e.value,
                 coalesce(pg_catalog.octet_length(e.value #>> '{}') > 5000, false) AS large
          FROM pg_catalog.jsonb_each(_pgrt_all) AS e) AS f);
END
$function$

CREATE OR REPLACE FUNCTION _pgrt.capture_OID()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$-- pgrt_jupyter 2, read by 2 and later, made for DIGEST: announces changes to live queries.
-- Silent while nobody waits.
-- A key that can be locked exclusively has no waiter. Taking and releasing it are one expression, so
-- no cancel can fall between; a failed try is repeated, since another writer may just be trying it.
DECLARE
  _pgrt_told boolean;  -- somebody waits for a notification
  _pgrt_kept boolean;  -- somebody wants the rows written down:
  _pgrt_whole boolean := false;  -- whole
  _pgrt_keys boolean := false;  -- their primary keys
  _pgrt_changed bigint[];  -- tags of the columns that changed; NULL: any
  _pgrt_tag bigint;
  _pgrt_many boolean;
  _pgrt_images text := '';
BEGIN
  _pgrt_told := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END;
  _pgrt_kept := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END;
  -- A full notification queue would fail the writer's commit; the engines poll while it is so full.
  IF _pgrt_told AND pg_catalog.pg_notification_queue_usage() > 0.5 THEN
    _pgrt_told := false;
  END IF;
  IF NOT (_pgrt_told OR _pgrt_kept) THEN
    RETURN NULL;
  END IF;
  IF TG_LEVEL = 'ROW' THEN
    -- Written by logical replication, which fires no statement triggers.
    IF _pgrt_told THEN
      PERFORM pg_catalog.pg_notify('pgrt_jupyter', 'OID ' || pg_catalog.left(TG_OP, 1) || ' *');
    END IF;
    IF _pgrt_kept THEN
      INSERT INTO _pgrt.changes (relation, operation) VALUES (OID, 'M');
    END IF;
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_new) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_old) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    SELECT EXISTS (SELECT FROM _pgrt_new OFFSET 1), pg_catalog.array_remove(ARRAY[CASE WHEN pg_catalog.record_image_ne(ROW(_pgrt_o."id"), ROW(_pgrt_n."id")) THEN 627131719 END, CASE WHEN CASE WHEN pg_catalog.pg_column_size(_pgrt_o."Sta""tus") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."Sta""tus") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."Sta""tus"), ROW(_pgrt_n."Sta""tus")) END THEN 1132254348 END, CASE WHEN CASE WHEN pg_catalog.pg_column_size(_pgrt_o."amount") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."amount") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."amount"), ROW(_pgrt_n."amount")) END THEN 1329125756 END]::pg_catalog.int8[], NULL)
      INTO _pgrt_many, _pgrt_changed
      FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF _pgrt_many THEN
      -- FULL JOIN cannot be planned as a nested loop, whatever row count the plan was cached for.
      IF EXISTS (SELECT FROM _pgrt_new OFFSET 100) THEN
        _pgrt_changed := NULL;
      ELSE
        SELECT CASE WHEN pg_catalog.bool_or(pg_catalog.num_nulls(_pgrt_o."id") > 0 OR pg_catalog.num_nulls(_pgrt_n."id") > 0) THEN NULL ELSE pg_catalog.array_remove(ARRAY[CASE WHEN pg_catalog.bool_or(pg_catalog.record_image_ne(ROW(_pgrt_o."id"), ROW(_pgrt_n."id"))) THEN 627131719 END, CASE WHEN pg_catalog.bool_or(CASE WHEN pg_catalog.pg_column_size(_pgrt_o."Sta""tus") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."Sta""tus") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."Sta""tus"), ROW(_pgrt_n."Sta""tus")) END) THEN 1132254348 END, CASE WHEN pg_catalog.bool_or(CASE WHEN pg_catalog.pg_column_size(_pgrt_o."amount") > 32000 OR pg_catalog.pg_column_size(_pgrt_n."amount") > 32000 THEN true ELSE pg_catalog.record_image_ne(ROW(_pgrt_o."amount"), ROW(_pgrt_n."amount")) END) THEN 1329125756 END]::pg_catalog.int8[], NULL) END
          INTO _pgrt_changed
          FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON ROW(_pgrt_o."id")::pg_catalog.record *= ROW(_pgrt_n."id")::pg_catalog.record;
      END IF;

    END IF;
    IF _pgrt_changed = '{}' THEN RETURN NULL; END IF;
    IF pg_catalog.cardinality(_pgrt_changed) > 50 THEN _pgrt_changed := NULL; END IF;
    IF _pgrt_told AND _pgrt_changed IS NOT NULL AND NOT (NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END) THEN
      FOREACH _pgrt_tag IN ARRAY _pgrt_changed LOOP
        _pgrt_told := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY + _pgrt_tag) THEN pg_catalog.pg_advisory_unlock(KEY + _pgrt_tag)
           WHEN pg_catalog.pg_try_advisory_lock(KEY + _pgrt_tag) THEN pg_catalog.pg_advisory_unlock(KEY + _pgrt_tag)
           ELSE false END;
        EXIT WHEN _pgrt_told;
      END LOOP;
    END IF;
    IF _pgrt_kept AND _pgrt_changed IS NOT NULL AND NOT (NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END) THEN
      FOREACH _pgrt_tag IN ARRAY _pgrt_changed LOOP
        _pgrt_kept := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY + _pgrt_tag) THEN pg_catalog.pg_advisory_unlock(KEY + _pgrt_tag)
           WHEN pg_catalog.pg_try_advisory_lock(KEY + _pgrt_tag) THEN pg_catalog.pg_advisory_unlock(KEY + _pgrt_tag)
           ELSE false END;
        EXIT WHEN _pgrt_kept;
      END LOOP;
    END IF;
    IF NOT (_pgrt_told OR _pgrt_kept) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF _pgrt_kept THEN
    _pgrt_whole := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END;
    _pgrt_keys := NOT CASE WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           WHEN pg_catalog.pg_try_advisory_lock(KEY) THEN pg_catalog.pg_advisory_unlock(KEY)
           ELSE false END;
  END IF;
  IF _pgrt_whole AND TG_OP <> 'TRUNCATE' THEN
    IF TG_OP = 'INSERT' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT OID, 'I', _pgrt.image(_pgrt_n.*) FROM _pgrt_new AS _pgrt_n;
        _pgrt_images := ' i';
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_old OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, old)
          SELECT OID, 'D', _pgrt.image(_pgrt_o.*) FROM _pgrt_old AS _pgrt_o;
        _pgrt_images := ' i';
      END IF;
    ELSIF NOT _pgrt_many THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT OID, 'U', _pgrt.image(_pgrt_o.*), _pgrt.image(_pgrt_n.*)
        FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
      _pgrt_images := ' i';
    ELSIF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT OID, CASE WHEN pg_catalog.num_nulls(_pgrt_o."id") > 0 THEN 'I' WHEN pg_catalog.num_nulls(_pgrt_n."id") > 0 THEN 'D' ELSE 'U' END,
               CASE WHEN NOT (pg_catalog.num_nulls(_pgrt_o."id") > 0) THEN _pgrt.image(_pgrt_o.*) END,
               CASE WHEN NOT (pg_catalog.num_nulls(_pgrt_n."id") > 0) THEN _pgrt.image(_pgrt_n.*) END
        FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON ROW(_pgrt_o."id")::pg_catalog.record *= ROW(_pgrt_n."id")::pg_catalog.record;
      _pgrt_images := ' i';

    END IF;
  END IF;
  _pgrt_keys := _pgrt_keys AND _pgrt_images = '';  -- images hold them as well
  IF _pgrt_keys THEN
    IF TG_OP = 'INSERT' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT OID, 'K', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', _pgrt_n."id")) FROM _pgrt_new AS _pgrt_n;
        _pgrt_keys := false;
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_old OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT OID, 'K', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', _pgrt_o."id")) FROM _pgrt_old AS _pgrt_o;
        _pgrt_keys := false;
      END IF;
    ELSIF TG_OP = 'UPDATE' AND NOT _pgrt_many THEN
      INSERT INTO _pgrt.changes (relation, operation, new)
        SELECT OID, 'K', pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('id', _pgrt_o."id"), pg_catalog.jsonb_build_object('id', _pgrt_n."id"))
        FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
      _pgrt_keys := false;
    ELSIF TG_OP = 'UPDATE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT OID, 'K', pg_catalog.jsonb_agg(_pgrt_both.key)
          FROM (SELECT pg_catalog.jsonb_build_object('id', _pgrt_o."id") AS key FROM _pgrt_old AS _pgrt_o
                UNION ALL SELECT pg_catalog.jsonb_build_object('id', _pgrt_n."id") FROM _pgrt_new AS _pgrt_n) AS _pgrt_both;
        _pgrt_keys := false;
      END IF;
    END IF;

  END IF;
  -- Who reads what is written must learn of what is not: of images where nobody is told, of keys always,
  -- since a notification may come after the rows have been seen.
  IF _pgrt_keys OR (_pgrt_whole AND _pgrt_images = '' AND NOT _pgrt_told) THEN
    INSERT INTO _pgrt.changes (relation, operation)
      VALUES (OID, CASE TG_OP WHEN 'TRUNCATE' THEN 'T' ELSE 'M' END);
  END IF;
  IF NOT _pgrt_told THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.current_setting('pgrt.notify', true) = 'off' THEN
    -- A session that prepares its transactions may not send: the engines' audit finds this mark.
    INSERT INTO _pgrt.changes (relation, operation, new)
      VALUES (OID, '?', pg_catalog.to_jsonb(pg_catalog.statement_timestamp()));
    RETURN NULL;
  END IF;
  PERFORM pg_catalog.pg_notify('pgrt_jupyter', 'OID ' || pg_catalog.left(TG_OP, 1) || ' '
    || coalesce(pg_catalog.array_to_string(_pgrt_changed, ','), '*') || _pgrt_images);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- Nothing of ours may fail a write: tell the engines to look for themselves. Where locks, memory or
  -- disk are short, a notification could fail the commit, so it is a mark; so it is for who may not send.
  BEGIN
    IF pg_catalog.left(SQLSTATE, 2) = '53'
       OR pg_catalog.current_setting('pgrt.notify', true) = 'off'
       OR pg_catalog.pg_notification_queue_usage() > 0.5 THEN
      INSERT INTO _pgrt.changes (relation, operation, new)
        VALUES (OID, '?', pg_catalog.to_jsonb(pg_catalog.statement_timestamp()));
    ELSE
      EXECUTE pg_catalog.format('NOTIFY pgrt_jupyter, %L', 'OID ? ' || SQLSTATE);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN NULL;
END
$function$

CREATE TRIGGER _pgrt_delete AFTER DELETE ON public."Orders" REFERENCING OLD TABLE AS _pgrt_old FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID(); -- enabled: A
CREATE TRIGGER _pgrt_insert AFTER INSERT ON public."Orders" REFERENCING NEW TABLE AS _pgrt_new FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID(); -- enabled: A
CREATE TRIGGER _pgrt_truncate AFTER TRUNCATE ON public."Orders" FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID(); -- enabled: A
CREATE TRIGGER _pgrt_update AFTER UPDATE ON public."Orders" REFERENCING OLD TABLE AS _pgrt_old NEW TABLE AS _pgrt_new FOR EACH STATEMENT EXECUTE FUNCTION _pgrt.capture_OID(); -- enabled: A
-- _pgrt.changes.xid xid8
-- _pgrt.changes.relation oid
-- _pgrt.changes.operation "char"
-- _pgrt.changes.old jsonb
-- _pgrt.changes.new jsonb
