-- How many people a reseller's team may have on a tier, and how many services may run for its
-- customers; null: no limit.
ALTER TABLE tiers ADD COLUMN team integer CHECK (team > 0);
ALTER TABLE tiers ADD COLUMN services integer CHECK (services > 0);
