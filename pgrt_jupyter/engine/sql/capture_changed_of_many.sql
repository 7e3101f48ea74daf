      -- FULL JOIN cannot be planned as a nested loop, whatever row count the plan was cached for.
      IF EXISTS (SELECT FROM _pgrt_new OFFSET 100) THEN
        _pgrt_changed := NULL;
      ELSE
        SELECT CASE WHEN pg_catalog.bool_or({unmatched}) THEN NULL ELSE {changed} END
          INTO _pgrt_changed
          FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON {same_key};
      END IF;
