package stripelab

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The statuses of intents and refunds.
const (
	needsMethod  = "requires_payment_method"
	needsConfirm = "requires_confirmation"
	needsAction  = "requires_action"
	succeeded    = "succeeded"
	canceled     = "canceled"
)

// intent is a PaymentIntent or a SetupIntent.
type intent struct {
	setup                                bool
	id, clientSecret, status             string
	amount, received                     int64
	currency, customer, method, describe string
	future                               string // setup_future_usage
	statement                            string // statement_descriptor_suffix
	types                                []string
	fee                                  int64 // application_fee_amount
	mandate                              string
	until                                time.Time // when a debit that is under way ends
	returnURL                            string
	failure                              object // last_payment_error
	meta                                 map[string]string
	created                              int64
}

func (i *intent) json(c *call) object {
	o := object{
		"id": i.id, "client_secret": i.clientSecret, "status": i.status, "created": i.created, "livemode": false, "metadata": i.meta,
		"customer": orNil(i.customer), "description": orNil(i.describe), "payment_method": orNil(i.method), "payment_method_types": i.types, "next_action": nil,
	}
	if i.setup {
		o["object"], o["usage"], o["last_setup_error"] = "setup_intent", "off_session", i.failure
	} else {
		o["object"], o["amount"], o["amount_received"], o["currency"], o["last_payment_error"] = "payment_intent", i.amount, i.received, i.currency, i.failure
		o["setup_future_usage"], o["statement_descriptor_suffix"] = orNil(i.future), orNil(i.statement)
	}
	if x := c.a.mandates[i.mandate]; x != nil && i.setup {
		o["mandate"] = x.id
		if c.expands("mandate") {
			o["mandate"] = x.json()
		}
	}
	if m := c.a.methods[i.method]; m != nil && c.expands("payment_method") {
		o["payment_method"] = m.json()
	}
	if i.status == needsAction {
		o["next_action"] = object{"type": "redirect_to_url", "redirect_to_url": object{
			"url": c.base + "/authenticate/" + i.id + "?client_secret=" + url.QueryEscape(i.clientSecret), "return_url": orNil(i.returnURL),
		}}
	}
	return o
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (i *intent) event(what string) string {
	if i.setup {
		return "setup_intent." + what
	}
	return "payment_intent." + what
}

func (c *call) newPayment() answer {
	amount, err := c.number("amount")
	if err != nil || amount <= 0 {
		return invalid("amount", "Invalid positive integer.")
	}
	currency := c.form.Get("currency")
	if len(currency) != 3 || currency != strings.ToLower(currency) {
		return invalid("currency", "Invalid currency.")
	}
	var fee int64
	if c.form.Has("application_fee_amount") {
		if fee, err = c.number("application_fee_amount"); err != nil || fee < 0 || fee > amount || c.a.owner == nil {
			return invalid("application_fee_amount", "A fee is of a connected account's payment, and no more than that.")
		}
	}
	statement := c.form.Get("statement_descriptor_suffix")
	if len(statement) > 22 || strings.ContainsAny(statement, "<>\\'\"*") || statement != "" && !strings.ContainsAny(strings.ToUpper(statement), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		return invalid("statement_descriptor_suffix", "The statement descriptor suffix has at most 22 characters, a letter among them, and none of < > \\ ' \" *.")
	}
	return c.newIntent(&intent{id: newID("pi"), fee: fee, amount: amount, currency: currency, future: c.form.Get("setup_future_usage"), describe: c.form.Get("description"), statement: statement})
}

func (c *call) newSetup() answer { return c.newIntent(&intent{setup: true, id: newID("seti")}) }

func (c *call) newIntent(i *intent) answer {
	i.status, i.meta, i.created, i.customer = needsMethod, c.metadata(), c.lab.now(), c.form.Get("customer")
	i.clientSecret = i.id + "_secret_" + newID("k")[2:]
	if i.types = c.list("payment_method_types"); len(i.types) == 0 {
		i.types = []string{cardKind}
	}
	if i.customer != "" && c.a.customers[i.customer] == nil {
		return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "customer", "No such customer: '"+i.customer+"'", nil)
	}
	if id := c.form.Get("payment_method"); id != "" {
		if c.a.methods[id] == nil {
			return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "payment_method", "No such PaymentMethod: '"+id+"'", nil)
		}
		i.method, i.status = id, needsConfirm
	}
	if c.form.Get("payment_method_data[type]") != "" {
		if bad := c.enter(i); bad != nil {
			return *bad
		}
	}
	c.a.intents[i.id], c.a.order = i, append(c.a.order, i.id)
	c.tell(i.event("created"), i.json(c))
	if c.form.Get("confirm") == "true" {
		return c.confirm(i)
	}
	return ok(i.json(c))
}

