-- From the offer to the running thing.

-- An offer with its price, to the cent, for a quarter of an hour. It is accepted once.
CREATE TABLE quotes (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('checkout', 'change')),
  account_id uuid REFERENCES accounts, -- null: a stranger's
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  net_minor bigint NOT NULL,
  tax_minor bigint NOT NULL,
  total_minor bigint NOT NULL,
  body jsonb NOT NULL, -- what was asked for and each line with how it came about
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  CHECK (total_minor = net_minor + tax_minor)
);

CREATE TABLE orders (
  id uuid PRIMARY KEY,
  number bigint NOT NULL, -- from the series 'order'
  quote_id uuid NOT NULL UNIQUE REFERENCES quotes, -- an offer becomes one order
  account_id uuid NOT NULL REFERENCES accounts,
  person_id uuid NOT NULL REFERENCES people,
  state text NOT NULL CHECK (state IN ('awaiting_payment', 'paid', 'fulfilled', 'cancelled')),
  invoice_id uuid, -- null: nothing to pay
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  total_minor bigint NOT NULL,
  ip text NOT NULL,
  placed_at timestamptz NOT NULL,
  paid_at timestamptz,
  changed_at timestamptz NOT NULL
);
CREATE INDEX orders_by_account ON orders (account_id, placed_at);

-- What is paid for again and again. Prices stand as they were sold.
CREATE TABLE subscriptions (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  order_id uuid NOT NULL REFERENCES orders,
  plan_id uuid NOT NULL REFERENCES plans,
  label text NOT NULL, -- product and plan as sold: "VPS Small"
  state text NOT NULL CHECK (state IN ('pending', 'active', 'past_due', 'suspended', 'ended')),
  cycle text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor >= 0), -- a cycle, as the catalog prices it
  items jsonb NOT NULL, -- [{kind, code, label, quantity, amount_minor}]: what amount is made of
  method_id uuid, -- null: the account's default
  anchor_at timestamptz, -- first day; null: not begun
  period_from timestamptz,
  period_to timestamptz,
  renewals int NOT NULL, -- invoices after the first
  renews_at timestamptz, -- when the next invoice is to be made; null: never
  cancel_at timestamptz,
  cancel_reason text NOT NULL,
  cancel_note text NOT NULL,
  ended_at timestamptz,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX subscriptions_by_account ON subscriptions (account_id);
CREATE INDEX subscriptions_by_order ON subscriptions (order_id);
CREATE INDEX subscriptions_due ON subscriptions (renews_at) WHERE renews_at IS NOT NULL;

-- The running thing: what is wanted of it, what was last seen, what is being done.
CREATE TABLE services (
  id uuid PRIMARY KEY,
  subscription_id uuid NOT NULL UNIQUE REFERENCES subscriptions,
  account_id uuid NOT NULL REFERENCES accounts,
  type text NOT NULL, -- as in products
  sku text NOT NULL,
  label text NOT NULL, -- product and plan as sold
  name text NOT NULL,  -- what the customer calls it
  platform_id uuid NOT NULL, -- a platform of the central schema
  region text NOT NULL,
  image text NOT NULL,
  spec jsonb NOT NULL, -- what is created; see provisioners.Spec
  hostname text NOT NULL,
  ssh_keys jsonb NOT NULL, -- of the order; a new installation gets them again
  desired text NOT NULL CHECK (desired IN ('active', 'suspended', 'terminated')),
  observed text NOT NULL CHECK (observed IN ('none', 'installing', 'active', 'suspended', 'failed', 'gone')),
  operation text NOT NULL, -- create, rebuild, suspend, release, resize, terminate, reboot…; empty: none
  step text NOT NULL,      -- where the operation stands
  operation_key uuid,      -- names the operation to the platform
  operation_since timestamptz,
  operation_args jsonb NOT NULL, -- what it was asked with: {"image": "debian-13"}
  progress int NOT NULL,   -- percent; 0: the platform does not say
  problem text NOT NULL,   -- why it cannot go on, for the reseller; empty: none
  attempts int NOT NULL,
  ref text NOT NULL,       -- the platform's name for it; empty: not known yet
  address text NOT NULL,   -- first IPv4 or host name
  addresses jsonb NOT NULL,
  power text NOT NULL CHECK (power IN ('', 'on', 'off')), -- as last seen
  sealed_credentials bytea,
  holds jsonb NOT NULL,    -- why it is suspended: {"billing": "…", "reseller": "…"}; empty object: it is not
  began_at timestamptz,    -- billed to the reseller from here
  ended_at timestamptz,
  seen_at timestamptz,     -- when the platform was last asked
  next_at timestamptz,     -- when it is to be driven or looked at next; null: never
  lease uuid,              -- of the worker that talks to the platform about it
  leased_until timestamptz,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX services_by_account ON services (account_id);
CREATE INDEX services_due ON services (next_at) WHERE next_at IS NOT NULL;
