-- What a service has of the price book besides its own product (an address, a licence), and
-- had, each with its time: [{code, sku, n, from, to}]. Null: nothing ever.
ALTER TABLE services ADD COLUMN addons jsonb;
