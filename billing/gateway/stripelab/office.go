package stripelab

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// What the account's owner does at Stripe's own pages, and what banks do. None of it
// carries our metadata or our idempotency keys.

// dispute is a payment that a bank asks back.
type dispute struct {
	id, intent, currency, reason, status string
	amount, due, created                 int64
	moves                                []int64 // on the account's balance
}

func (d *dispute) json() object {
	moves := make([]any, len(d.moves))
	for i, m := range d.moves {
		moves[i] = object{"id": d.id + "_" + strconv.Itoa(i), "object": "balance_transaction", "amount": m, "currency": d.currency, "type": "adjustment"}
	}
	return object{
		"id": d.id, "object": "dispute", "amount": d.amount, "currency": d.currency, "payment_intent": d.intent, "charge": "ch_" + d.intent, "reason": d.reason,
		"status": d.status, "created": d.created, "livemode": false, "balance_transactions": moves, "metadata": object{}, "is_charge_refundable": len(d.moves) == 0,
		"evidence": object{}, "evidence_details": object{"due_by": d.due, "has_evidence": false, "past_due": false, "submission_count": 0},
	}
}

// held is what the bank took and did not give back.
func (d *dispute) held() (minor int64) {
	for _, m := range d.moves {
		minor -= m
	}
	return minor
}

// The statuses of disputes.
const (
	needsResponse = "needs_response"
	underReview   = "under_review"
	won           = "won"
	lost          = "lost"
	warning       = "warning_"
)

var (
	errNoPayment  = errors.New("stripelab: no payment that succeeded")
	errNoRefund   = errors.New("stripelab: no such refund")
	errNoDispute  = errors.New("stripelab: no such dispute")
	errNotAStatus = errors.New("stripelab: no such status")
)

// holding finds the account that knows a thing. The caller holds the lock.
func (l *Lab) holding(has func(*account) bool) *call {
	for _, a := range l.accounts {
		if has(a) {
			return &call{lab: l, a: a, form: url.Values{}}
		}
	}
	return nil
}

// RefundByHand gives a part of a payment back, as its owner does at the dashboard; zero:
// what is left of it. It returns the refund's id.
func (l *Lab) RefundByHand(intent string, amount int64) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.intents[intent] != nil })
	if c == nil {
		return "", errNoPayment
	}
	c.form.Set("payment_intent", intent)
	if amount > 0 {
		c.form.Set("amount", strconv.FormatInt(amount, 10))
	}
	a := c.newRefund()
	made, is := a.body.(object)
	if id, ok := made["id"].(string); is && ok {
		return id, nil
	}
	return "", errNoPayment
}

// SetRefund changes what became of a refund: "pending", "succeeded", or "failed" when the
// customer's bank sends the money back.
func (l *Lab) SetRefund(id, status string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.refunds[id] != nil })
	if c == nil {
		return errNoRefund
	}
	if status != "pending" && status != succeeded && status != "failed" {
		return errNotAStatus
	}
	r := c.a.refunds[id]
	r.status = status
	c.tell("refund.updated", r.json())
	if status == "failed" {
		c.tell("refund.failed", r.json())
	}
	return nil
}

// Dispute has a customer's bank ask a payment back: the money is withdrawn at once, but
// for an inquiry. Zero amount: all of it. It returns the dispute's id.
func (l *Lab) Dispute(intent string, amount int64, reason string, due time.Time, inquiry bool) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.intents[intent] != nil })
	if c == nil || c.a.intents[intent].status != succeeded {
		return "", errNoPayment
	}
	i := c.a.intents[intent]
	if amount <= 0 || amount > i.amount {
		amount = i.amount
	}
	d := &dispute{id: newID("dp"), intent: i.id, currency: i.currency, reason: reason, status: needsResponse, amount: amount, due: due.Unix(), created: l.now()}
	c.a.disputes[d.id] = d
	if inquiry {
		d.status = warning + needsResponse
		c.tell("charge.dispute.created", d.json())
		return d.id, nil
	}
	c.tell("charge.dispute.created", d.json()) // the withdrawal follows
	d.moves = append(d.moves, -amount)
	c.tell("charge.dispute.funds_withdrawn", d.json())
	return d.id, nil
}

