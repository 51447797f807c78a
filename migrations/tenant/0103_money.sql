-- Invoices, payments and the books. Amounts are minor units of the row's currency.

-- One row a series of numbers; taking the next one locks it, so that no number is
-- left out. Series: invoice, credit_note, order, customer.
CREATE TABLE number_series (
  code text PRIMARY KEY,
  pattern text NOT NULL, -- "INV-{year}-{number:5}"
  next bigint NOT NULL CHECK (next > 0),
  last_hash bytea NOT NULL -- of the last document of the series
);

-- Percentages by country, region and class, with the days they hold.
CREATE TABLE tax_rates (
  country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
  region text NOT NULL, -- empty: the whole country
  class text NOT NULL,  -- standard, reduced, zero
  name text NOT NULL,   -- VAT, GST
  percent numeric(7, 4) NOT NULL CHECK (percent >= 0 AND percent <= 100),
  valid_from date NOT NULL,
  valid_to date, -- the first day it no longer holds
  source text NOT NULL,
  PRIMARY KEY (country, region, class, valid_from)
);

CREATE TABLE invoices (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE, -- order/<id>, renewal/<subscription>/<period>, credit/<what>
  kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
  corrects_id uuid REFERENCES invoices, -- of a credit note
  account_id uuid NOT NULL REFERENCES accounts,
  state text NOT NULL CHECK (state IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
  series text,
  sequence bigint,
  number text UNIQUE,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  net_minor bigint NOT NULL,
  tax_minor bigint NOT NULL,
  total_minor bigint NOT NULL,
  paid_minor bigint NOT NULL,     -- received and not given back
  credited_minor bigint NOT NULL, -- by credit notes
  document jsonb, -- what was issued, word for word; null: a draft
  hash bytea,     -- over the document and the hash before it in its series
  prev_hash bytea,
  issued_at timestamptz,
  due_at timestamptz,
  paid_at timestamptz,
  tries int NOT NULL,     -- failed attempts to collect it
  next_try_at timestamptz,-- null: nobody tries
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CHECK (total_minor = net_minor + tax_minor),
  CHECK (state = 'draft' OR (number IS NOT NULL AND document IS NOT NULL AND hash IS NOT NULL AND issued_at IS NOT NULL))
);
CREATE INDEX invoices_by_account ON invoices (account_id, issued_at);
CREATE INDEX invoices_open ON invoices (next_try_at) WHERE state = 'open' OR next_try_at IS NOT NULL; -- to collect, and what is owed

CREATE TABLE invoice_lines (
  invoice_id uuid NOT NULL REFERENCES invoices,
  position int NOT NULL,
  kind text NOT NULL, -- plan, option, setup, adjustment
  subscription_id uuid,
  description text NOT NULL,
  period_from timestamptz,
  period_to timestamptz,
  quantity bigint NOT NULL,
  unit_minor bigint NOT NULL,
  net_minor bigint NOT NULL,
  tax_percent numeric(7, 4) NOT NULL,
  tax_note text NOT NULL, -- reverse charge, exempt
  PRIMARY KEY (invoice_id, position)
);

-- How the shop takes money. Settings are sealed; public ones the browser sees.
CREATE TABLE gateways (
  code text PRIMARY KEY CHECK (code IN ('stripe', 'sandbox', 'transfer')),
  state text NOT NULL CHECK (state IN ('off', 'on')),
  sealed_settings bytea,
  public_settings jsonb NOT NULL,
  checked_at timestamptz,
  check_error text NOT NULL,
  position int NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE TABLE payment_methods (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  gateway text NOT NULL REFERENCES gateways,
  customer_ref text NOT NULL, -- the gateway's name for the account
  ref text NOT NULL,          -- and for the method
  kind text NOT NULL,         -- card
  label text NOT NULL,        -- Visa •••• 4242
  expires_on date,            -- first day it can no longer be used
  state text NOT NULL CHECK (state IN ('active', 'failing', 'removed')),
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  UNIQUE (gateway, ref)
);

CREATE TABLE payments (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE, -- names the attempt to us and to the gateway
  invoice_id uuid NOT NULL REFERENCES invoices,
  account_id uuid NOT NULL REFERENCES accounts,
  gateway text NOT NULL REFERENCES gateways,
  method_id uuid REFERENCES payment_methods,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  refunded_minor bigint NOT NULL CHECK (refunded_minor >= 0 AND refunded_minor <= amount_minor),
  state text NOT NULL CHECK (state IN ('created', 'requires_action', 'processing', 'succeeded', 'failed', 'cancelled')),
  ref text, -- the gateway's name for it
  decline_code text NOT NULL,
  decline_text text NOT NULL,
  on_session boolean NOT NULL, -- the customer was there
  created_at timestamptz NOT NULL,
  settled_at timestamptz,
  changed_at timestamptz NOT NULL,
  UNIQUE (gateway, ref)
);
CREATE INDEX payments_by_invoice ON payments (invoice_id);
-- At most one attempt at a time, or two tabs could pay twice.
CREATE UNIQUE INDEX payments_one_under_way ON payments (invoice_id) WHERE state IN ('created', 'requires_action', 'processing');

CREATE TABLE refunds (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE,
  payment_id uuid NOT NULL REFERENCES payments,
  credit_note_id uuid REFERENCES invoices,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  state text NOT NULL CHECK (state IN ('created', 'processing', 'succeeded', 'failed')),
  ref text,
  reason text NOT NULL,
  problem text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);

-- What gateways tell us, each once, in whatever order it comes.
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

-- Double entry, one row a movement from one account of the books to another: a row
-- cannot be out of balance, so neither can a set of them. The accounts are named in
-- billing. Rows are never changed; what was wrong is moved back.
CREATE TABLE ledger_postings (
  key text NOT NULL, -- natural key of the transaction: invoice/<id>
  position int NOT NULL,
  at timestamptz NOT NULL,
  debit text NOT NULL,
  credit text NOT NULL,
  account_id uuid, -- the customer it concerns
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  source_kind text NOT NULL, -- invoice, payment, refund
  source_id uuid NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (key, position),
  CHECK (debit <> credit)
);
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_postings FROM CURRENT_USER;
