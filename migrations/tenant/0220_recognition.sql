-- What is invoiced for a time ahead and earned as it passes: a row for each line of an
-- invoice that posts to deferred_revenue. What is left of net_minor is what is deferred;
-- the row says over what time that is earned. period_from null: the time begins later,
-- with the payment of an order. held: a pause stops it.
CREATE TABLE recognitions (
  invoice_id uuid NOT NULL REFERENCES invoices,
  position int NOT NULL, -- of the line
  account_id uuid NOT NULL,
  subscription_id uuid,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  net_minor bigint NOT NULL,  -- to be earned over the period; less than nothing: a discount
  done_minor bigint NOT NULL, -- of it, so much was recognised
  done_to timestamptz NOT NULL, -- up to when; before the time begins, when it was issued
  period_from timestamptz,
  period_to timestamptz,
  held boolean NOT NULL,
  PRIMARY KEY (invoice_id, position),
  CHECK ((period_from IS NULL) = (period_to IS NULL))
);
CREATE INDEX recognitions_due ON recognitions (done_to) WHERE done_minor <> net_minor;
CREATE INDEX recognitions_by_subscription ON recognitions (subscription_id) WHERE done_minor <> net_minor;
