-- Prices that change on a day, and prices agreed on with one customer.

-- What a plan, or an option of a product, is to cost from a day on. Prices are
-- [{choice, currency, cycle, was, minor}], choice of an option's.
CREATE TABLE price_changes (
  id uuid PRIMARY KEY,
  plan_id uuid REFERENCES plans,
  option_id uuid REFERENCES options,
  from_at timestamptz NOT NULL,
  prices jsonb NOT NULL,
  running boolean NOT NULL,     -- also for who has it already
  notice_days int NOT NULL CHECK (notice_days >= 0), -- between a letter and the first period of the new price
  state text NOT NULL CHECK (state IN ('scheduled', 'begun', 'cancelled')),
  due_at timestamptz,           -- when something is to be done about it; null: nothing
  announced_at timestamptz,     -- everybody who had it then was told
  begun_at timestamptz,
  cancelled_at timestamptz,
  created_at timestamptz NOT NULL,
  CHECK ((plan_id IS NULL) <> (option_id IS NULL))
);
CREATE UNIQUE INDEX price_changes_next ON price_changes (coalesce(plan_id, option_id)) WHERE state = 'scheduled'; -- one at a time

-- What one account pays for a plan instead of the shop's price.
CREATE TABLE agreed_prices (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  plan_id uuid NOT NULL REFERENCES plans,
  cycle text,                   -- null: any
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint CHECK (amount_minor >= 0), -- a cycle; null: by percentage
  off_ppm int CHECK (off_ppm > 0 AND off_ppm <= 1000000), -- off the shop's price
  from_at timestamptz NOT NULL,
  until_at timestamptz,         -- null: until it is ended
  running boolean NOT NULL,     -- also for what the account has already
  note text NOT NULL,
  created_at timestamptz NOT NULL,
  CHECK ((amount_minor IS NULL) <> (off_ppm IS NULL)),
  CHECK (amount_minor IS NULL OR cycle IS NOT NULL)
);
CREATE INDEX agreed_prices_by_account ON agreed_prices (account_id);

-- Prices that wait for a subscription's next periods; null: none.
ALTER TABLE subscriptions ADD COLUMN reprices jsonb;
-- Which of the two set what a line costs; null: it is as it was sold.
ALTER TABLE invoice_lines ADD COLUMN price_id uuid;
