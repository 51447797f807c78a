-- What resellers have paid ahead: a balance that their invoices are settled from.
ALTER TABLE reseller_profiles ADD COLUMN prepaid boolean NOT NULL DEFAULT false; -- terms: to be paid ahead
ALTER TABLE reseller_profiles ADD COLUMN balance_minor bigint NOT NULL DEFAULT 0; -- the sum of its movements
ALTER TABLE reseller_profiles ADD COLUMN warn_minor bigint CHECK (warn_minor > 0); -- warned when no more is left; null: a fifth of the balance
ALTER TABLE reseller_profiles ADD COLUMN topup_minor bigint CHECK (topup_minor > 0); -- taken from the kept card then; null: nothing
ALTER TABLE reseller_profiles ADD CONSTRAINT reseller_profiles_prepaid_or_limit CHECK (NOT prepaid OR credit_limit_minor IS NULL);

-- What moved a balance, with what was left after it.
CREATE TABLE balance_movements (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE,
  tenant_id bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('topup', 'invoice', 'refund', 'returned')),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor <> 0), -- more, or less
  left_minor bigint NOT NULL,
  invoice_id uuid REFERENCES wholesale_invoices, -- that was paid from it
  payment_id uuid REFERENCES wholesale_payments, -- that brought the money, or took it
  note text NOT NULL,
  made_by text NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX balance_movements_by_tenant ON balance_movements (tenant_id, at);

-- A payment without an invoice is a top-up.
ALTER TABLE wholesale_payments ALTER COLUMN invoice_id DROP NOT NULL;
CREATE INDEX wholesale_payments_of_balance ON wholesale_payments (tenant_id) WHERE invoice_id IS NULL;
