-- What is agreed with a reseller beyond a fee and a discount.

-- A tier may take a share of what its resellers invoice in place of giving a discount, and
-- may ask for a least amount a month.
ALTER TABLE tiers ADD COLUMN commission_percent numeric(7, 4) NOT NULL DEFAULT 0 CHECK (commission_percent >= 0 AND commission_percent <= 100);
ALTER TABLE tiers ADD COLUMN minimum_minor bigint NOT NULL DEFAULT 0 CHECK (minimum_minor >= 0);
ALTER TABLE tiers ADD CONSTRAINT tiers_discount_or_commission CHECK (discount_percent = 0 OR commission_percent = 0);

ALTER TABLE wholesale_lines DROP CONSTRAINT wholesale_lines_kind_check;
ALTER TABLE wholesale_lines ADD CONSTRAINT wholesale_lines_kind_check
  CHECK (kind IN ('fee', 'service', 'metered', 'discount', 'commission', 'minimum', 'adjustment'));

-- What is told late is an adjustment of a later month, as with usage; and a run reads each
-- reseller's month alone.
ALTER TABLE revenue_events ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX revenue_events_by_tenant ON revenue_events (tenant_id, at);
CREATE INDEX revenue_events_by_recording ON revenue_events (recorded_at);
