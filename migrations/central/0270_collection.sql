-- Taking cards for resellers: what their customers pay to the platform's own account at the
-- gateway is on the reseller's balance, less a fee.

-- On what terms, from a moment on: a payment's are those of the moment it was begun.
CREATE TABLE collection_terms (
  tenant_id bigint NOT NULL,
  valid_from timestamptz NOT NULL,
  allowed boolean NOT NULL,
  fee_ppm bigint NOT NULL CHECK (fee_ppm BETWEEN 0 AND 500000), -- of each payment, in millionths
  fee_minor bigint NOT NULL CHECK (fee_minor >= 0), -- and so much besides
  hold_days int NOT NULL CHECK (hold_days BETWEEN 0 AND 180), -- before it is paid out
  set_by text NOT NULL,
  PRIMARY KEY (tenant_id, valid_from)
);

-- Each payment that came, once by the gateway's name for it.
CREATE TABLE collected_payments (
  gateway text NOT NULL,
  ref text NOT NULL,
  id uuid NOT NULL UNIQUE,
  tenant_id bigint NOT NULL,
  key text NOT NULL,       -- the shop's name for it
  reference text NOT NULL, -- the number of the invoice it paid
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  fee_minor bigint NOT NULL CHECK (fee_minor BETWEEN 0 AND amount_minor),
  refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
  withdrawn_minor bigint NOT NULL DEFAULT 0, -- by banks, because of disputes
  disputes jsonb, -- as in wholesale_payments
  came_at timestamptz NOT NULL,
  free_at timestamptz NOT NULL, -- from when it may be paid out
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (gateway, ref)
);
CREATE INDEX collected_payments_of ON collected_payments (tenant_id, free_at);

-- Payments of which shops say that something happened: the gateway is asked what.
CREATE TABLE collected_news (
  tenant_id bigint NOT NULL, -- who says so
  ref text NOT NULL,
  told_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, ref)
);

-- What was collected and not paid out yet; it is on the balance as far as no invoice took it.
ALTER TABLE reseller_profiles ADD COLUMN collected_minor bigint NOT NULL DEFAULT 0;
-- Where it is paid out to: {holder, iban, bic, changed_at}; null: not known.
ALTER TABLE reseller_profiles ADD COLUMN payout_account jsonb;

ALTER TABLE balance_movements ADD CONSTRAINT balance_movements_kinds
  CHECK (kind IN ('topup', 'invoice', 'refund', 'returned', 'collected', 'fee', 'customer_refund', 'dispute', 'payout')) NOT VALID;
ALTER TABLE balance_movements VALIDATE CONSTRAINT balance_movements_kinds;
-- contract: balance_movements_kinds says it since this migration, with more kinds
ALTER TABLE balance_movements DROP CONSTRAINT balance_movements_kind_check;
