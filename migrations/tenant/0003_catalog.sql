-- What the reseller sells: product, plan, price.
CREATE TABLE products (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  type text NOT NULL CHECK (type IN ('vps', 'dedicated', 'web_hosting', 'game_server', 'cloud_desktop', 'vpn_server', 'license', 'generic')),
  name text NOT NULL,
  summary text NOT NULL,
  position int NOT NULL,
  visibility text NOT NULL CHECK (visibility IN ('public', 'hidden', 'archived')),
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE TABLE plans (
  id uuid PRIMARY KEY,
  product_id uuid NOT NULL REFERENCES products,
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text NOT NULL,
  summary text NOT NULL,
  facts jsonb NOT NULL,       -- ordered list of {label, value} a customer compares
  recommended boolean NOT NULL DEFAULT false,
  position int NOT NULL,
  visibility text NOT NULL CHECK (visibility IN ('public', 'hidden', 'archived')),
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  UNIQUE (product_id, slug)
);

-- Explicit prices: one row a plan, currency and cycle. Minor units.
CREATE TABLE prices (
  plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  cycle text NOT NULL CHECK (cycle IN ('hourly', 'monthly', 'quarterly', 'semi_annual', 'annual', 'biennial', 'triennial', 'one_time')),
  amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
  setup_minor bigint NOT NULL DEFAULT 0 CHECK (setup_minor >= 0),
  PRIMARY KEY (plan_id, currency, cycle)
);
