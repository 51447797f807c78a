-- The trail can only grow. The tenant's role owns the table and could undo this by
-- DDL, which no transaction of ours runs; the anchors in the central schema catch
-- whoever does it by hand. Rights and not a trigger: a trigger is one more function
-- in each of ten thousand schemas, and Citus refuses it on a sharded table.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM CURRENT_USER;
