-- Money of wholesale payments that went back, asked for at the gateway's own pages.
CREATE TABLE wholesale_refunds (
  gateway text NOT NULL,
  ref text NOT NULL, -- the gateway's name for it
  id uuid NOT NULL UNIQUE,
  payment_id uuid NOT NULL REFERENCES wholesale_payments,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  state text NOT NULL CHECK (state IN ('processing', 'succeeded', 'failed')),
  problem text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (gateway, ref)
);
CREATE INDEX wholesale_refunds_by_payment ON wholesale_refunds (payment_id);

-- What resellers' banks ask back of a payment; as in a tenant's payments.
ALTER TABLE wholesale_payments ADD COLUMN disputes jsonb;
