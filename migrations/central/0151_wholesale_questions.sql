-- What resellers question on their invoices, what was said of it, and what it came to.

CREATE TABLE wholesale_questions (
  id uuid PRIMARY KEY,
  invoice_id uuid NOT NULL REFERENCES wholesale_invoices,
  position int NOT NULL,
  tenant_id bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'accepted', 'declined')),
  asked_at timestamptz NOT NULL,
  decided_by text,
  decided_at timestamptz,
  changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX wholesale_questions_one_open ON wholesale_questions (invoice_id, position) WHERE state = 'open';
CREATE INDEX wholesale_questions_by_tenant ON wholesale_questions (tenant_id, asked_at);
CREATE INDEX wholesale_questions_open ON wholesale_questions (changed_at) WHERE state = 'open';

CREATE TABLE wholesale_question_notes (
  question_id uuid NOT NULL REFERENCES wholesale_questions,
  nth int NOT NULL,
  by_staff boolean NOT NULL,
  author text NOT NULL,
  text text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (question_id, nth)
);

-- Credit notes: each corrects a line of one invoice and never more than is left of both.
-- Numbered without gaps and chained, as the invoices are.
CREATE TABLE wholesale_credits (
  id uuid PRIMARY KEY,
  question_id uuid NOT NULL UNIQUE REFERENCES wholesale_questions,
  invoice_id uuid NOT NULL REFERENCES wholesale_invoices,
  position int NOT NULL,
  tenant_id bigint NOT NULL,
  number text NOT NULL UNIQUE,
  sequence bigint NOT NULL UNIQUE,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  net_minor bigint NOT NULL CHECK (net_minor > 0),
  tax_minor bigint NOT NULL CHECK (tax_minor >= 0),
  total_minor bigint NOT NULL,
  document jsonb NOT NULL, -- as issued
  hash bytea NOT NULL,
  prev_hash bytea NOT NULL,
  issued_by text NOT NULL,
  issued_at timestamptz NOT NULL,
  CHECK (total_minor = net_minor + tax_minor)
);
CREATE INDEX wholesale_credits_by_invoice ON wholesale_credits (invoice_id);
