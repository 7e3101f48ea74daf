    ELSIF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT {oid}, CASE WHEN {no_old} THEN 'I' WHEN {no_new} THEN 'D' ELSE 'U' END,
               CASE WHEN NOT ({no_old}) THEN _pgrt.image(_pgrt_o) END,
               CASE WHEN NOT ({no_new}) THEN _pgrt.image(_pgrt_n) END
        FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON {same_key};
      _pgrt_images := ' i';
