-- Days an account has to pay what it is invoiced; null: none of its own, its invoices fall
-- due as the shop says.
ALTER TABLE accounts ADD COLUMN term_days int CHECK (term_days BETWEEN 1 AND 90);
