-- Several codes on one order. orders.coupon then names all of them with blanks between, in
-- order, and stack says of each what it took off and its variant: {"TEN": {"off": 100, "variant": "a"}}.
ALTER TABLE coupons ADD COLUMN stacks text CHECK (stacks IN ('any', 'kinds')); -- with any other code, or with those of other kinds; null: it counts alone
ALTER TABLE orders ADD COLUMN stack jsonb; -- null: one code, or none
