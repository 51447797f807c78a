package billing

// The accounts of the books about what resellers have paid ahead.
const (
	Prepaid        = "prepaid"         // owed to them until an invoice takes it
	PrepaidRefunds = "prepaid_refunds" // on its way back
)

// PrepaidStage is how near a balance has come to its end: used is what is owed and what the
// running month will cost. Nothing left is LimitReached; no more than warn left is
// LimitNear, where zero stands for a fifth of the balance.
func PrepaidStage(balance, used, warn int64) LimitStage {
	if warn <= 0 {
		warn = balance / 5 // rounded down: never early
	}
	switch left := balance - used; {
	case left <= 0:
		return LimitReached
	case left <= warn:
		return LimitNear
	}
	return LimitFine
}

// Draw says how much a balance pays of each thing that is owed, the first of them first. What
// is not owed takes nothing, and an empty balance pays nothing.
func Draw(balance int64, owed []int64) []int64 {
	parts := make([]int64, len(owed))
	for i, o := range owed {
		parts[i] = max(min(o, balance), 0)
		balance -= parts[i]
	}
	return parts
}

// PostTopUp is money that came through a gateway to be kept ahead; negative: it went back
// there.
func PostTopUp(gateway string, amount Money) []Posting {
	return movements(Posting{Cash(gateway), Prepaid, amount, "paid ahead"})
}

// PostDrawn is an invoice paid from what was paid ahead.
func PostDrawn(amount Money) []Posting {
	return movements(Posting{Prepaid, Receivable, amount, "paid by balance"})
}

// PostPrepaidWithdrawn is money paid ahead that is to go back; negative: it could not.
func PostPrepaidWithdrawn(amount Money) []Posting {
	return movements(Posting{Prepaid, PrepaidRefunds, amount, "to be given back"})
}

// PostPrepaidPaidOut is money that was withdrawn and went back through a gateway; negative:
// it came back after all.
func PostPrepaidPaidOut(gateway string, amount Money) []Posting {
	return movements(Posting{PrepaidRefunds, Cash(gateway), amount, "given back"})
}
