-- pgrt_jupyter 2, read by 2 and later: one row as an object.
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
