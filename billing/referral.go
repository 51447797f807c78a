package billing

import "time"

// ReferralState is where a customer stands whom another one has brought.
type ReferralState string

// The states of a referral. Granted and refused are final for the rule; people may decide
// otherwise.
const (
	ReferralJoined  ReferralState = "joined"  // has not paid enough yet
	ReferralWaiting ReferralState = "waiting" // has paid, and the money may still go back
	ReferralGranted ReferralState = "granted"
	ReferralRefused ReferralState = "refused"
)

// Reasons why somebody gets no credit for a referral.
const (
	ReferralSamePerson  = "same_person"
	ReferralSameCard    = "same_card"
	ReferralSameNetwork = "same_network"
	ReferralGivenBack   = "given_back" // the payment, or its bank is asked to
	ReferralLimit       = "limit"      // the referrer has had as many as are paid for
	ReferralClosed      = "closed"     // an account of the two
	ReferralNoTerms     = "no_terms"   // nothing is given in the currency, or any more
	ReferralByHand      = "by_hand"
)

// ReferralTerms are what a shop gives in one currency.
type ReferralTerms struct {
	Referrer int64 `json:"referrer"` // to who brought somebody, in minor units
	Newcomer int64 `json:"newcomer"` // to whom they brought
	Least    int64 `json:"least"`    // the least that one invoice must be paid with, by money
}

// ReferralFacts are what is known of a referral when it is looked at.
type ReferralFacts struct {
	Least     int64 // in minor units of the newcomer's currency
	Paid      int64 // of one invoice, by money and not by credit; 0: nothing yet
	PaidAt    time.Time
	Wait      time.Duration // after the payment
	Returned  bool          // some of the payment went back, or its bank is asked to
	Alike     string        // why the two seem to be one; empty: they do not
	Closed    bool          // one of the two accounts
	NoTerms   bool          // nothing is given
	Granted   int           // to the referrer within a year, for others
	MostAYear int           // 0: as many as come
}

// ReferralVerdict is what follows of the facts.
type ReferralVerdict struct {
	State    ReferralState
	Reason   string // why somebody gets nothing; of a granted one, why the referrer does not
	Referrer bool   // gets credit
	Newcomer bool   // gets credit
	LookAt   time.Time
}

// Decide is the verdict at a moment. Nobody gets anything before the wait is over, nor
// for a payment that went back, nor where the two seem to be one. A referrer who has had
// as many as a year allows gets nothing, and the newcomer what they were promised.
func (f ReferralFacts) Decide(now time.Time) ReferralVerdict {
	refused := func(why string) ReferralVerdict { return ReferralVerdict{State: ReferralRefused, Reason: why} }
	due := f.PaidAt.Add(f.Wait)
	switch {
	case !f.Returned && (f.Paid <= 0 || f.Paid < f.Least):
		return ReferralVerdict{State: ReferralJoined}
	case f.Returned:
		return refused(ReferralGivenBack)
	case f.Closed:
		return refused(ReferralClosed)
	case f.NoTerms:
		return refused(ReferralNoTerms)
	case f.Alike != "":
		return refused(f.Alike)
	case now.Before(due):
		return ReferralVerdict{State: ReferralWaiting, LookAt: due}
	case f.MostAYear > 0 && f.Granted >= f.MostAYear:
		return ReferralVerdict{State: ReferralGranted, Reason: ReferralLimit, Newcomer: true}
	}
	return ReferralVerdict{State: ReferralGranted, Referrer: true, Newcomer: true}
}
