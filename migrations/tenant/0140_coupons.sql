-- Codes that take something off. What was bought with one keeps the terms it had then.
CREATE TABLE coupons (
  code text PRIMARY KEY CHECK (code ~ '^[A-Z0-9][A-Z0-9_-]{1,31}$'),
  kind text NOT NULL CHECK (kind IN ('percent', 'amount')),
  ppm int CHECK (ppm > 0 AND ppm <= 1000000), -- of a percentage, in parts per million
  amounts jsonb NOT NULL,       -- of an amount, by currency, in minor units: {"EUR": 500}
  cycles int NOT NULL CHECK (cycles >= 0), -- invoices it counts for, the first included; 0: all
  setup boolean NOT NULL,       -- also off fees for setting up
  plans jsonb NOT NULL,         -- ids of the plans it is for; empty: all
  countries jsonb NOT NULL,     -- of the invoice's address; empty: all
  new_customers boolean NOT NULL, -- only for the first order of an account
  max_uses int CHECK (max_uses > 0),
  max_per_account int CHECK (max_per_account > 0),
  uses int NOT NULL CHECK (uses >= 0), -- by orders that are not cancelled
  starts_at timestamptz,
  ends_at timestamptz,          -- the first moment it no longer counts
  state text NOT NULL CHECK (state IN ('active', 'off')),
  note text NOT NULL,           -- for the reseller's team
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CHECK ((kind = 'percent') = (ppm IS NOT NULL)),
  CHECK (ends_at > starts_at)
);

ALTER TABLE orders ADD COLUMN coupon text; -- the code it was placed with
ALTER TABLE orders ADD COLUMN off_minor bigint CHECK (off_minor >= 0); -- what the code took off its invoice
-- What is taken off its invoices, as billing.Discount; null: nothing.
ALTER TABLE subscriptions ADD COLUMN discount jsonb;

-- One draft and one published version at most, by one index instead of two.
CREATE UNIQUE INDEX brand_versions_one_current ON brand_versions (state) WHERE state IN ('draft', 'published');
-- contract: brand_versions_one_current holds the same since this migration
DROP INDEX brand_versions_one_draft;
-- contract: brand_versions_one_current holds the same since this migration
DROP INDEX brand_versions_one_published;
