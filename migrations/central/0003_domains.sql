-- Domains the resellers bring, and what serving them needs.

CREATE TABLE domains (
  id uuid PRIMARY KEY,
  tenant_id bigint NOT NULL,
  host text NOT NULL,        -- ASCII (punycode), lower case, no trailing dot
  state text NOT NULL CHECK (state IN ('pending', 'verified', 'issuing', 'active', 'misdirected', 'conflict',
    'caa_forbids', 'rate_limited', 'failing', 'drifted', 'removed')),
  verify_token text NOT NULL, -- value of the TXT record; bound to tenant and host, new for each row
  edge_label text NOT NULL,   -- first label of the CNAME target of this tenant
  is_primary boolean NOT NULL DEFAULT false,
  serving boolean NOT NULL DEFAULT false, -- the resolver answers for it and TLS may load its certificate
  pending_since timestamptz NOT NULL, -- a claim without proof ends seven days after
  verified_at timestamptz,
  dns_ok_at timestamptz,
  drifted_at timestamptz,
  cert_serial text,
  cert_issuer text,
  authority text,            -- whose certificate it is: the first part of its storage keys
  not_before timestamptz,
  not_after timestamptz,
  renew_at timestamptz,
  next_at timestamptz,       -- when the worker looks at it again
  claimed_until timestamptz, -- a worker looks at it now; after this it must have died
  order_after timestamptz,   -- after a failure: no order before this
  attempts int NOT NULL DEFAULT 0,
  checked_at timestamptz,
  owner_checked_at timestamptz, -- the proof of ownership is looked at again every week
  asked_at timestamptz,      -- somebody pressed "check now"
  observed jsonb NOT NULL DEFAULT '{}', -- what the last preflight saw, per record and resolver
  last_error_code text,
  last_error text,           -- in the words the reseller reads
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  removed_at timestamptz
);
-- A name is served for one tenant; others may only wait for it with a proof of their own.
CREATE UNIQUE INDEX domains_one_server ON domains (host) WHERE serving;
CREATE UNIQUE INDEX domains_one_per_tenant ON domains (tenant_id, host) WHERE state <> 'removed';
CREATE INDEX domains_due ON domains (next_at) WHERE next_at IS NOT NULL AND state <> 'removed';
CREATE INDEX domains_by_host ON domains (host);

CREATE TABLE domain_events (
  id uuid PRIMARY KEY,
  domain_id uuid NOT NULL REFERENCES domains,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  from_state text NOT NULL,
  to_state text NOT NULL,
  code text NOT NULL,
  detail text NOT NULL
);
CREATE INDEX domain_events_by_domain ON domain_events (domain_id, at);

-- Names of our own that need a certificate: a wildcard, the tenants' own hosts where
-- there is none, the console.
CREATE TABLE platform_names (
  name text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('waiting', 'active', 'failing')),
  cert_serial text,
  authority text,
  not_before timestamptz,
  not_after timestamptz,
  renew_at timestamptz,
  next_at timestamptz,
  claimed_until timestamptz,
  order_after timestamptz,
  attempts int NOT NULL DEFAULT 0,
  last_error_code text,
  last_error text,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX platform_names_due ON platform_names (next_at) WHERE next_at IS NOT NULL;

-- The account with the certificate authority. Its row is locked to take an order, so
-- that nodes cannot overdraw the budget together.
CREATE TABLE acme_budget (
  account text PRIMARY KEY,
  paused_until timestamptz, -- the authority told us to wait
  paused_by text,           -- not null: a person stopped all orders
  reason text NOT NULL DEFAULT ''
);

-- Every order placed; the budgets are counted from it.
CREATE TABLE acme_orders (
  id uuid PRIMARY KEY,
  account text NOT NULL,
  name text NOT NULL,
  registered text NOT NULL, -- the name that was bought
  renewal boolean NOT NULL,
  at timestamptz NOT NULL,
  finished_at timestamptz,
  outcome text NOT NULL DEFAULT '' -- empty: under way; issued, or the code of the error
);
CREATE INDEX acme_orders_by_account ON acme_orders (account, at);
CREATE INDEX acme_orders_by_registered ON acme_orders (registered, at);
CREATE INDEX acme_orders_by_name ON acme_orders (name, at);

-- Storage for certmagic: certificates, keys (sealed), challenge tokens, accounts.
CREATE TABLE tls_assets (
  key text PRIMARY KEY,
  value bytea NOT NULL,
  modified_at timestamptz NOT NULL
);

CREATE TABLE tls_ticket_keys (
  id uuid PRIMARY KEY,
  sealed_key bytea NOT NULL,
  created_at timestamptz NOT NULL
);

-- Locks for a database behind a pooler of transactions, where an advisory lock has no
-- session to live in.
CREATE TABLE tls_locks (
  name text PRIMARY KEY,
  token text NOT NULL,
  expires_at timestamptz NOT NULL
);
