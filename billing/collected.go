package billing

import "fmt"

// CollectionFees is the account of the books of what the platform keeps of payments it takes
// for its resellers.
const CollectionFees = "collection_fees"

// CollectionFee is what the platform keeps of each payment that it takes for a reseller: a
// share in millionths and an amount. It stays when the payment goes back.
type CollectionFee struct {
	Ppm   int64
	Fixed int64 // minor units of the payment's currency
}

// Of is the fee of a payment, the share rounded half away from zero; never more than the
// payment, and nothing of nothing.
func (f CollectionFee) Of(payment Money) (Money, error) {
	share, err := payment.Ratio(f.Ppm, 1_000_000)
	if err != nil {
		return Money{}, fmt.Errorf("fee of %s: %w", payment, err)
	}
	fee, err := share.Add(Money{f.Fixed, payment.Currency})
	if err != nil {
		return Money{}, fmt.Errorf("fee of %s: %w", payment, err)
	}
	fee.Minor = max(min(fee.Minor, payment.Minor), 0)
	return fee, nil
}

// Payable is how much of a balance may be paid out: of what was collected, and neither paid
// out yet nor taken by invoices, what is not held back, as far as the balance has more than
// is needed for what is owed. What is held back may be what is needed.
func Payable(balance, collected, heldBack, needed int64) int64 {
	return max(min(balance-max(needed, 0), collected-max(heldBack, 0)), 0)
}

// PostCollected is a customer's payment to the platform's own account, owed to their
// reseller from now on; negative: it went back there, or a bank took it.
func PostCollected(gateway string, amount Money) []Posting {
	return movements(Posting{Cash(gateway), Prepaid, amount, "collected for the reseller"})
}

// PostCollectionFee is what the platform keeps of a payment.
func PostCollectionFee(fee Money) []Posting {
	return movements(Posting{Prepaid, CollectionFees, fee, "fee for collecting"})
}

// PostPaidOut is money of a balance that was sent to the reseller; negative: it came back.
func PostPaidOut(gateway string, amount Money) []Posting {
	return movements(Posting{Prepaid, Cash(gateway), amount, "paid out"})
}
