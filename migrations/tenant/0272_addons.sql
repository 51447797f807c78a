-- Sliders and add-ons are options, too: a slider begins at a number of its own, an add-on
-- is bought with a service or later, and leaves it at the end of what is paid.
-- contract: the check of the next line allows all that this one did
ALTER TABLE options DROP CONSTRAINT options_kind_check;
ALTER TABLE options ADD CONSTRAINT options_kind_check CHECK (kind IN ('choice', 'quantity', 'slider', 'addon'));
ALTER TABLE options ADD COLUMN start int;   -- what a slider begins with; null: the minimum
ALTER TABLE options ADD COLUMN plans jsonb; -- ids of the plans it can be had with; null: all of its product
