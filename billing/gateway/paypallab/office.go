package paypallab

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

type refund struct {
	id, status, customID, created string
	amount                        money
	order                         *order
}

type dispute struct {
	id, capture, reason, status, stage, outcome, created, due string
	amount                                                    money
	moves                                                     []int64 // on the seller's balance, in hundredths
}

func (c *call) newRefund() answer {
	var ask struct {
		Amount   *money `json:"amount"`
		CustomID string `json:"custom_id"`
	}
	o := c.a.captures[c.id]
	switch {
	case len(c.body) > 0 && !c.read(&ask):
		return invalid("/")
	case o == nil:
		return missing()
	}
	amount := o.amount
	if ask.Amount != nil {
		amount = *ask.Amount
	}
	r, issue := c.giveBack(o, amount, ask.CustomID)
	if issue != "" {
		return unprocessable(issue)
	}
	return answer{http.StatusCreated, c.refund(r)}
}

func (c *call) giveBack(o *order, amount money, customID string) (*refund, string) {
	left := o.amount.cents()
	for _, r := range o.refunds {
		if r.status == completed || r.status == pending {
			left -= r.amount.cents()
		}
	}
	switch {
	case o.capture == nil || !o.capture.taken():
		return nil, "REFUND_NOT_ALLOWED"
	case amount.Currency != o.amount.Currency:
		return nil, "REFUND_CAPTURE_CURRENCY_MISMATCH"
	case amount.wrong() != "":
		return nil, amount.wrong()
	case left <= 0:
		return nil, "CAPTURE_FULLY_REFUNDED"
	case amount.cents() > left:
		return nil, "REFUND_AMOUNT_EXCEEDED"
	}
	r := &refund{newID(), completed, customID, c.lab.now(), amount, o}
	c.a.refunds[r.id] = r
	o.refunds, o.updated = append(o.refunds, r), c.lab.now()
	c.tell("PAYMENT.CAPTURE.REFUNDED", "refund", c.refund(r))
	return r, ""
}

func (c *call) refund(r *refund) object {
	out := object{
		"id": r.id, "status": r.status, "amount": r.amount, "create_time": r.created, "update_time": r.created,
		"links": []any{object{"rel": "self", "href": c.base + "/v2/payments/refunds/" + r.id, "method": "GET"}, object{"rel": "up", "href": c.base + "/v2/payments/captures/" + r.order.capture.id, "method": "GET"}},
	}
	if r.customID != "" {
		out["custom_id"] = r.customID
	}
	return out
}

func (c *call) getRefund() answer {
	if r := c.a.refunds[c.id]; r != nil {
		return answer{http.StatusOK, c.refund(r)}
	}
	return missing()
}

func (c *call) getDispute() answer {
	if d := c.a.disputes[c.id]; d != nil {
		return answer{http.StatusOK, c.dispute(d)}
	}
	return missing()
}

func (c *call) dispute(d *dispute) object {
	out := object{
		"dispute_id": d.id, "create_time": d.created, "update_time": c.lab.now(), "reason": d.reason, "status": d.status, "dispute_amount": d.amount,
		"dispute_life_cycle_stage": d.stage, "disputed_transactions": []any{object{"seller_transaction_id": d.capture}},
	}
	if d.status == waitingForSeller {
		out["seller_response_due_date"] = d.due
	}
	if d.outcome != "" {
		out["dispute_outcome"] = object{"outcome_code": d.outcome}
	}
	var moves []any
	for _, m := range d.moves {
		kind, cents := "CREDIT", m
		if m < 0 {
			kind, cents = "DEBIT", -m
		}
		moves = append(moves, object{"affected_party": "SELLER", "type": kind, "reason": "DISPUTE_SETTLEMENT", "amount": d.amount.of(cents), "initiated_time": c.lab.now()})
	}
	if moves != nil {
		out["money_movements"] = moves
	}
	return out
}

// The statuses of disputes.
const (
	waitingForSeller = "WAITING_FOR_SELLER_RESPONSE"
	underReview      = "UNDER_REVIEW"
	resolved         = "RESOLVED"
)

var errNothing = errors.New("paypallab: no such thing, or not in a state for that")

