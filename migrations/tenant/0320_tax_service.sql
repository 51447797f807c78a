-- What an outside tax service said is charged at a place, on a class of products and a kind of
-- customer. Invoices go by it as long as it is fresh; none waits for it.
CREATE TABLE tax_answers (
  place text NOT NULL, -- US-TX-77002, CA-BC, DE
  class text NOT NULL,
  customer text NOT NULL,
  answer jsonb, -- billing.TaxAnswer; null: there never was one
  answered_at timestamptz,
  asked_at timestamptz NOT NULL,
  next_at timestamptz NOT NULL, -- not asked again before
  tries int NOT NULL, -- questions without an answer since the last one
  problem text NOT NULL, -- why the last question has no answer; empty: it has
  PRIMARY KEY (place, class, customer)
);
-- contract: one page of the team reads bookings by their state, of a table of some thousands;
-- the code before finds them without it as well.
DROP INDEX bank_bookings_open;
