-- What an hour of a subscription costs, from when on: [{from, parts, off}], those of the last
-- months; null: what the meter of its plan says. And what was agreed on for an hour.
ALTER TABLE subscriptions ADD COLUMN hours jsonb;
ALTER TABLE agreed_prices ADD COLUMN hour jsonb; -- {rate, most}; null: the price is an amount or a share

-- contract: a price is an amount, a share, or that of an hour
ALTER TABLE agreed_prices DROP CONSTRAINT agreed_prices_check;
ALTER TABLE agreed_prices ADD CONSTRAINT agreed_prices_one_price CHECK ((amount_minor IS NOT NULL)::int + (off_ppm IS NOT NULL)::int + (hour IS NOT NULL)::int = 1);
