-- One reseller's world. No name of a schema stands in any of these files.

-- The reseller's team and its customers. World keeps them apart: the same
-- address may be both, with two passwords and two sessions.
CREATE TABLE people (
  id uuid PRIMARY KEY,
  world text NOT NULL CHECK (world IN ('reseller', 'customer')),
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  role text NOT NULL,
  password_hash text,
  totp_secret bytea,
  totp_confirmed_at timestamptz,
  totp_last_step bigint NOT NULL DEFAULT 0,
  email_verified_at timestamptz,
  disabled_at timestamptz,
  session_epoch int NOT NULL DEFAULT 0,
  locale text NOT NULL DEFAULT 'en',
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  UNIQUE (world, email_key)
);

CREATE TABLE recovery_codes (
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  code_hash bytea NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (person_id, code_hash)
);

CREATE TABLE single_use_links (
  token_hash bytea PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  purpose text NOT NULL CHECK (purpose IN ('reset', 'verify', 'invite')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

CREATE TABLE logins (
  id uuid PRIMARY KEY,
  world text NOT NULL,
  person_id uuid,
  email_key text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('ok', 'wrong_password', 'wrong_code', 'throttled', 'unknown', 'disabled', 'recovery_code')),
  ip text NOT NULL,
  user_agent text NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX logins_by_person ON logins (person_id, at);

-- Customers are businesses (or persons) with members.
CREATE TABLE accounts (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  time_zone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE TABLE memberships (
  account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'technical', 'billing', 'read_only')),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, person_id)
);
CREATE INDEX memberships_by_person ON memberships (person_id);

CREATE TABLE audit_entries (
  seq bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  actor_kind text NOT NULL,
  actor_id text NOT NULL,
  actor_name text NOT NULL,
  action text NOT NULL,
  target_kind text NOT NULL,
  target_id text NOT NULL,
  detail jsonb NOT NULL,
  ip text NOT NULL,
  request_id text NOT NULL,
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL
);
CREATE INDEX audit_entries_by_target ON audit_entries (target_kind, target_id, seq);

CREATE TABLE audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  seq bigint NOT NULL,
  hash bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, '');

CREATE TABLE mails (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE,
  template text NOT NULL,
  to_address text NOT NULL,
  subject text NOT NULL,
  sealed_body bytea,
  state text NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  attempts int NOT NULL DEFAULT 0,
  last_error text,
  created_at timestamptz NOT NULL,
  sent_at timestamptz
);
