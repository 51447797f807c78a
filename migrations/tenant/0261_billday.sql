-- The day of the month on which what an account has renews; null: each on its own.
ALTER TABLE accounts ADD COLUMN bill_day int CHECK (bill_day BETWEEN 1 AND 28);

-- What a subscription paid before the anchor its periods are counted from, and how it was
-- sold if it begins so: {quoted, day} or {paid, discount}; null: it has none.
ALTER TABLE subscriptions ADD COLUMN stub jsonb;
