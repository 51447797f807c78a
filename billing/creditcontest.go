package billing

// ContestedCredit is bought credit whose payment is disputed, in minor units of its currency.
type ContestedCredit struct {
	Left int64 // counts
	Held int64 // does not, while the bank decides
	Lost int64 // does not any more: the bank took the money for good
}

// Settle is the credit as it has to be where so much of its payment is away, and of that so
// much for good. What is left is held, then what comes back from invoices, never more than is
// away; what comes back to the seller is given back. What was spent cannot be held: it is the
// seller's loss. It is the same whatever was settled before.
func (c ContestedCredit) Settle(away, gone int64) ContestedCredit {
	all := c.Left + c.Held + c.Lost
	taken := min(max(away, 0), all)
	lost := min(max(gone, 0), taken)
	return ContestedCredit{Left: all - taken, Held: taken - lost, Lost: lost}
}

// PostCreditContested is bought credit that is held because its payment is disputed, and of
// what is held so much that is lost to its owner; negative: the other way.
func PostCreditContested(from string, held, lost Money) []Posting {
	return movements(Posting{from, CreditHeld, held, "payment disputed"}, Posting{CreditHeld, CreditTakenBack, lost, "payment taken back"})
}
