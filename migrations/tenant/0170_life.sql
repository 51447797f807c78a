-- Subscriptions are paused: the service is off, nothing is invoiced, and what is paid moves.
ALTER TABLE subscriptions ADD COLUMN pause jsonb; -- the pause there is, those there were, and what is paid since they moved it; null: never paused
-- contract: the states are held by subscriptions_known_state since this migration
ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_state_check;
ALTER TABLE subscriptions ADD CONSTRAINT subscriptions_known_state CHECK (state IN ('pending', 'active', 'past_due', 'suspended', 'paused', 'ended'));
-- How long a customer may pause it within a year; null: only the reseller's team may.
ALTER TABLE plans ADD COLUMN pause_days int CHECK (pause_days > 0);
