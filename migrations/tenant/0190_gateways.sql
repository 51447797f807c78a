-- More ways to take money, and money that came by bank.
ALTER TABLE gateways ADD CONSTRAINT gateways_known CHECK (code IN ('stripe', 'paypal', 'coinbase', 'sandbox', 'transfer')) NOT VALID;
ALTER TABLE gateways VALIDATE CONSTRAINT gateways_known;
-- contract: gateways_known says it since this migration, with more codes
ALTER TABLE gateways DROP CONSTRAINT gateways_code_check;

-- Keeping a way to pay, begun at the gateway's own pages and not ended. Who comes back from
-- there brings the id; what the gateway calls it is known here alone.
CREATE TABLE method_setups (
  id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts,
  gateway text NOT NULL REFERENCES gateways,
  ref text NOT NULL,
  created_at timestamptz NOT NULL
);

-- What stands on the bank's statements of the shop's account, each booking once.
CREATE TABLE bank_bookings (
  id uuid PRIMARY KEY,
  key text NOT NULL UNIQUE, -- the account and the bank's name for the booking, or a hash of all it says
  source text NOT NULL,     -- the statement or file it came with
  booked_on date NOT NULL,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  amount_minor bigint NOT NULL CHECK (amount_minor <> 0), -- negative: it left the account
  party text NOT NULL,      -- who paid, as the bank writes it
  party_account text NOT NULL,
  text text NOT NULL,       -- what was written for the receiver
  reference text NOT NULL,  -- what the payer's bank passed on end to end
  state text NOT NULL CHECK (state IN ('open', 'applied', 'aside')),
  applied_minor bigint NOT NULL CHECK (applied_minor >= 0),
  payments jsonb NOT NULL,  -- ids of the payments it became
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX bank_bookings_open ON bank_bookings (booked_on) WHERE state = 'open';
