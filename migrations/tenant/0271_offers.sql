-- What somebody who cancels is offered instead, and took: {made, discount}, made as
-- billing.MadeOffer, discount as billing.Discount that an offer takes off invoices; null: nothing.
ALTER TABLE subscriptions ADD COLUMN stays jsonb;
