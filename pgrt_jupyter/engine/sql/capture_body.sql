-- pgrt_jupyter 2, read by 2 and later, made for {table}: announces changes to live queries.
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
  _pgrt_told := {relation_wanted};
  _pgrt_kept := {relation_rows_wanted};
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
      PERFORM pg_catalog.pg_notify('pgrt_jupyter', '{oid} ' || pg_catalog.left(TG_OP, 1) || ' *');
    END IF;
    IF _pgrt_kept THEN
      INSERT INTO _pgrt.changes (relation, operation) VALUES ({oid}, 'M');
    END IF;
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_new) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM _pgrt_old) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'UPDATE' THEN
    SELECT EXISTS (SELECT FROM _pgrt_new OFFSET 1), {changed_of_one}
      INTO _pgrt_many, _pgrt_changed
      FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF _pgrt_many THEN
{changed_of_many}
    END IF;
    IF _pgrt_changed = '{{}}' THEN RETURN NULL; END IF;
    IF pg_catalog.cardinality(_pgrt_changed) > 50 THEN _pgrt_changed := NULL; END IF;
    IF _pgrt_told AND _pgrt_changed IS NOT NULL AND NOT ({every_wanted}) THEN
      FOREACH _pgrt_tag IN ARRAY _pgrt_changed LOOP
        _pgrt_told := {column_wanted};
        EXIT WHEN _pgrt_told;
      END LOOP;
    END IF;
    IF _pgrt_kept AND _pgrt_changed IS NOT NULL AND NOT ({every_rows_wanted}) THEN
      FOREACH _pgrt_tag IN ARRAY _pgrt_changed LOOP
        _pgrt_kept := {column_rows_wanted};
        EXIT WHEN _pgrt_kept;
      END LOOP;
    END IF;
    IF NOT (_pgrt_told OR _pgrt_kept) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF _pgrt_kept THEN
    _pgrt_whole := {whole_wanted};
    _pgrt_keys := {keys_wanted};
  END IF;
  IF _pgrt_whole AND TG_OP <> 'TRUNCATE' THEN
    IF TG_OP = 'INSERT' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT {oid}, 'I', {image_new} FROM _pgrt_new AS _pgrt_n;
        _pgrt_images := ' i';
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_old OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, old)
          SELECT {oid}, 'D', {image_old} FROM _pgrt_old AS _pgrt_o;
        _pgrt_images := ' i';
      END IF;
    ELSIF NOT _pgrt_many THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT {oid}, 'U', {image_old}, {image_new}
        FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
      _pgrt_images := ' i';
{images_of_many}
    END IF;
  END IF;
  _pgrt_keys := _pgrt_keys AND _pgrt_images = '';  -- images hold them as well
  IF _pgrt_keys THEN
{keys}
  END IF;
  -- Who reads what is written must learn of what is not: of images where nobody is told, of keys always,
  -- since a notification may come after the rows have been seen.
  IF _pgrt_keys OR (_pgrt_whole AND _pgrt_images = '' AND NOT _pgrt_told) THEN
    INSERT INTO _pgrt.changes (relation, operation)
      VALUES ({oid}, CASE TG_OP WHEN 'TRUNCATE' THEN 'T' ELSE 'M' END);
  END IF;
  IF NOT _pgrt_told THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.current_setting('pgrt.notify', true) = 'off' THEN
    -- A session that prepares its transactions may not send: the engines' audit finds this mark.
    INSERT INTO _pgrt.changes (relation, operation, new)
      VALUES ({oid}, '?', pg_catalog.to_jsonb(pg_catalog.statement_timestamp()));
    RETURN NULL;
  END IF;
  PERFORM pg_catalog.pg_notify('pgrt_jupyter', '{oid} ' || pg_catalog.left(TG_OP, 1) || ' '
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
        VALUES ({oid}, '?', pg_catalog.to_jsonb(pg_catalog.statement_timestamp()));
    ELSE
      EXECUTE pg_catalog.format('NOTIFY pgrt_jupyter, %L', '{oid} ? ' || SQLSTATE);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN NULL;
END
