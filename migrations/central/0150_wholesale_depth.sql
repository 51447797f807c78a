-- What is agreed with one reseller, and what staff put on its next invoice by hand.

-- A price of one SKU for one reseller, with the days it holds. It takes the place of the
-- book's; the tier's discount comes off it as off every other.
CREATE TABLE wholesale_overrides (
  id uuid PRIMARY KEY,
  tenant_id bigint NOT NULL,
  sku text NOT NULL REFERENCES skus,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  price_minor numeric(20, 8) NOT NULL CHECK (price_minor >= 0),
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  reason text NOT NULL, -- for staff; the reseller sees the price and its days
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, sku, currency, valid_from),
  CHECK (valid_to IS NULL OR valid_to > valid_from)
);

-- An amount, more or less, that stands on the reseller's next invoice with its reason.
CREATE TABLE wholesale_adjustments (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE, -- of the form: the same one adds once
  tenant_id bigint NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor <> 0), -- net
  reason text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  withdrawn_by text,
  withdrawn_at timestamptz,
  invoice_id uuid REFERENCES wholesale_invoices, -- on which it stands; null: it waits
  position int,
  CHECK ((invoice_id IS NULL) = (position IS NULL)),
  CHECK (invoice_id IS NULL OR withdrawn_at IS NULL)
);
CREATE INDEX wholesale_adjustments_by_tenant ON wholesale_adjustments (tenant_id, created_at);

ALTER TABLE wholesale_lines DROP CONSTRAINT wholesale_lines_kind_check;
ALTER TABLE wholesale_lines ADD CONSTRAINT wholesale_lines_kind_check
  CHECK (kind IN ('fee', 'service', 'metered', 'discount', 'commission', 'minimum', 'adjustment', 'manual'));

-- What the reseller's customer pays for a service, a cycle, as the shop prices it: told with
-- everything else of it, and compared by the audit. Null: not told yet.
ALTER TABLE services ADD COLUMN retail_minor bigint;
ALTER TABLE services ADD COLUMN retail_currency text;
ALTER TABLE services ADD COLUMN retail_cycle text;
