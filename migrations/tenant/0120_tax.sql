-- What tax rests on besides an account's country. tax_check is what the register said
-- of tax_id: {number, state, asked_at, answered_at, request, name, address, problem};
-- tax_exemption a certificate: {number, note, from, to}, days, to the last one.
ALTER TABLE accounts ADD COLUMN tax_check jsonb;
ALTER TABLE accounts ADD COLUMN tax_exemption jsonb;
-- Where a buyer was, by all that spoke for it: {billing_country, ip, tax_id, number_state}.
ALTER TABLE orders ADD COLUMN evidence jsonb;
