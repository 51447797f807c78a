-- Pieces of the stock that are kept for accounts while they check out, as billing.StockHold
-- by account: {"<account>": {"pieces": 1, "until": "…"}}; null: none. What is over counts no
-- more, and goes with the next change.
ALTER TABLE plans ADD COLUMN held jsonb;
