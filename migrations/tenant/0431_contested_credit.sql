-- Credit whose payment is disputed is held, and taken back when the bank takes the money for
-- good: moves of the kinds held and lost. A gift code that nobody redeemed counts no more while
-- disputed_at is set; with withdrawn_at as well its money is gone.
ALTER TABLE gift_codes ADD COLUMN disputed_at timestamptz;
-- contract: the check of the next line allows all that this one did
ALTER TABLE credit_moves DROP CONSTRAINT credit_moves_kind_check;
ALTER TABLE credit_moves ADD CONSTRAINT credit_moves_kind_check CHECK (kind IN ('granted', 'spent', 'returned', 'expired', 'withdrawn', 'held', 'lost'));