// holding finds the account that knows a thing. The caller holds the lock.
func (l *Lab) holding(has func(*account) bool) *call {
	for _, a := range l.accounts {
		if has(a) {
			return &call{lab: l, a: a}
		}
	}
	return nil
}

// SetCapture ends a capture that PayPal was looking at: "COMPLETED" or "DECLINED".
func (l *Lab) SetCapture(orderID, status string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.orders[orderID] != nil })
	if c == nil || c.a.orders[orderID].capture == nil || c.a.orders[orderID].capture.status != pending || status != completed && status != declined {
		return errNothing
	}
	o := c.a.orders[orderID]
	o.capture.status, o.updated = status, l.now()
	c.tellCapture(o)
	return nil
}

// RefundByHand gives a part of an order's money back, as its owner does at PayPal's own
// pages; an empty value is all of it. It returns the refund's id.
func (l *Lab) RefundByHand(orderID, value string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.orders[orderID] != nil })
	if c == nil {
		return "", errNothing
	}
	o := c.a.orders[orderID]
	amount := o.amount
	if value != "" {
		amount.Value = value
	}
	r, issue := c.giveBack(o, amount, "")
	if issue != "" {
		return "", errNothing
	}
	return r.id, nil
}

// Dispute has the customer of an order object. No money moves before it is decided. It
// returns the dispute's id.
func (l *Lab) Dispute(orderID, reason string, due time.Time) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.orders[orderID] != nil && a.orders[orderID].capture != nil })
	if c == nil {
		return "", errNothing
	}
	o := c.a.orders[orderID]
	d := &dispute{id: "PP-R-" + newID(), capture: o.capture.id, reason: reason, status: waitingForSeller, stage: "CHARGEBACK", created: l.now(), due: due.UTC().Format(time.RFC3339), amount: o.amount}
	c.a.disputes[d.id] = d
	c.tell("CUSTOMER.DISPUTE.CREATED", "dispute", c.dispute(d))
	return d.id, nil
}

// SetDispute changes where a dispute stands: "UNDER_REVIEW" once it was answered, "lost"
// when the buyer gets the money, "won".
func (l *Lab) SetDispute(id, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.disputes[id] != nil })
	if c == nil {
		return errNothing
	}
	d := c.a.disputes[id]
	event := "CUSTOMER.DISPUTE.RESOLVED"
	switch to {
	case underReview:
		d.status, event = underReview, "CUSTOMER.DISPUTE.UPDATED"
	case "lost":
		d.status, d.outcome = resolved, "RESOLVED_BUYER_FAVOUR"
		d.moves = append(d.moves, -d.amount.cents())
	case "won":
		d.status, d.outcome = resolved, "RESOLVED_SELLER_FAVOUR"
	default:
		return errNothing
	}
	c.tell(event, "dispute", c.dispute(d))
	if to == "lost" {
		if o := c.a.captures[d.capture]; o != nil {
			c.tell("PAYMENT.CAPTURE.REVERSED", "refund", c.capture(o))
		}
	}
	return nil
}

// officeRoutes do from outside what happens at PayPal's pages, for a person at the demo:
// POST /lab/refund (order, value), /lab/capture/{id} (status), /lab/dispute (order,
// reason, days), /lab/dispute/{id} (to). They answer with the id.
func (l *Lab) officeRoutes(m *http.ServeMux) {
	on := func(pattern string, do func(r *http.Request) (string, error)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			id, err := do(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_, _ = w.Write([]byte(id + "\n"))
		})
	}
	on("POST /lab/refund", func(r *http.Request) (string, error) {
		return l.RefundByHand(r.FormValue("order"), r.FormValue("value"))
	})
	on("POST /lab/capture/{id}", func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.SetCapture(r.PathValue("id"), r.FormValue("status"))
	})
	on("POST /lab/dispute", func(r *http.Request) (string, error) {
		reason := r.FormValue("reason")
		if reason == "" {
			reason = "UNAUTHORISED"
		}
		days, err := strconv.Atoi(r.FormValue("days"))
		if err != nil || days <= 0 || days > 365 {
			days = 9
		}
		return l.Dispute(r.FormValue("order"), reason, l.opts.Clock().AddDate(0, 0, days))
	})
	on("POST /lab/dispute/{id}", func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.SetDispute(r.PathValue("id"), r.FormValue("to"))
	})
}
