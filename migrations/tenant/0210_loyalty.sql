-- What was taken off periods that are invoiced and not over, as [{period, discount}]: loyalty
-- goes by time and by settings, so it could not be worked out later. Null: see discount.
ALTER TABLE subscriptions ADD COLUMN taken jsonb;
