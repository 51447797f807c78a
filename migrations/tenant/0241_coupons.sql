-- More of what codes can do.
-- contract: the check of the next line allows all that this one did
ALTER TABLE coupons DROP CONSTRAINT coupons_kind_check;
ALTER TABLE coupons ADD CONSTRAINT coupons_kind_check CHECK (kind IN ('percent', 'amount', 'free', 'trial'));
ALTER TABLE coupons ADD COLUMN days int CHECK (days > 0); -- of a trial that is longer by them; null: of another kind
ALTER TABLE coupons ADD COLUMN accounts jsonb; -- ids of the accounts it is for; null: all
ALTER TABLE coupons ADD COLUMN other jsonb;    -- what half of those who use it get instead, as {ppm, amounts, cycles, days}; null: nothing else
ALTER TABLE orders ADD COLUMN variant text CHECK (variant IN ('a', 'b')); -- of its code, where it has two; null: it has not
