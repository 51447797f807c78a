-- Credit of customers: what they have paid ahead, and what they were given.

-- A top-up is a document of its own series, beside invoices: it is paid like one and is
-- none, for nothing was sold yet.
-- contract: the check of the next line allows all that this one did
ALTER TABLE invoices DROP CONSTRAINT invoices_kind_check;
ALTER TABLE invoices ADD CONSTRAINT invoices_kind_check CHECK (kind IN ('invoice', 'credit_note', 'top_up'));

ALTER TABLE accounts ADD COLUMN credit_by_hand boolean; -- true: the customer spends credit themselves; null: on every invoice
ALTER TABLE refunds ADD COLUMN grant_id uuid; -- given back as credit
ALTER TABLE invoices ADD COLUMN credit_minor bigint; -- of what was paid, what credit paid; null: nothing

-- One row a piece of credit. Its id is made of its natural key, so that it is given once.
CREATE TABLE credit_grants (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  kind text NOT NULL CHECK (kind IN ('top_up', 'given', 'refund', 'gift', 'referral')),
  bought boolean NOT NULL, -- money was paid for it; false: the shop gave it
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  left_minor bigint NOT NULL CHECK (left_minor >= 0 AND left_minor <= amount_minor),
  expires_at timestamptz, -- the first moment it no longer counts; null: never
  source_id uuid,         -- the top-up, payment, refund or account it came of
  note text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX credit_grants_by_account ON credit_grants (account_id);

-- What became of it, each step once: its sum is what is left.
CREATE TABLE credit_moves (
  grant_id uuid NOT NULL REFERENCES credit_grants,
  key text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('granted', 'spent', 'returned', 'expired', 'withdrawn')),
  minor bigint NOT NULL CHECK (minor <> 0), -- less than nothing: taken
  invoice_id uuid REFERENCES invoices,      -- of what was spent and returned
  actor text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (grant_id, key)
);

-- Codes that become credit, once. Only the hash of a code is kept: it is shown when it is
-- made, and one that was bought when its buyer asks for it, each time as another code.
CREATE TABLE gift_codes (
  code_hash bytea PRIMARY KEY,
  hint text NOT NULL,  -- its last four characters; empty: it was not shown yet
  batch text NOT NULL, -- what the team calls the codes it made at once
  batch_id uuid NOT NULL, -- of the form that made them, or the payment of one that was bought
  bought_by uuid REFERENCES accounts, -- null: the shop made it
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  expires_at timestamptz,
  redeemed_by uuid REFERENCES accounts,
  redeemed_at timestamptz,
  withdrawn_at timestamptz, -- it counts no more
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

-- What moved between the shop and one of its customers.
CREATE INDEX ledger_postings_by_account ON ledger_postings (account_id, at);
