-- Who an invoice goes to. Empty text: not given.
ALTER TABLE accounts ADD COLUMN number bigint; -- customer number, from the series 'customer'
ALTER TABLE accounts ADD COLUMN kind text CHECK (kind IN ('person', 'business'));
ALTER TABLE accounts ADD COLUMN billing jsonb;  -- {name, company, line1, line2, postcode, city, region, country, email, phone}
ALTER TABLE accounts ADD COLUMN country text CHECK (country ~ '^[A-Z]{2}$'); -- the same as in billing: tax asks for it
ALTER TABLE accounts ADD COLUMN tax_id text;
ALTER TABLE accounts ADD COLUMN notify jsonb;   -- what is mailed to whom besides what must be
ALTER TABLE accounts ADD COLUMN default_method_id uuid;
ALTER TABLE accounts ADD COLUMN closed_at timestamptz;

-- Invitations into an account lie among the single-use links: the address may be that
-- of nobody yet, so they name it and no person.
ALTER TABLE single_use_links ALTER COLUMN person_id DROP NOT NULL;
ALTER TABLE single_use_links ADD COLUMN account_id uuid REFERENCES accounts ON DELETE CASCADE;
ALTER TABLE single_use_links ADD COLUMN email text;
ALTER TABLE single_use_links ADD COLUMN email_key text;
ALTER TABLE single_use_links ADD COLUMN role text CHECK (role IN ('owner', 'admin', 'technical', 'billing', 'read_only'));
ALTER TABLE single_use_links ADD COLUMN invited_by uuid REFERENCES people ON DELETE CASCADE;
ALTER TABLE single_use_links ADD CHECK (person_id IS NOT NULL OR account_id IS NOT NULL AND email IS NOT NULL AND email_key IS NOT NULL AND role IS NOT NULL AND invited_by IS NOT NULL);

-- What happened, in plain words: to a service, an order, an invoice, an account. The
-- key keeps one thing from being told twice.
CREATE TABLE timeline (
  id uuid NOT NULL,
  key text PRIMARY KEY,
  account_id uuid, -- null: no customer's
  subject_kind text NOT NULL CHECK (subject_kind IN ('account', 'order', 'subscription', 'service', 'invoice', 'payment')),
  subject_id uuid NOT NULL,
  kind text NOT NULL, -- service.active
  text text NOT NULL, -- what people read
  actor text NOT NULL,
  customer_sees boolean NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX timeline_by_subject ON timeline (subject_id, at);
CREATE INDEX timeline_by_account ON timeline (account_id, at);

-- Machines and programs that act for an account. Only the hash of a token is kept.
CREATE TABLE api_tokens (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  person_id uuid NOT NULL REFERENCES people, -- who made it; the token may do no more than they
  name text NOT NULL,
  scopes jsonb NOT NULL,
  token_hash bytea NOT NULL UNIQUE,
  hint text NOT NULL, -- the last four characters
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);

-- Answers to writes that carried an idempotency key, kept for a day.
CREATE TABLE idempotency_keys (
  scope text NOT NULL, -- whose key it is: token/<id>
  key text NOT NULL,
  request_hash bytea NOT NULL,
  status int, -- null: the first request is still being worked on
  answer bytea,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);

-- Where events are sent, by the Standard Webhooks scheme.
CREATE TABLE webhook_endpoints (
  id uuid PRIMARY KEY,
  account_id uuid REFERENCES accounts, -- null: the reseller's own
  url text NOT NULL,
  events jsonb NOT NULL, -- list of types; empty: all
  sealed_secrets bytea NOT NULL, -- the newest first; more than one while a secret is changed
  state text NOT NULL CHECK (state IN ('active', 'paused', 'failing')),
  state_note text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE TABLE webhook_deliveries (
  id uuid PRIMARY KEY, -- of the message: the same for every attempt
  endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
  key text NOT NULL, -- of the event
  type text NOT NULL,
  body text NOT NULL,
  state text NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
  attempts int NOT NULL,
  last_status int,
  last_answer text,
  created_at timestamptz NOT NULL,
  last_at timestamptz,
  UNIQUE (endpoint_id, key)
);
