-- Trials: something runs for some days, and nothing is owed for them.
ALTER TABLE plans ADD COLUMN trial_days int CHECK (trial_days > 0); -- null: there is no trial
ALTER TABLE plans ADD COLUMN trial_card boolean; -- a card is saved before it begins; null: none is asked for
ALTER TABLE subscriptions ADD COLUMN trial jsonb; -- the trial it began with, also once it is over; null: none
-- contract: the check of the next line allows all that this one did
ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_known_state;
ALTER TABLE subscriptions ADD CONSTRAINT subscriptions_known_state CHECK (state IN ('pending', 'trial', 'active', 'past_due', 'suspended', 'paused', 'ended'));

-- What tells the same card apart from another one, as its gateway says it; null: it says nothing.
ALTER TABLE payment_methods ADD COLUMN fingerprint text;

-- Who has had a trial of a product: an account, a mailbox, a card. Each has one.
CREATE TABLE trial_marks (
  product_id uuid NOT NULL REFERENCES products,
  mark text NOT NULL, -- account:<id>, mail:<hash of its canonical form>, card:<gateway>:<fingerprint>
  subscription_id uuid NOT NULL REFERENCES subscriptions,
  at timestamptz NOT NULL,
  PRIMARY KEY (product_id, mark)
);
