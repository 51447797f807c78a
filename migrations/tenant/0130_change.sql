-- Changes of what is sold. Null: as the shop does it unless it says otherwise.
ALTER TABLE plans ADD COLUMN upgrade text CHECK (upgrade IN ('prorate', 'at_renewal', 'full_price'));
ALTER TABLE plans ADD COLUMN downgrade text CHECK (downgrade IN ('at_renewal', 'credit', 'refund', 'nothing'));

ALTER TABLE subscriptions ADD COLUMN change jsonb;        -- the one change under way, from its acceptance to its end; null: none
ALTER TABLE subscriptions ADD COLUMN picked jsonb;        -- what was chosen, by a change; null: as in its order
ALTER TABLE subscriptions ADD COLUMN credit_minor bigint; -- net, of a downgrade, to be taken off the next invoices
