    ELSIF NOT EXISTS (SELECT FROM _pgrt_new OFFSET 1000) THEN
      INSERT INTO _pgrt.changes (relation, operation, old, new)
        SELECT {oid}, CASE WHEN {no_old} THEN 'I' WHEN {no_new} THEN 'D' ELSE 'U' END,
               CASE WHEN NOT ({no_old}) THEN {image_old} END,
               CASE WHEN NOT ({no_new}) THEN {image_new} END
        FROM _pgrt_old AS _pgrt_o FULL JOIN _pgrt_new AS _pgrt_n ON {same_key};
      _pgrt_images := ' i';
