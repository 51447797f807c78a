-- What EZSCALE charges its resellers, and from what it is worked out.

-- What can be bought wholesale. A service SKU is billed by the time it runs, a metered
-- one by the quantity reported.
CREATE TABLE skus (
  sku text PRIMARY KEY CHECK (sku ~ '^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$'),
  type text NOT NULL, -- as a retail product's: vps, game_server, …
  name text NOT NULL,
  summary text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('service', 'metered')),
  unit text NOT NULL, -- month, GB, hour
  spec jsonb NOT NULL, -- what it is: {cpu, memory_mb, disk_gb, traffic_gb, ipv4}; see provisioners.Spec
  state text NOT NULL CHECK (state IN ('active', 'retired')), -- retired: nothing new is sold
  position int NOT NULL,
  changed_at timestamptz NOT NULL
);

-- Prices with the days they hold; a price for a tier wins over the one for all (''). A
-- service's price is for a month; decimals may be finer than the minor unit.
CREATE TABLE wholesale_prices (
  id uuid PRIMARY KEY,
  sku text NOT NULL REFERENCES skus,
  tier text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  price_minor numeric(20, 8) NOT NULL CHECK (price_minor >= 0),
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (sku, tier, currency, valid_from),
  CHECK (valid_to IS NULL OR valid_to > valid_from)
);

-- What a tier costs and gives, with the days it does.
CREATE TABLE tiers (
  tier text NOT NULL CHECK (tier ~ '^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$'),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  name text NOT NULL,
  fee_minor bigint NOT NULL CHECK (fee_minor >= 0), -- a month
  discount_percent numeric(7, 4) NOT NULL CHECK (discount_percent >= 0 AND discount_percent <= 100), -- off services and metered units
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  PRIMARY KEY (tier, currency, valid_from),
  CHECK (valid_to IS NULL OR valid_to > valid_from)
);

-- Which tier a reseller is on, in which currency it is billed, from when.
CREATE TABLE tenant_terms (
  tenant_id bigint NOT NULL,
  valid_from timestamptz NOT NULL,
  tier text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  set_by text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, valid_from)
);

-- Who the reseller is as our customer: goes onto invoices.
CREATE TABLE reseller_profiles (
  tenant_id bigint PRIMARY KEY,
  billing jsonb NOT NULL, -- {name, company, line1, line2, postcode, city, region, country, email, phone}
  tax_id text NOT NULL,
  gateway_customer text NOT NULL, -- the gateway's name for the reseller; empty: none yet
  method_ref text NOT NULL,       -- saved card; empty: none
  method_label text NOT NULL,
  changed_at timestamptz NOT NULL
);

