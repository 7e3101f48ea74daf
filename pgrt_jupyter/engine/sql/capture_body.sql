-- pgrt_jupyter 1: announces changes to live queries; silent while nobody waits.
-- A key that can be locked exclusively has no waiter. Taking and releasing it are one expression, so
-- no cancel can fall between; a failed try is repeated, since another writer may just be trying it.
DECLARE
  _pgrt_changed bigint[];  -- tags of the columns that changed; NULL: any
  _pgrt_many boolean;
  _pgrt_images text := '';
BEGIN
  IF (CASE WHEN pg_catalog.pg_try_advisory_lock({relation_key}) THEN pg_catalog.pg_advisory_unlock({relation_key})
          WHEN pg_catalog.pg_try_advisory_lock({relation_key}) THEN pg_catalog.pg_advisory_unlock({relation_key})
          ELSE false END) THEN
    RETURN NULL;
  END IF;
  -- A full notification queue would fail the writer's commit; the engines poll while it is so full.
  IF pg_catalog.pg_notification_queue_usage() > 0.5 THEN
    RETURN NULL;
  END IF;
  IF TG_LEVEL = 'ROW' THEN
    -- Written by logical replication, which fires no statement triggers.
    PERFORM pg_catalog.pg_notify('pgrt_jupyter', '{oid} ' || pg_catalog.left(TG_OP, 1) || ' *');
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
    IF _pgrt_changed IS NOT NULL
       AND (CASE WHEN pg_catalog.pg_try_advisory_lock({every_key}) THEN pg_catalog.pg_advisory_unlock({every_key})
                WHEN pg_catalog.pg_try_advisory_lock({every_key}) THEN pg_catalog.pg_advisory_unlock({every_key})
                ELSE false END)
       AND NOT EXISTS (
         SELECT FROM pg_catalog.unnest(_pgrt_changed) AS _pgrt_tag
         WHERE NOT CASE WHEN pg_catalog.pg_try_advisory_lock({relation_key} + _pgrt_tag)
                        THEN pg_catalog.pg_advisory_unlock({relation_key} + _pgrt_tag)
                        WHEN pg_catalog.pg_try_advisory_lock({relation_key} + _pgrt_tag)
                        THEN pg_catalog.pg_advisory_unlock({relation_key} + _pgrt_tag)
                        ELSE false END) THEN
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'TRUNCATE'
     AND NOT (CASE WHEN pg_catalog.pg_try_advisory_lock({rows_key}) THEN pg_catalog.pg_advisory_unlock({rows_key})
                  WHEN pg_catalog.pg_try_advisory_lock({rows_key}) THEN pg_catalog.pg_advisory_unlock({rows_key})
                  ELSE false END) THEN
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
       OR pg_catalog.current_setting('pgrt.notify', true) = 'off' THEN
      INSERT INTO _pgrt.changes (relation, operation, new)
        VALUES ({oid}, '?', pg_catalog.to_jsonb(pg_catalog.statement_timestamp()));
    ELSIF pg_catalog.pg_notification_queue_usage() <= 0.5 THEN
      EXECUTE pg_catalog.format('NOTIFY pgrt_jupyter, %L', '{oid} ? ' || SQLSTATE);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN NULL;
END
