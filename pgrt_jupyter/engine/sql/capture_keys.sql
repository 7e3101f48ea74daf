    IF TG_OP = 'INSERT' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT {oid}, 'K', pg_catalog.jsonb_agg({new}) FROM _pgrt_new AS _pgrt_n;
        _pgrt_keys := false;
      END IF;
    ELSIF TG_OP = 'DELETE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_old OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT {oid}, 'K', pg_catalog.jsonb_agg({old}) FROM _pgrt_old AS _pgrt_o;
        _pgrt_keys := false;
      END IF;
    ELSIF TG_OP = 'UPDATE' AND NOT _pgrt_many THEN
      INSERT INTO _pgrt.changes (relation, operation, new)
        SELECT {oid}, 'K', pg_catalog.jsonb_build_array({old}, {new})
        FROM _pgrt_old AS _pgrt_o, _pgrt_new AS _pgrt_n LIMIT 1;
      _pgrt_keys := false;
    ELSIF TG_OP = 'UPDATE' THEN
      IF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
        INSERT INTO _pgrt.changes (relation, operation, new)
          SELECT {oid}, 'K', pg_catalog.jsonb_agg(_pgrt_both.key)
          FROM (SELECT {old} AS key FROM _pgrt_old AS _pgrt_o
                UNION ALL SELECT {new} FROM _pgrt_new AS _pgrt_n) AS _pgrt_both;
        _pgrt_keys := false;
      END IF;
    END IF;
