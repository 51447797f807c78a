-- Whether the renewals of one day make one invoice; null: as the shop says.
ALTER TABLE accounts ADD COLUMN one_invoice boolean;

-- When what a line asks for was taken back, while others of its invoice stay: its
-- subscription is of the invoice no more. null: it was not.
ALTER TABLE invoice_lines ADD COLUMN withdrawn_at timestamptz;
