-- What only the customer can do of an invoice that is due, and when they asked for time.
ALTER TABLE invoices ADD COLUMN asked_at timestamptz; -- the bank wants the customer to confirm: nothing is charged without them since
ALTER TABLE invoices ADD COLUMN week_at timestamptz;  -- the customer asked for a week more; null: they have not

-- What led to a payment: link/<letter>, when it was a letter's link that needs no sign-in.
ALTER TABLE payments ADD COLUMN via text;
