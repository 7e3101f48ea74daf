-- Purpose: look at images of rows: which of some conditions does each meet?
-- Parameters (composed): conditions, images (text[], an object of values each), columns (of row r).
-- Result: one array of booleans per image, in order.
SELECT ARRAY[{conditions}]::pg_catalog.bool[]
FROM pg_catalog.unnest({images}::pg_catalog.text[]) WITH ORDINALITY AS i(image, place)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(i.image::pg_catalog.jsonb) AS r({columns})
ORDER BY i.place
