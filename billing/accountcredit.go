package billing

import (
	"fmt"
	"slices"
	"time"
)

// CreditGrant is one piece of an account's credit.
type CreditGrant struct {
	Bought    bool // money was paid for it; false: the seller gave it
	Left      Money
	ExpiresAt time.Time // the first moment it no longer counts; zero: never
	GrantedAt time.Time
}

// Counts reports whether it can be spent on something of a currency at a moment.
func (g CreditGrant) Counts(currency string, at time.Time) bool {
	return g.Left.Currency == currency && g.Left.Minor > 0 && (g.ExpiresAt.IsZero() || at.Before(g.ExpiresAt))
}

// SpendOrder compares two grants by which is spent first: what expires soonest, what was
// given before what was bought, the older one.
func SpendOrder(a, b CreditGrant) int {
	switch {
	case a.ExpiresAt.IsZero() != b.ExpiresAt.IsZero():
		if a.ExpiresAt.IsZero() {
			return 1
		}
		return -1
	case !a.ExpiresAt.Equal(b.ExpiresAt):
		return a.ExpiresAt.Compare(b.ExpiresAt)
	case a.Bought != b.Bought:
		if a.Bought {
			return 1
		}
		return -1
	}
	return a.GrantedAt.Compare(b.GrantedAt)
}

// Spend says how much of each grant pays an amount, in the order of SpendOrder; what does
// not count gives nothing. The parts come to the amount, or to all that counts if that is
// less.
func Spend(grants []CreditGrant, amount Money, at time.Time) ([]Money, error) {
	if amount.Minor < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNegative, amount)
	}
	order := make([]int, len(grants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return SpendOrder(grants[a], grants[b]) })
	parts, rest := make([]Money, len(grants)), amount.Minor
	for i := range parts {
		parts[i].Currency = amount.Currency
	}
	for _, i := range order {
		if grants[i].Counts(amount.Currency, at) {
			parts[i].Minor = min(rest, grants[i].Left.Minor)
			rest -= parts[i].Minor
		}
	}
	return parts, nil
}

// The accounts of the books about customers' credit.
const (
	CustomerCredit    = "customer_credit"    // paid ahead, and owed to customers
	PromotionalCredit = "promotional_credit" // given, and not used yet
	Promotions        = "promotions"         // what giving costs
	CreditExpired     = "credit_expired"     // paid ahead and never used
	CreditRefunds     = "credit_refunds"     // paid ahead and on its way back
	GiftCodes         = "gift_codes"         // paid for, and redeemed by nobody yet
	CreditLosses      = "credit_losses"      // given back though it was used
	CreditHeld        = "credit_held"        // paid ahead with money that is disputed
	CreditTakenBack   = "credit_taken_back"  // of that, what was not spent when the bank took the money for good
)

// CreditAccount is where credit stands: what was bought apart from what was given.
func CreditAccount(bought bool) string {
	if bought {
		return CustomerCredit
	}
	return PromotionalCredit
}

// PostCreditGranted is credit that comes of an account of the books: of the cash of a
// top-up, of what a customer owed and had paid, of promotions.
func PostCreditGranted(from string, bought bool, amount Money) []Posting {
	return movements(Posting{from, CreditAccount(bought), amount, "credit"})
}

// PostCreditSpent is credit that pays an invoice; negative: it goes back to credit.
func PostCreditSpent(bought bool, amount Money) []Posting {
	return movements(Posting{CreditAccount(bought), Receivable, amount, "paid by credit"})
}

// PostCreditExpired is credit that nobody used in its time: what was given costs nothing
// then, what was bought is earned.
func PostCreditExpired(bought bool, amount Money) []Posting {
	if bought {
		return movements(Posting{CustomerCredit, CreditExpired, amount, "expired"})
	}
	return movements(Posting{PromotionalCredit, Promotions, amount, "expired"})
}

// PostCreditPaidOut is bought credit that went back through a gateway, after it was
// withdrawn; negative: it came back.
func PostCreditPaidOut(gateway string, amount Money) []Posting {
	return movements(Posting{CreditRefunds, Cash(gateway), amount, "given back"})
}

// PostGiftSold is money that came for a gift code; until somebody redeems it, it is owed
// to whoever does.
func PostGiftSold(gateway string, amount Money) []Posting {
	return movements(Posting{Cash(gateway), GiftCodes, amount, "gift code"})
}

// PostGiftWithdrawn is a gift code nobody redeemed, whose money is on its way back;
// negative: it came back.
func PostGiftWithdrawn(amount Money) []Posting {
	return movements(Posting{GiftCodes, CreditRefunds, amount, "on its way back"})
}

// PostCreditLost is money of a top-up that goes back though the credit was used.
func PostCreditLost(amount Money) []Posting {
	return movements(Posting{CreditLosses, CreditRefunds, amount, "used and given back"})
}

// PostCreditWithdrawn is bought credit that is on its way back to who paid for it;
// negative: it came back.
func PostCreditWithdrawn(amount Money) []Posting {
	return movements(Posting{CustomerCredit, CreditRefunds, amount, "on its way back"})
}
