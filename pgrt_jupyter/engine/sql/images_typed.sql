-- Purpose: give images their columns' types. Parameters: images (jsonb[], in order).
-- Result: one row of the table's columns per image.
SELECT r.*
FROM pg_catalog.unnest(%(images)s::jsonb[]) WITH ORDINALITY AS i(image, place)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(i.image) AS r({columns})
ORDER BY i.place
