-- Purpose: say how the schema of ours stands, and whose it is. What is in it runs with the rights of
--   whoever installs, so one that a role of fewer rights made, or may change, is not used.
-- Result: one row: owner (NULL: no schema), mine, trusted (the owner is this role, a superuser, or a role
--   this one was made a member of; a superuser counts as a member of every role), changes (the table is
--   there), altered (somebody made something else of it), image (the body of _pgrt.image; NULL when it is
--   missing or not as we made it).
SELECT o.rolname::text AS owner,
       o.oid = me.oid AS mine,
       o.oid = me.oid OR o.rolsuper
         OR (NOT me.rolsuper AND pg_catalog.pg_has_role(o.oid, 'USAGE')) AS trusted,
       c.oid IS NOT NULL AS changes,
       c.relkind <> 'r' OR c.relowner <> o.oid OR c.relrowsecurity
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid) AS altered,
       (SELECT p.prosrc FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = n.oid AND p.proname = 'image' AND p.proowner = o.oid
          AND NOT p.prosecdef AND 'search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) AS image
FROM pg_catalog.pg_roles AS me
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = '_pgrt'
LEFT JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'changes'
WHERE me.rolname = current_user
