-- How many domains of its own a reseller may have on a tier.
ALTER TABLE tiers ADD COLUMN domains integer NOT NULL DEFAULT 25 CHECK (domains >= 0);
