package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// DisputeState is where a customer's objection at their bank stands.
type DisputeState string

// The states of a dispute. Won and Lost are the bank's word; it seldom takes it back.
const (
	NeedsResponse DisputeState = "needs_response" // evidence is awaited until EvidenceBy
	UnderReview   DisputeState = "under_review"   // the bank decides
	Won           DisputeState = "won"            // of an inquiry: closed, and no money moved
	Lost          DisputeState = "lost"
)

// rank orders the states of one dispute in time.
func (s DisputeState) rank() int {
	switch s {
	case NeedsResponse:
		return 1
	case UnderReview:
		return 2
	}
	return 3
}

// Closed reports whether the bank has decided.
func (s DisputeState) Closed() bool { return s.rank() == 3 }

// Dispute is a payment that its customer's bank asks back, as the gateway knows it.
type Dispute struct {
	Ref        string
	Payment    string // ref
	State      DisputeState
	Inquiry    bool // the bank only asks yet
	Reason     string
	Amount     billing.Money
	Withdrawn  billing.Money // what was taken from the seller and not given back to them
	Moves      int           // how often money moved: grows, so that it tells old news from new
	EvidenceBy time.Time     // zero: none is awaited
	OpenedAt   time.Time
}

// Overseer is a gateway at whose own pages its owner gives money back, and that tells of
// disputes.
type Overseer interface {
	// RefundsOf is what was given back of a payment, whoever asked for it.
	RefundsOf(ctx context.Context, paymentRef string) ([]Refunded, error)
	// Dispute is how a dispute stands now.
	Dispute(ctx context.Context, ref string) (Dispute, error)
}

// Disputed is a dispute as it is kept with its payment.
type Disputed struct {
	Ref            string       `json:"ref"`
	State          DisputeState `json:"state"`
	Inquiry        bool         `json:"inquiry,omitempty"`
	Reason         string       `json:"reason"`
	AmountMinor    int64        `json:"amount_minor"`
	WithdrawnMinor int64        `json:"withdrawn_minor"`
	LostMinor      int64        `json:"lost_minor"` // of what was withdrawn
	Moves          int          `json:"moves"`
	Booked         int          `json:"booked"` // how many movements stand in the books
	EvidenceBy     time.Time    `json:"evidence_by,omitzero"`
	OpenedAt       time.Time    `json:"opened_at"`
	ChangedAt      time.Time    `json:"changed_at"`
	Reminded       bool         `json:"reminded,omitempty"` // that the evidence is due
}

// DisputeNews is what a word of the gateway changes about a dispute.
type DisputeNews struct {
	Fresh   bool // it was not known
	Changed bool // false: nothing; the rest is zero
	Was     Disputed
	Now     Disputed
	// What moves in the books, in minor units: money taken from the seller (given back
	// to them: negative), and how much of what was taken is lost for good.
	Withdrawn, Lost int64
}

// Hear works a word of the gateway into the disputes kept of a payment. News that are
// older than what is known change nothing, in whatever order they come.
func Hear(kept []Disputed, d Dispute, now time.Time) ([]Disputed, DisputeNews) {
	i := slices.IndexFunc(kept, func(k Disputed) bool { return k.Ref == d.Ref })
	var was Disputed
	if i >= 0 {
		was = kept[i]
		if d.Moves < was.Moves || d.Moves == was.Moves && d.State.rank() < was.State.rank() {
			return kept, DisputeNews{}
		}
	}
	next := Disputed{
		Ref: d.Ref, State: d.State, Inquiry: d.Inquiry, Reason: d.Reason, AmountMinor: d.Amount.Minor, WithdrawnMinor: d.Withdrawn.Minor,
		Moves: d.Moves, Booked: was.Booked, EvidenceBy: d.EvidenceBy.UTC(), OpenedAt: d.OpenedAt.UTC(), ChangedAt: was.ChangedAt, Reminded: was.Reminded,
	}
	if d.State == Lost {
		next.LostMinor = next.WithdrawnMinor
	}
	if i >= 0 && next == was {
		return kept, DisputeNews{}
	}
	n := DisputeNews{Fresh: i < 0, Changed: true, Was: was, Withdrawn: next.WithdrawnMinor - was.WithdrawnMinor, Lost: next.LostMinor - was.LostMinor}
	if n.Withdrawn != 0 || n.Lost != 0 {
		next.Booked++
	}
	next.ChangedAt = now.UTC()
	n.Now = next
	all := slices.Clone(kept)
	if i < 0 {
		return append(all, next), n
	}
	all[i] = next
	return all, n
}

// reasons are what people read; the words of gateways differ from these.
var reasons = map[string]string{ //nolint:gochecknoglobals // a constant table
	"fraudulent": "the cardholder does not recognise the payment as theirs", "unrecognized": "the cardholder does not recognise the payment",
	"duplicate": "it was charged twice", "product_not_received": "what was paid for was not received", "product_unacceptable": "what was received is not what was sold",
	"subscription_canceled": "the subscription had been cancelled", "credit_not_processed": "a refund was promised and did not come",
	"general":              "no particular reason was given",
	"debit_not_authorized": "the account's owner says they allowed no debit", "customer_initiated": "the account's owner sent the debit back",
	"insufficient_funds": "there was not enough money on the account", "incorrect_account_details": "the account is not right", "bank_cannot_process": "the bank could not carry the debit out",
}

// Why is the reason of a dispute in words.
func Why(reason string) string {
	if said, ok := reasons[reason]; ok {
		return said
	}
	return "the bank gives another reason"
}
