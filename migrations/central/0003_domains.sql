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
  verified_at timestamptz,
  dns_ok_at timestamptz,
  drifted_at timestamptz,
  cert_serial text,
  cert_issuer text,
  not_before timestamptz,
  not_after timestamptz,
  renew_at timestamptz,
  ari_window jsonb,
  next_at timestamptz,       -- when the worker looks at it again
  attempts int NOT NULL DEFAULT 0,
  checked_at timestamptz,
  observed jsonb NOT NULL DEFAULT '{}', -- what the last preflight saw, per record and resolver
  last_error_code text,
  last_error text,           -- in the words the reseller reads
  paused_until timestamptz,
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

-- Orders we may still place with the certificate authority.
CREATE TABLE acme_budget (
  account text PRIMARY KEY,
  window_start timestamptz NOT NULL,
  used_new int NOT NULL DEFAULT 0,
  used_renewal int NOT NULL DEFAULT 0,
  paused_until timestamptz
);

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
