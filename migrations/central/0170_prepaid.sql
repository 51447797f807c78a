-- How far a reseller who pays afterwards may be in debt: what is open and the running month
-- count against it. null: there is no limit.
ALTER TABLE reseller_profiles ADD COLUMN credit_limit_minor bigint CHECK (credit_limit_minor > 0);
ALTER TABLE reseller_profiles ADD COLUMN limit_used_minor bigint NOT NULL DEFAULT 0; -- when it was looked at last
ALTER TABLE reseller_profiles ADD COLUMN limit_stage text NOT NULL DEFAULT '' CHECK (limit_stage IN ('', 'near', 'reached'));
ALTER TABLE reseller_profiles ADD COLUMN limit_looked_at timestamptz;
