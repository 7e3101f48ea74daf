-- Purpose: give images their columns' types. Parameters: images (a JSON array as text, in order: a list
--   would be escaped item by item, which takes longer than all the rest).
-- Result: one row of the table's columns per image.
SELECT r.*
FROM pg_catalog.jsonb_array_elements(%(images)s::pg_catalog.jsonb) WITH ORDINALITY AS i(image, place)
CROSS JOIN LATERAL pg_catalog.jsonb_to_record(i.image) AS r({columns})
ORDER BY i.place
