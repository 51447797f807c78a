-- Invoices the team writes by hand, until they are issued: what they are to say, which may
-- still change. Issued, invoice_id is the invoice; its key is hand/<id>.
CREATE TABLE invoice_drafts (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  lines jsonb NOT NULL, -- [{text, quantity, unit_minor, class}]
  period_from date,
  period_to date, -- the last day
  term_days int NOT NULL,
  invoice_id uuid REFERENCES invoices,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
-- The work of a month reads all that is open, which the other index lists.
-- contract: no query needs it since it was made
DROP INDEX recognitions_due;
