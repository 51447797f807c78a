package webhook

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
)

// Type is what a message tells.
type Type string

// The types. A type, once used, keeps its meaning.
const (
	InvoiceIssued             Type = "invoice.issued"
	InvoicePaid               Type = "invoice.paid"
	InvoiceCredited           Type = "invoice.credited"
	PaymentSucceeded          Type = "payment.succeeded"
	PaymentFailed             Type = "payment.failed"
	PaymentRefunded           Type = "payment.refunded"
	OrderPlaced               Type = "order.placed"
	OrderPaid                 Type = "order.paid"
	OrderFulfilled            Type = "order.fulfilled"
	OrderCancelled            Type = "order.cancelled"
	SubscriptionStarted       Type = "subscription.started"
	SubscriptionRenewed       Type = "subscription.renewed"
	SubscriptionPastDue       Type = "subscription.past_due"
	SubscriptionCancelled     Type = "subscription.cancelled"
	SubscriptionResumed       Type = "subscription.resumed"
	SubscriptionPaused        Type = "subscription.paused"
	SubscriptionContinued     Type = "subscription.continued"
	SubscriptionEnded         Type = "subscription.ended"
	SubscriptionChanged       Type = "subscription.changed"
	SubscriptionChangeOrdered Type = "subscription.change_ordered"
	ServiceActive             Type = "service.active"
	ServiceSuspended          Type = "service.suspended"
	ServiceReleased           Type = "service.released"
	ServiceTerminated         Type = "service.terminated"
	ServiceFailed             Type = "service.failed"
	Test                      Type = "webhook.test"
)

// Amount is money in a message: a decimal in a string, so that no program rounds it.
type Amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// AmountOf is money as messages carry it.
func AmountOf(m billing.Money) Amount { return Amount{m.Decimal(), m.Currency} }

// Hour is what an hour costs, as messages carry it.
type Hour struct {
	Price Amount  `json:"price"`
	Most  *Amount `json:"most"`  // a month; null: there is no most
	Month Amount  `json:"month"` // that a full month comes to
}

// HourOf is a price of an hour with what a full month of it comes to; nil: there is none.
func HourOf(h billing.HourPrice, month int64) *Hour {
	if h.Rate.IsZero() {
		return nil
	}
	out := &Hour{Price: Amount{h.Rate.Decimal(), h.Rate.Currency}, Month: AmountOf(billing.Money{Minor: month, Currency: h.Rate.Currency})}
	if h.Most.Minor > 0 {
		most := AmountOf(h.Most)
		out.Most = &most
	}
	return out
}

// Moment is a time as messages carry it: UTC, and null for none.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// InvoiceData is what messages about invoices carry.
type InvoiceData struct {
	ID         uuid.UUID   `json:"id"`
	AccountID  uuid.UUID   `json:"account_id"`
	Number     string      `json:"number"`
	State      string      `json:"state"` // open, paid, void, uncollectible
	Total      Amount      `json:"total"`
	Due        Amount      `json:"due"` // still owed
	IssuedAt   time.Time   `json:"issued_at"`
	DueAt      *time.Time  `json:"due_at"`
	CreditNote *CreditData `json:"credit_note,omitempty"` // of invoice.credited
}

// CreditData is the credit note of an invoice.
type CreditData struct {
	ID     uuid.UUID `json:"id"`
	Number string    `json:"number"`
	Total  Amount    `json:"total"`
}

// PaymentData is what messages about payments carry.
type PaymentData struct {
	ID            uuid.UUID  `json:"id"`
	AccountID     uuid.UUID  `json:"account_id"`
	InvoiceID     uuid.UUID  `json:"invoice_id"`
	InvoiceNumber string     `json:"invoice_number"`
	Amount        Amount     `json:"amount"`              // of a refund: what was given back
	Code          string     `json:"code,omitempty"`      // of a failure: why, if the bank said
	RefundID      *uuid.UUID `json:"refund_id,omitempty"` // of a refund
}

// OrderData is what messages about orders carry.
type OrderData struct {
	ID        uuid.UUID  `json:"id"`
	AccountID uuid.UUID  `json:"account_id"`
	Number    int64      `json:"number"`
	State     string     `json:"state"` // awaiting_payment, paid, fulfilled, cancelled
	Total     Amount     `json:"total"`
	Coupon    *string    `json:"coupon"` // null: none
	InvoiceID *uuid.UUID `json:"invoice_id"`
	PlacedAt  time.Time  `json:"placed_at"`
}

// SubscriptionData is what messages about subscriptions carry.
type SubscriptionData struct {
	ID         uuid.UUID  `json:"id"`
	AccountID  uuid.UUID  `json:"account_id"`
	Label      string     `json:"label"`
	State      string     `json:"state"` // active, past_due, suspended, paused, ended
	Cycle      string     `json:"cycle"`
	Price      Amount     `json:"price"` // net of tax, a cycle
	PeriodFrom *time.Time `json:"period_from"`
	PeriodTo   *time.Time `json:"period_to"`
	CancelAt   *time.Time `json:"cancel_at"` // when it is to end; null: it goes on
	EndedAt    *time.Time `json:"ended_at"`
	ServiceID  *uuid.UUID `json:"service_id"`
	Hour       *Hour      `json:"hour"` // of the cycle hourly, besides the price; null for others
}

