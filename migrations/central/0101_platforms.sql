-- Outside systems that deliver, and what they can still take.

CREATE TABLE platforms (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  driver text NOT NULL, -- virtfusion
  base_url text NOT NULL,
  sealed_secret bytea NOT NULL,
  settings jsonb NOT NULL, -- of the driver
  state text NOT NULL CHECK (state IN ('on', 'draining', 'off')), -- draining: nothing new
  health text NOT NULL CHECK (health IN ('unknown', 'up', 'down')),
  health_note text NOT NULL,
  health_since timestamptz,
  checked_at timestamptz,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);

-- What a SKU is on a platform, in one region: the driver's words for package, group….
CREATE TABLE offers (
  id uuid PRIMARY KEY,
  sku text NOT NULL REFERENCES skus,
  platform_id uuid NOT NULL REFERENCES platforms,
  region text NOT NULL,       -- ams
  region_name text NOT NULL,  -- Amsterdam
  parameters jsonb NOT NULL,  -- {packageId, hypervisorGroupId}
  images jsonb NOT NULL,      -- [{code, name, group, parameter}]
  capacity int,               -- pieces it may hold in all; null: unknown
  used int NOT NULL,          -- as the platform last said
  state text NOT NULL CHECK (state IN ('on', 'off')),
  checked_at timestamptz,
  changed_at timestamptz NOT NULL,
  UNIQUE (sku, platform_id, region)
);

-- Room kept for an order that is being paid for.
CREATE TABLE holds (
  tenant_id bigint NOT NULL,
  key text NOT NULL,
  offer_id uuid NOT NULL REFERENCES offers,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL, -- then the room is free again
  used_at timestamptz,             -- the service exists now and counts itself
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX holds_open ON holds (offer_id, expires_at) WHERE used_at IS NULL;
CREATE INDEX holds_used ON holds (offer_id, used_at) WHERE used_at IS NOT NULL;

-- Every tenant's services, as the tenants told through the door: for staff, for
-- reconciliation, and for the audit to compare with.
CREATE TABLE services (
  tenant_id bigint NOT NULL,
  service_id uuid NOT NULL,
  sku text NOT NULL,
  label text NOT NULL,
  platform_id uuid NOT NULL,
  region text NOT NULL,
  ref text NOT NULL,
  desired text NOT NULL,
  observed text NOT NULL,
  problem text NOT NULL,
  address text NOT NULL,
  began_at timestamptz,
  ended_at timestamptz,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, service_id)
);
CREATE INDEX services_by_platform ON services (platform_id, ref);
CREATE INDEX services_by_change ON services (changed_at);

-- What the tenants took and gave back, once a key: staff's view of revenue.
CREATE TABLE revenue_events (
  tenant_id bigint NOT NULL,
  key text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('invoiced', 'credited', 'paid', 'refunded')),
  currency text NOT NULL,
  amount_minor bigint NOT NULL, -- net for invoiced and credited
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX revenue_events_by_time ON revenue_events (at);

-- What a tenant's subscriptions are worth a month, as last told.
CREATE TABLE tenant_figures (
  tenant_id bigint NOT NULL,
  name text NOT NULL,     -- mrr, subscriptions, overdue
  currency text NOT NULL, -- empty: a count
  value bigint NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, name, currency)
);

-- What staff should know of, once a key, and whether it was told.
CREATE TABLE alerts (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE,
  tenant_id bigint, -- null: the platform's own
  kind text NOT NULL, -- reseller.new, order.large, payment.failed, service.failed, platform.down
  text text NOT NULL,
  detail jsonb NOT NULL,
  at timestamptz NOT NULL,
  sent_at timestamptz,
  seen_at timestamptz,
  seen_by text NOT NULL DEFAULT ''
);
CREATE INDEX alerts_by_time ON alerts (at);

-- Where alerts go besides the console.
CREATE TABLE alert_channels (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('discord', 'mail')),
  name text NOT NULL,
  sealed_target bytea NOT NULL, -- a webhook's address is a secret
  kinds jsonb NOT NULL, -- list; empty: all
  state text NOT NULL CHECK (state IN ('on', 'off', 'gone')),
  last_error text NOT NULL,
  changed_at timestamptz NOT NULL
);

-- Which partner, a person of the central world 'partner', speaks for which tenant.
CREATE TABLE partners (
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  tenant_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (person_id, tenant_id)
);
CREATE INDEX partners_by_tenant ON partners (tenant_id);
