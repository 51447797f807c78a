-- Every shop is looked at once, to defer what it invoiced before revenue was recognised by
-- time; afterwards its invoices say when (see tenant/recognition).
INSERT INTO agenda (tenant_id, kind, due_at)
  SELECT id, 'recognition', now() FROM tenants WHERE status <> 'dropped' ON CONFLICT DO NOTHING;
