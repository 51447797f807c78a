-- What the owner of a bank account agreed to, with the text they read: {ref, reference,
-- url, bank, account, text, agreed_at, ip}. null: no bank account.
ALTER TABLE payment_methods ADD COLUMN mandate jsonb;

-- What is known of an account that was connected to the platform's at the gateway, and is
-- no secret: {account, charges, payouts, submitted, due, disabled, checked_at}. null: none.
ALTER TABLE gateways ADD COLUMN connected jsonb;