// intent is the one that is asked for. A browser must know its client secret.
func (c *call) intent(setup bool) (*intent, *answer) {
	i := c.a.intents[c.id]
	if i == nil || i.setup != setup || c.public && c.form.Get("client_secret") != i.clientSecret {
		what := "payment_intent"
		if setup {
			what = "setupintent"
		}
		bad := missing(what, c.id)
		return nil, &bad
	}
	return i, nil
}

func (c *call) getIntent(setup bool) answer {
	i, bad := c.intent(setup)
	if bad != nil {
		return *bad
	}
	return ok(i.json(c))
}

func (c *call) getPayment() answer { return c.getIntent(false) }
func (c *call) getSetup() answer   { return c.getIntent(true) }

func (c *call) confirmPayment() answer { return c.confirmIntent(false) }
func (c *call) confirmSetup() answer   { return c.confirmIntent(true) }

func (c *call) confirmIntent(setup bool) answer {
	i, bad := c.intent(setup)
	if bad != nil {
		return *bad
	}
	if i.status != needsMethod && i.status != needsConfirm && i.status != needsAction {
		return c.unexpected(i, "confirm")
	}
	if c.form.Get("payment_method_data[type]") != "" {
		if bad := c.enter(i); bad != nil {
			return *bad
		}
	} else if id := c.form.Get("payment_method"); id != "" {
		if c.a.methods[id] == nil {
			return missing("PaymentMethod", id)
		}
		i.method = id
	}
	return c.confirm(i)
}

// enter makes the method of an intent from what was typed.
func (c *call) enter(i *intent) *answer {
	const in = "payment_method_data"
	make := c.makeMethod
	if c.form.Get(in+"[type]") == sepaDebit {
		make = c.makeAccount
	}
	m, bad := make(in)
	if bad == nil {
		i.method, i.status = m.id, needsConfirm
	}
	return bad
}

func (c *call) unexpected(i *intent, doing string) answer {
	what, code := "payment_intent", "payment_intent_unexpected_state"
	if i.setup {
		what, code = "setup_intent", "setup_intent_unexpected_state"
	}
	return refuse(http.StatusBadRequest, "invalid_request_error", code, "", "You cannot "+doing+" this "+what+" because it has a status of "+i.status+".", object{what: i.json(c)})
}

// confirm tries to charge, or to save, the card.
func (c *call) confirm(i *intent) answer {
	m := c.a.methods[i.method]
	if m == nil {
		return invalid("payment_method", "You cannot confirm this intent because it's missing a payment method.")
	}
	if m.customer != "" && m.customer != i.customer {
		return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "payment_method", "The payment method belongs to another customer.", nil)
	}
	if !slices.Contains(i.types, m.of()) {
		return invalid("payment_method", "The PaymentMethod provided ("+m.of()+") is not allowed for this intent.")
	}
	if r := c.form.Get("return_url"); r != "" {
		i.returnURL = r
	}
	if m.kind == sepaDebit {
		return c.debit(i, m)
	}
	absent := c.form.Get("off_session") == "true"
	b := m.behaviour
	switch {
	case b.code != "" && (!b.later || !i.setup):
		return c.decline(i, m, b.code, b.decline, "Your card was declined.")
	case b.authenticate == always || b.authenticate == unlessSetUp && !m.authenticated:
		if absent {
			return c.decline(i, m, "authentication_required", "authentication_required", "Your card was declined. This transaction requires authentication.")
		}
		i.status, i.failure = needsAction, nil
		c.tell(i.event("requires_action"), i.json(c))
		return ok(i.json(c))
	}
	c.succeed(i, m)
	return ok(i.json(c))
}

