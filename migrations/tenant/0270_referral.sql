-- Customers who bring others. Both are kept with the accounts: a customer is brought once,
-- and whoever brought some has them by their ids.
-- {by, state, joined_at, network, invoice_id, paid_at, due_at, reason, decided_at, decided_by,
-- referrer_minor, referrer_currency, newcomer_minor}; null: nobody brought it.
ALTER TABLE accounts ADD COLUMN referral jsonb;
ALTER TABLE accounts ADD COLUMN brought jsonb; -- ids of the accounts it brought, in order; null: none