-- One run a period; a second run of the same period finds everything done.
CREATE TABLE wholesale_runs (
  id uuid PRIMARY KEY,
  period text NOT NULL UNIQUE CHECK (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
  period_from timestamptz NOT NULL,
  period_to timestamptz NOT NULL,
  cut_off timestamptz NOT NULL, -- events recorded up to here are in; later ones become adjustments of the next run
  state text NOT NULL CHECK (state IN ('running', 'done')),
  invoices int NOT NULL,
  total jsonb NOT NULL, -- {EUR: 123456}
  started_at timestamptz NOT NULL,
  finished_at timestamptz,
  started_by text NOT NULL
);

CREATE TABLE wholesale_invoices (
  id uuid PRIMARY KEY,
  run_id uuid NOT NULL REFERENCES wholesale_runs,
  tenant_id bigint NOT NULL,
  number text NOT NULL UNIQUE,
  sequence bigint NOT NULL UNIQUE,
  state text NOT NULL CHECK (state IN ('open', 'paid', 'uncollectible')),
  tier text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  net_minor bigint NOT NULL,
  tax_minor bigint NOT NULL,
  total_minor bigint NOT NULL,
  paid_minor bigint NOT NULL,
  document jsonb NOT NULL, -- as issued
  hash bytea NOT NULL,
  prev_hash bytea NOT NULL,
  issued_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  paid_at timestamptz,
  tries int NOT NULL DEFAULT 0,
  next_try_at timestamptz,
  changed_at timestamptz NOT NULL,
  UNIQUE (run_id, tenant_id),
  CHECK (total_minor = net_minor + tax_minor)
);
CREATE INDEX wholesale_invoices_by_tenant ON wholesale_invoices (tenant_id, issued_at);
CREATE INDEX wholesale_invoices_by_try ON wholesale_invoices (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE wholesale_lines (
  invoice_id uuid NOT NULL REFERENCES wholesale_invoices,
  position int NOT NULL,
  kind text NOT NULL CHECK (kind IN ('fee', 'service', 'metered', 'discount', 'adjustment')),
  adjusts text NOT NULL, -- the kind an adjustment is about; empty: it is none
  period text NOT NULL,  -- the month it is about: an adjustment's is an earlier one
  sku text NOT NULL, -- empty: fee, discount
  tier text NOT NULL,
  description text NOT NULL,
  quantity numeric(20, 8) NOT NULL, -- service months, or units
  price_minor numeric(20, 8) NOT NULL,
  net_minor bigint NOT NULL,
  PRIMARY KEY (invoice_id, position)
);

-- Why a line is what it is: each service's time in the period, each reported quantity.
CREATE TABLE wholesale_evidence (
  invoice_id uuid NOT NULL,
  position int NOT NULL,
  subject text NOT NULL, -- the service
  from_at timestamptz NOT NULL,
  to_at timestamptz NOT NULL,
  quantity numeric(20, 8) NOT NULL, -- pieces, or units
  share numeric(20, 12) NOT NULL,   -- of the month
  price_minor numeric(20, 8) NOT NULL,
  amount_minor numeric(20, 8) NOT NULL, -- before the line is rounded
  start_key text NOT NULL, -- the usage event that began it
  stop_key text NOT NULL,  -- and the one that ended it; empty: it ran on
  -- An adjustment takes back what was billed (a negative quantity) beside what should have been.
  PRIMARY KEY (invoice_id, position, subject, from_at, start_key, quantity)
);

-- The platform's own books, as a tenant's: one row a movement.
CREATE TABLE ledger_postings (
  key text NOT NULL,
  position int NOT NULL,
  at timestamptz NOT NULL,
  debit text NOT NULL,
  credit text NOT NULL,
  tenant_id bigint,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  source_kind text NOT NULL,
  source_id uuid NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (key, position),
  CHECK (debit <> credit)
);
CREATE INDEX ledger_postings_by_time ON ledger_postings (at);

CREATE TABLE wholesale_payments (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE,
  invoice_id uuid NOT NULL REFERENCES wholesale_invoices,
  tenant_id bigint NOT NULL,
  gateway text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  state text NOT NULL CHECK (state IN ('created', 'requires_action', 'processing', 'succeeded', 'failed', 'cancelled')),
  method_ref text NOT NULL DEFAULT '', -- the card that is charged; empty: one entered in the browser, or none
  ref text,
  decline_code text NOT NULL,
  decline_text text NOT NULL,
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  changed_at timestamptz NOT NULL,
  UNIQUE (gateway, ref)
);
CREATE UNIQUE INDEX wholesale_payments_one_under_way ON wholesale_payments (invoice_id) WHERE state IN ('created', 'requires_action', 'processing');

CREATE TABLE gateway_events (
  gateway text NOT NULL,
  id text NOT NULL,
  type text NOT NULL,
  body jsonb NOT NULL,
  received_at timestamptz NOT NULL,
  processed_at timestamptz,
  outcome text NOT NULL,
  PRIMARY KEY (gateway, id)
);

-- The usage ledger names what an event is about, so that starts and stops pair.
ALTER TABLE usage_events ADD COLUMN subject text NOT NULL DEFAULT '';
CREATE INDEX usage_events_by_subject ON usage_events (tenant_id, subject, at);
CREATE INDEX usage_events_by_recording ON usage_events (recorded_at);

-- How a reseller who does not pay is treated, and who asked for what when.
ALTER TABLE tenants ADD COLUMN restriction text NOT NULL DEFAULT ''
  CHECK (restriction IN ('', 'no_new_sales', 'read_only', 'notice')); -- each includes the ones before it
ALTER TABLE tenants ADD COLUMN restricted_since timestamptz;
