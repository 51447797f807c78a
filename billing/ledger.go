package billing

// The accounts of the books. A reseller's books and the platform's use the same.
const (
	Receivable = "receivable"  // what is invoiced and neither paid nor credited
	Revenue    = "revenue"     // net
	TaxPayable = "tax_payable" // collected for the state
	cashPrefix = "cash/"

	DisputeLosses  = "dispute_losses" // what banks gave back to their customers for good
	disputedPrefix = "disputed/"
)

// Cash is the account of money received through a gateway: cash/stripe.
func Cash(gateway string) string { return cashPrefix + gateway }

// Disputed is the account of money a gateway holds back while a bank decides whose it
// is: disputed/stripe.
func Disputed(gateway string) string { return disputedPrefix + gateway }

// Posting is one movement between two accounts of the books; Amount is positive. A
// movement cannot be out of balance, so no set of them can.
type Posting struct {
	Debit, Credit string
	Amount        Money
	Note          string
}

// PostInvoice is what issuing an invoice moves. Nothing moves for nothing.
func PostInvoice(net, tax Money) []Posting {
	return movements(
		Posting{Receivable, Revenue, net, "net"},
		Posting{Receivable, TaxPayable, tax, "tax"},
	)
}

// PostCredit is what a credit note takes back of an invoice.
func PostCredit(net, tax Money) []Posting {
	return movements(
		Posting{Revenue, Receivable, net, "net credited"},
		Posting{TaxPayable, Receivable, tax, "tax credited"},
	)
}

// PostPayment is money received for an invoice through a gateway.
func PostPayment(gateway string, amount Money) []Posting {
	return movements(Posting{Cash(gateway), Receivable, amount, "received"})
}

// PostRefund is money given back through a gateway. It is owed again unless a credit
// note says otherwise.
func PostRefund(gateway string, amount Money) []Posting {
	return movements(Posting{Receivable, Cash(gateway), amount, "given back"})
}

// PostDispute is money that a gateway takes back because of a dispute, and how much of
// what it took is lost for good. Negative: it gives back, or what was lost is won after
// all. The invoice stays paid: the seller decides whether it is owed again.
func PostDispute(gateway string, withdrawn, lost Money) []Posting {
	return movements(
		Posting{Disputed(gateway), Cash(gateway), withdrawn, "withdrawn for a dispute"},
		Posting{DisputeLosses, Disputed(gateway), lost, "dispute lost"},
	)
}

// movements drops what is nothing and turns what is negative around.
func movements(all ...Posting) []Posting {
	var kept []Posting
	for _, p := range all {
		if p.Amount.Minor < 0 {
			p.Debit, p.Credit, p.Amount.Minor = p.Credit, p.Debit, -p.Amount.Minor
		}
		if p.Amount.Minor > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// Balances is what postings leave on each account: debits less credits. The balances
// of all accounts sum to nothing. The postings are of one currency.
func Balances(postings []Posting) (map[string]Money, error) {
	left := map[string]Money{}
	for _, p := range postings {
		for account, move := range map[string]Money{p.Debit: p.Amount, p.Credit: {-p.Amount.Minor, p.Amount.Currency}} {
			was, known := left[account]
			if !known {
				was = Money{Currency: p.Amount.Currency}
			}
			sum, err := was.Add(move)
			if err != nil {
				return nil, err
			}
			left[account] = sum
		}
	}
	return left, nil
}