// SetDispute changes where a dispute stands: "under_review" once evidence was given,
// "won", "lost", or "needs_response" when an inquiry becomes a dispute.
func (l *Lab) SetDispute(id, status string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.disputes[id] != nil })
	if c == nil {
		return errNoDispute
	}
	d := c.a.disputes[id]
	held := d.held()
	move := func(amount int64, event string) {
		d.moves = append(d.moves, amount)
		c.tell(event, d.json())
	}
	switch status {
	case underReview, needsResponse:
		d.status = status
		c.tell("charge.dispute.updated", d.json())
		if status == needsResponse && held == 0 {
			move(-d.amount, "charge.dispute.funds_withdrawn")
		}
	case lost:
		d.status = lost
		c.tell("charge.dispute.closed", d.json())
	case won:
		d.status = won
		if held == 0 {
			d.status = "warning_closed"
		}
		c.tell("charge.dispute.closed", d.json())
		if held > 0 {
			move(held, "charge.dispute.funds_reinstated")
		}
	default:
		return errNotAStatus
	}
	return nil
}

func (c *call) getDispute() answer {
	if d := c.a.disputes[c.id]; d != nil {
		return ok(d.json())
	}
	return missing("dispute", c.id)
}

func (c *call) listDisputes() answer {
	var all []any
	for _, d := range c.a.disputes {
		if want := c.form.Get("payment_intent"); want == "" || want == d.intent {
			all = append(all, d.json())
		}
	}
	return list("/v1/disputes", all)
}

func (c *call) listRefunds() answer {
	var all []any
	for _, r := range c.a.refunds {
		if want := c.form.Get("payment_intent"); want == "" || want == r.intent {
			all = append(all, r.json())
		}
	}
	return list("/v1/refunds", all)
}

// officePage does from outside what happens at the dashboard and at banks, for a person
// at the demo: POST /lab/refund (payment_intent, amount), /lab/refund/{id} (status),
// /lab/dispute (payment_intent, amount, reason, days, inquiry=on), /lab/dispute/{id}
// (status), /lab/debit/{id} (status: succeeded, failed, returned; code), /lab/mandate/{id}
// of a payment method. It answers with the id.
func (l *Lab) officePage(do func(r *http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		id, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(id + "\n"))
	}
}

func (l *Lab) officeRoutes(m *http.ServeMux) {
	number := func(r *http.Request, name string) int64 {
		n, _ := strconv.ParseInt(r.FormValue(name), 10, 32)
		return n
	}
	m.HandleFunc("POST /lab/refund", l.officePage(func(r *http.Request) (string, error) {
		return l.RefundByHand(r.FormValue("payment_intent"), number(r, "amount"))
	}))
	m.HandleFunc("POST /lab/refund/{id}", l.officePage(func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.SetRefund(r.PathValue("id"), r.FormValue("status"))
	}))
	m.HandleFunc("POST /lab/dispute", l.officePage(func(r *http.Request) (string, error) {
		reason, days := r.FormValue("reason"), number(r, "days")
		if reason == "" {
			reason = "fraudulent"
		}
		if days <= 0 {
			days = 9
		}
		return l.Dispute(r.FormValue("payment_intent"), number(r, "amount"), reason, l.opts.Clock().AddDate(0, 0, int(days)), r.FormValue("inquiry") == "on")
	}))
	m.HandleFunc("POST /lab/debit/{id}", l.officePage(func(r *http.Request) (string, error) {
		id, code := r.PathValue("id"), r.FormValue("code")
		switch r.FormValue("status") {
		case succeeded:
			return id, l.SettleDebit(id, "")
		case "failed":
			return id, l.SettleDebit(id, cmp.Or(code, notEnough))
		case "returned":
			return l.ReturnDebit(id, cmp.Or(code, notAllowed))
		}
		return id, errNotAStatus
	}))
	m.HandleFunc("POST /lab/mandate/{id}", l.officePage(func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.RevokeMandate(r.PathValue("id"))
	}))
	m.HandleFunc("POST /lab/dispute/{id}", l.officePage(func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.SetDispute(r.PathValue("id"), r.FormValue("status"))
	}))
}
