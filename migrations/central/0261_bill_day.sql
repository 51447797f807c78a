-- A reseller's month may begin on a day of its own: [{from, day}], from when on which day of
-- the month its months begin. Empty: calendar months.
ALTER TABLE reseller_profiles ADD COLUMN bill_days jsonb NOT NULL DEFAULT '[]';

-- A run bills those whose month it is: 2026-10, 2026-10-15 for the month from that day on, or
-- 2026-11-01..2026-11-15 for the short one between two bill days.
-- contract: the check of the next line allows all that this one did
ALTER TABLE wholesale_runs DROP CONSTRAINT wholesale_runs_period_check;
ALTER TABLE wholesale_runs ADD CONSTRAINT wholesale_runs_known_period
  CHECK (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])(-[0-9]{2}(\.\.[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2})?)?$');
