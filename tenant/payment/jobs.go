package payment

import (
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
)

// ChargeJob collects an invoice from the account's saved method without the customer.
// Try tells attempts apart: the same one charges once. With a method it is the one try
// that is made with that, outside of the schedule.
type ChargeJob struct {
	InvoiceID uuid.UUID `json:"invoice_id"`
	Try       int       `json:"try"`
	MethodID  uuid.UUID `json:"method_id,omitzero"` // uuid.Nil: see methodFor
}

// Kind names the job.
func (ChargeJob) Kind() string { return "payment.charge" }

// FailedTry is an attempt to collect an invoice that did not succeed. It is enqueued
// once an attempt, also when there was nothing to charge.
type FailedTry struct {
	InvoiceID uuid.UUID    `json:"invoice_id"`
	PaymentID uuid.UUID    `json:"payment_id"` // uuid.Nil: there was no method to charge
	Try       int          `json:"try"`
	Decline   gateway.Kind `json:"decline"`
	Code      string       `json:"code"`               // the gateway's, or one of the No… codes
	MethodID  uuid.UUID    `json:"method_id,omitzero"` // of the one try outside of the schedule; uuid.Nil: Try is of it
}

// Kind names the job.
func (FailedTry) Kind() string { return "payment.failed" }

// Codes of tries that reached no gateway.
const (
	NoMethod   = "no_method"         // the account has none saved
	ByTransfer = "awaiting_transfer" // the customer has chosen to send the money
)

// EventJob works on what a gateway told.
type EventJob struct {
	Gateway string `json:"gateway"`
	ID      string `json:"id"`
}

// Kind names the job.
func (EventJob) Kind() string { return "payment.event" }

// DisputedJob tells that something became of a dispute of a payment: how it stands is kept
// with the payment.
type DisputedJob struct {
	PaymentID uuid.UUID `json:"payment_id"`
	Ref       string    `json:"ref"` // the gateway's name of the dispute
}

// Kind names the job.
func (DisputedJob) Kind() string { return "payment.disputed" }

// RefundJob sends a refund to its gateway, or asks how it stands.
type RefundJob struct {
	RefundID uuid.UUID `json:"refund_id"`
	Found    bool      `json:"found,omitempty"` // it was made there: what is known of it may be old
}

// Kind names the job.
func (RefundJob) Kind() string { return "payment.refund" }
