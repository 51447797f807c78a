-- What services have of the price book besides their own product, as shops tell it with them:
-- [{code, sku, n, from, to}]. Null: nothing ever.
ALTER TABLE services ADD COLUMN addons jsonb;
