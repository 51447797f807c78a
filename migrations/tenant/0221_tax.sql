-- Rates of a region on top of its country's (null: instead of it). A rate for one kind of
-- customer says so behind its class: standard@business, standard@consumer.
ALTER TABLE tax_rates ADD COLUMN adds boolean;
-- What a product is to tax: a class of billing.Classes; null: standard.
ALTER TABLE products ADD COLUMN tax_class text;
-- Where the buyer was by all that spoke for it when an invoice was issued: {billing_country,
-- billing_region, tax_id, number_state, ip, card_country}.
ALTER TABLE invoices ADD COLUMN evidence jsonb;
-- Where a saved method was issued, ISO 3166; null: its gateway does not say.
ALTER TABLE payment_methods ADD COLUMN country text;
