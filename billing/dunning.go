package billing

import "time"

// Dunning is what follows when an invoice is not paid, counted from the day it is due.
type Dunning struct {
	Tries        []time.Duration // when a saved method is charged, the first one included
	SuspendAfter time.Duration
	EndAfter     time.Duration
	NoticeBefore time.Duration // the end is announced so long before; 0: it is not
}

const day = 24 * time.Hour

// MorningHour is the hour of the customer's day at which a refused charge is made again:
// salaries are booked, and whoever gets the bank's question is awake.
const MorningHour = 9

// RetryGap is the least time between two tries, when an outage moved one.
const RetryGap = 12 * time.Hour

// DefaultDunning charges on the day it is due and one, three, five and seven days
// later, suspends after seven and ends after twenty-one, of which it gives notice three
// days before.
func DefaultDunning() Dunning {
	return Dunning{Tries: []time.Duration{0, day, 3 * day, 5 * day, 7 * day}, SuspendAfter: 7 * day, EndAfter: 21 * day, NoticeBefore: 3 * day}
}

// Next is when to try again after so many failed tries of an invoice due at due. It
// reports false when nothing more is tried.
func (d Dunning) Next(due time.Time, failed int) (time.Time, bool) {
	if failed < 0 || failed >= len(d.Tries) {
		return time.Time{}, false
	}
	return due.Add(d.Tries[failed]), true
}

// NextIn is Next in the customer's time: the first charge is made when the invoice is
// due, each later one in the morning that follows its moment.
func (d Dunning) NextIn(due time.Time, failed int, zone *time.Location) (time.Time, bool) {
	at, more := d.Next(due, failed)
	if more && failed > 0 {
		at = Morning(at, zone)
	}
	return at, more
}

// Morning is the first MorningHour of a zone's days that is not before at.
func Morning(at time.Time, zone *time.Location) time.Time {
	y, m, n := at.In(zone).Date()
	for {
		if t := time.Date(y, m, n, MorningHour, 0, 0, 0, zone); !t.Before(at) {
			return t.UTC()
		}
		n++
	}
}

// Refusal is what a refused charge asks of us.
type Refusal string

// The kinds of refusal.
const (
	RefusedHard        Refusal = "hard"         // the method is of no more use: ask for another
	RefusedSoft        Refusal = "soft"         // later it may work
	RefusedUnconfirmed Refusal = "authenticate" // the customer must come and confirm it
)

// RefusalOf says what a decline code asks for. The codes are PayPal's issues in small
// letters (its OpenAPI document of orders) and Stripe's: those of cards at
// https://docs.stripe.com/declines/codes, which says of each whether trying again can
// help, and what its error codes say of a method (https://docs.stripe.com/error-codes).
// Of a code it does not know it hopes: the schedule ends.
func RefusalOf(code string) Refusal {
	switch code {
	case "authentication_required", "authentication_not_handled", "payment_intent_authentication_failure", "setup_intent_authentication_failure",
		"mobile_device_authentication_required",
		"payer_action_required", "redirect_payer_for_alternate_funding":
		return RefusedUnconfirmed
	case "card_not_supported", "currency_not_supported", "do_not_try_again", "expired_card", "fraudulent", "highest_risk_level", "incorrect_address", "incorrect_number", "incorrect_zip",
		"invalid_account", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "lost_card", "merchant_blacklist",
		"new_account_information_available", "pickup_card", "restricted_card",
		"revocation_of_all_authorizations", "revocation_of_authorization", "security_violation", "stolen_card", "stop_payment_order",
		"test_mode_live_card", "testmode_decline", "transaction_not_allowed",
		"agreement_already_cancelled", "billing_agreement_not_found", "compliance_violation", "decimal_precision", "domestic_transaction_required", "invalid_currency_code",
		"payer_account_locked_or_closed", "payer_account_restricted", "payer_cannot_pay", "referenced_card_expired", "token_id_not_found", "transaction_blocked_by_payee",
		"account_closed", "no_account", "bank_account_restricted", "bank_ownership_changed", "debit_not_authorized", "recipient_deceased", // of bank accounts: the debit would come back again
		"method_gone", "unknown_there": // ours: the gateway does not keep the method any more
		return RefusedHard
	}
	return RefusedSoft
}

// Step is what follows a refused charge.
type Step struct {
	Counts  bool      // it was a try of the schedule
	Next    time.Time // when the same method is charged again; zero: it is not
	Replace bool      // the customer is asked for another method
	Confirm bool      // the customer is asked to confirm the payment
}

// Refused is what follows when a charge is refused at now, after so many failed tries
// before it of an invoice due at due. A method that is of no more use is not tried again;
// what only the customer can confirm is no try of the schedule.
func (d Dunning) Refused(r Refusal, due, now time.Time, failed int, zone *time.Location) Step {
	switch r {
	case RefusedHard:
		return Step{Counts: true, Replace: true}
	case RefusedUnconfirmed:
		return Step{Confirm: true}
	}
	next, more := d.NextIn(due, failed+1, zone)
	if !more {
		return Step{Counts: true}
	}
	if least := now.Add(RetryGap); next.Before(least) {
		next = Morning(least, zone)
	}
	return Step{Counts: true, Next: next}
}