// ServiceData is what messages about services carry.
type ServiceData struct {
	ID             uuid.UUID `json:"id"`
	AccountID      uuid.UUID `json:"account_id"`
	SubscriptionID uuid.UUID `json:"subscription_id"`
	Name           string    `json:"name"`
	Label          string    `json:"label"`
	Type           string    `json:"type"`
	State          string    `json:"state"` // none, installing, active, suspended, failed, gone
	Address        string    `json:"address"`
	Operation      string    `json:"operation,omitempty"` // of service.failed: what does not get on
}

// Described is one type as it is explained to people.
type Described struct {
	Type Type
	Text string // when it is sent, one sentence
	// Example is a message of the type.
	Example string
}

// Types lists those an endpoint may choose from.
func Types() []Type {
	all := catalogue()
	types := make([]Type, len(all))
	for i, d := range all {
		types[i] = d.Type
	}
	return types
}

func known(t Type) bool { return slices.Contains(Types(), t) }

// Catalogue explains every type there is, in the order they are shown.
func Catalogue() ([]Described, error) {
	all := catalogue()
	out := make([]Described, len(all))
	for i, d := range all {
		text, err := json.MarshalIndent(body{Type: d.Type, Timestamp: exampleTime, Data: d.data}, "", "  ")
		if err != nil {
			return nil, err
		}
		out[i] = Described{d.Type, d.text, string(text)}
	}
	return out, nil
}

var exampleTime = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

type described struct {
	Type
	text string
	data any
}

// catalogue is every type, with the data of an example.
func catalogue() []described {
	id := func(n byte) uuid.UUID {
		u := uuid.UUID{0: 0x01, 1: 0x8f, 6: 0x70, 8: 0x80, 15: n}
		return u
	}
	gross, net, nothing := Amount{"23.80", "EUR"}, Amount{"20.00", "EUR"}, Amount{"0.00", "EUR"}
	account, invoice, service := id(1), id(2), id(6)
	month, due := exampleTime.AddDate(0, 1, 0), exampleTime.AddDate(0, 0, 14)
	inv := func(state string, owed Amount, note *CreditData) InvoiceData {
		return InvoiceData{invoice, account, "INV-2026-00042", state, gross, owed, exampleTime, &due, note}
	}
	pay := func(code string, refund *uuid.UUID) PaymentData {
		return PaymentData{id(3), account, invoice, "INV-2026-00042", gross, code, refund}
	}
	ord := func(state string) OrderData {
		return OrderData{id(4), account, 1042, state, gross, nil, &invoice, exampleTime}
	}
	sub := func(state string, cancel, ended *time.Time) SubscriptionData {
		return SubscriptionData{id(5), account, "Cloud VPS M", state, "monthly", net, &exampleTime, &month, cancel, ended, &service, nil}
	}
	srv := func(state, operation string) ServiceData {
		return ServiceData{service, account, id(5), "web-1", "Cloud VPS M", "vps", state, "203.0.113.10", operation}
	}
	refund := id(7)
	return []described{
		{OrderPlaced, "An order was placed.", ord("awaiting_payment")},
		{OrderPaid, "An order was paid; what it is over is being set up.", ord("paid")},
		{OrderFulfilled, "Everything of an order runs.", ord("fulfilled")},
		{OrderCancelled, "An order ended before it was paid.", ord("cancelled")},
		{InvoiceIssued, "An invoice was issued.", inv("open", gross, nil)},
		{InvoicePaid, "Nothing is owed on an invoice any more because it was paid.", inv("paid", nothing, nil)},
		{InvoiceCredited, "A credit note was issued for an invoice or a part of it.", inv("void", nothing, &CreditData{id(8), "CN-2026-00007", gross})},
		{PaymentSucceeded, "Money came for an invoice.", pay("", nil)},
		{PaymentFailed, "A payment was tried and failed.", pay("insufficient_funds", nil)},
		{PaymentRefunded, "Money of a payment was given back.", pay("", &refund)},
		{SubscriptionStarted, "A subscription began: its first invoice is paid.", sub("active", nil, nil)},
		{SubscriptionRenewed, "The next period of a subscription is paid.", sub("active", nil, nil)},
		{SubscriptionPastDue, "An invoice of a subscription should have been paid by now; the service runs on.", sub("past_due", nil, nil)},
		{SubscriptionCancelled, "A subscription was cancelled and ends at cancel_at.", sub("active", &month, nil)},
		{SubscriptionResumed, "A cancellation was taken back.", sub("active", nil, nil)},
		{SubscriptionPaused, "A subscription was paused: its service is off and nothing is invoiced.", sub("paused", nil, nil)},
		{SubscriptionContinued, "A paused subscription runs again; what was paid lasts longer by the pause.", sub("active", nil, nil)},
		{SubscriptionEnded, "A subscription ended.", sub("ended", &month, &month)},
		{SubscriptionChangeOrdered, "A change of a subscription was ordered.", sub("active", nil, nil)},
		{SubscriptionChanged, "A subscription was changed: its plan, options or cycle.", sub("active", nil, nil)},
		{ServiceActive, "A service runs for the first time.", srv("active", "")},
		{ServiceSuspended, "A service was turned off; nothing on it is lost.", srv("suspended", "")},
		{ServiceReleased, "A service that was suspended runs again.", srv("active", "")},
		{ServiceTerminated, "A service has ended; what was on it is deleted.", srv("gone", "")},
		{ServiceFailed, "Something that is done to a service does not get on, or the service was lost; the shop has been told.", srv("none", "create")},
	}
}