func (c *call) decline(i *intent, m *method, code, decline, message string) answer {
	e := object{"type": "card_error", "code": code, "decline_code": decline, "message": message, "payment_method": m.json()}
	i.status, i.failure, i.method = needsMethod, e, ""
	what, event := "payment_intent", "payment_failed"
	if i.setup {
		what, event = "setup_intent", "setup_failed"
	}
	c.tell(i.event(event), i.json(c))
	return refuse(http.StatusPaymentRequired, "card_error", code, "", message, object{"decline_code": decline, "payment_method": m.json(), what: i.json(c)})
}

func (c *call) succeed(i *intent, m *method) {
	i.status, i.received, i.failure = succeeded, i.amount, nil
	if i.customer != "" && (i.setup || i.future != "") {
		m.customer, m.authenticated = i.customer, true
	}
	c.tell(i.event("succeeded"), i.json(c))
}

func (c *call) cancelPayment() answer { return c.cancel(false) }
func (c *call) cancelSetup() answer   { return c.cancel(true) }

func (c *call) cancel(setup bool) answer {
	i, bad := c.intent(setup)
	if bad != nil {
		return *bad
	}
	if i.status == succeeded || i.status == canceled || i.status == processing {
		return c.unexpected(i, "cancel")
	}
	i.status = canceled
	c.tell(i.event("canceled"), i.json(c))
	return ok(i.json(c))
}

func (c *call) listPayments() answer {
	var all []any
	for n := len(c.a.order) - 1; n >= 0 && len(all) < 100; n-- {
		i := c.a.intents[c.a.order[n]]
		if want := c.form.Get("customer"); !i.setup && (want == "" || want == i.customer) {
			all = append(all, i.json(c))
		}
	}
	return list("/v1/payment_intents", all)
}

type refund struct {
	id, intent, status, currency, reason string
	amount                               int64
	meta                                 map[string]string
	created                              int64
}

func (r *refund) json() object {
	return object{
		"id": r.id, "object": "refund", "amount": r.amount, "currency": r.currency, "payment_intent": r.intent, "status": r.status,
		"reason": orNil(r.reason), "metadata": r.meta, "created": r.created,
	}
}

func (c *call) newRefund() answer {
	i := c.a.intents[c.form.Get("payment_intent")]
	if i == nil || i.setup {
		return missing("payment_intent", c.form.Get("payment_intent"))
	}
	if i.status != succeeded {
		return invalid("payment_intent", "This PaymentIntent does not have a successful charge to refund.")
	}
	left := i.amount
	for _, r := range c.a.refunds {
		if r.intent == i.id && r.status != "failed" {
			left -= r.amount
		}
	}
	amount := left
	if c.form.Has("amount") {
		n, err := c.number("amount")
		if err != nil || n <= 0 {
			return invalid("amount", "Invalid positive integer.")
		}
		amount = n
	}
	if left <= 0 {
		return refuse(http.StatusBadRequest, "invalid_request_error", "charge_already_refunded", "", "Charge has already been refunded.", nil)
	}
	for _, d := range c.a.disputes {
		if d.intent == i.id && d.held() > 0 {
			return refuse(http.StatusBadRequest, "invalid_request_error", "charge_disputed", "", "Charge ch_"+i.id+" has been charged back; cannot issue a refund.", nil)
		}
	}
	if amount > left {
		return invalid("amount", "Refund amount is greater than unrefunded amount on charge.")
	}
	r := &refund{id: newID("re"), intent: i.id, status: succeeded, currency: i.currency, amount: amount, reason: c.form.Get("reason"), meta: c.metadata(), created: c.lab.now()}
	c.a.refunds[r.id] = r
	c.tell("refund.created", r.json())
	c.tell("charge.refunded", object{"id": "ch_" + i.id, "object": "charge", "payment_intent": i.id, "amount": i.amount, "amount_refunded": i.amount - left + amount, "refunded": left == amount, "metadata": i.meta})
	return ok(r.json())
}

func (c *call) getRefund() answer {
	if r := c.a.refunds[c.id]; r != nil {
		return ok(r.json())
	}
	return missing("refund", c.id)
}
