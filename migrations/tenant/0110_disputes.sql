-- What customers' banks ask back of a payment, with the payment: it is locked whenever
-- they change. [{ref, state, reason, amount_minor, withdrawn_minor, evidence_by, …}];
-- null: nothing ever was.
ALTER TABLE payments ADD COLUMN disputes jsonb;
