-- Add-ons that are charged once, with what they are bought with: a migration, an hour of help.
-- contract: the check of the next line allows all that this one did
ALTER TABLE options DROP CONSTRAINT options_kind_check;
ALTER TABLE options ADD CONSTRAINT options_kind_check CHECK (kind IN ('choice', 'quantity', 'slider', 'addon', 'once'));
