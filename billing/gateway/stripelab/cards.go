package stripelab

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

type customer struct {
	id, name, email string
	meta            map[string]string
	created         int64
}

func (x *customer) json() object {
	return object{"id": x.id, "object": "customer", "name": x.name, "email": x.email, "metadata": x.meta, "created": x.created, "livemode": false}
}

func (c *call) newCustomer() answer {
	x := &customer{id: newID("cus"), name: c.form.Get("name"), email: c.form.Get("email"), meta: c.metadata(), created: c.lab.now()}
	c.a.customers[x.id] = x
	return ok(x.json())
}

func (c *call) getCustomer() answer {
	if x := c.a.customers[c.id]; x != nil {
		return ok(x.json())
	}
	return missing("customer", c.id)
}

func (c *call) changeCustomer() answer {
	x := c.a.customers[c.id]
	if x == nil {
		return missing("customer", c.id)
	}
	if c.form.Has("name") {
		x.name = c.form.Get("name")
	}
	if c.form.Has("email") {
		x.email = c.form.Get("email")
	}
	return ok(x.json())
}

// method is a card or a bank account.
type method struct {
	id, customer, number string
	kind                 string // empty: a card
	month, year          int64
	behaviour            behaviour
	authenticated        bool // it was set up with its owner there
	created              int64
}

// behaviour is what a test card does.
type behaviour struct {
	brand        string
	code         string // of the decline; empty: it works
	decline      string
	later        bool // the decline comes only when it is charged, not when it is saved
	authenticate string
}

// When a card wants its owner to confirm.
const (
	unlessSetUp = "unless set up"
	always      = "always"
)

// cards are Stripe's test cards that the simulator knows.
func cards() map[string]behaviour {
	return map[string]behaviour{
		"4242424242424242": {brand: "visa"},
		"5555555555554444": {brand: "mastercard"},
		"378282246310005":  {brand: "amex"},
		"4000000000000002": {brand: "visa", code: "card_declined", decline: "generic_decline"},
		"4000000000009995": {brand: "visa", code: "card_declined", decline: "insufficient_funds"},
		"4000000000000069": {brand: "visa", code: "expired_card", decline: "expired_card"},
		"4000000000000127": {brand: "visa", code: "incorrect_cvc", decline: "incorrect_cvc"},
		"4000000000000119": {brand: "visa", code: "processing_error", decline: "processing_error"},
		"4000000000000341": {brand: "visa", code: "card_declined", decline: "generic_decline", later: true},
		"4000002500003155": {brand: "visa", authenticate: unlessSetUp},
		"4000002760003184": {brand: "visa", authenticate: always},
	}
}

func (m *method) of() string {
	if m.kind == "" {
		return cardKind
	}
	return m.kind
}

func (m *method) json() object {
	o := object{
		"id": m.id, "object": "payment_method", "type": m.of(), "created": m.created, "livemode": false, "metadata": object{}, "customer": nil, "billing_details": object{},
	}
	if m.kind == sepaDebit {
		o[sepaDebit] = object{"bank_code": m.number[4:12], "branch_code": "", "country": m.number[:2], "fingerprint": m.number[2:4] + m.number[len(m.number)-8:], "last4": m.number[len(m.number)-4:]}
	} else {
		o["card"] = object{"brand": m.behaviour.brand, "last4": m.number[len(m.number)-4:], "exp_month": m.month, "exp_year": m.year, "funding": "credit", "fingerprint": fingerprint(m.number), "country": "US"}
	}
	if m.customer != "" {
		o["customer"] = m.customer
	}
	return o
}

// fingerprint is the same for the same number, and tells nothing of it.
func fingerprint(number string) string {
	sum := sha256.Sum256([]byte("fingerprint " + number))
	return hex.EncodeToString(sum[:8])
}

// makeMethod reads a card from fields that begin with prefix. Numbers are only ever
// test cards.
func (c *call) makeMethod(prefix string) (*method, *answer) {
	field := func(name string) string {
		if prefix == "" {
			return c.form.Get("card[" + name + "]")
		}
		return c.form.Get(prefix + "[card][" + name + "]")
	}
	number := strings.ReplaceAll(field("number"), " ", "")
	b, known := cards()[number]
	if !known {
		bad := refuse(402, "card_error", "incorrect_number", "number", "Your card number is incorrect.", nil)
		return nil, &bad
	}
	month, err1 := strconv.ParseInt(field("exp_month"), 10, 64)
	year, err2 := strconv.ParseInt(field("exp_year"), 10, 64)
	if year < 100 {
		year += 2000
	}
	if err1 != nil || month < 1 || month > 12 {
		bad := refuse(402, "card_error", "invalid_expiry_month", "exp_month", "Your card's expiration month is invalid.", nil)
		return nil, &bad
	}
	if now := c.lab.opts.Clock().UTC(); err2 != nil || year < int64(now.Year()) || year > int64(now.Year())+30 {
		bad := refuse(402, "card_error", "invalid_expiry_year", "exp_year", "Your card's expiration year is invalid.", nil)
		return nil, &bad
	}
	if cvc := field("cvc"); cvc != "" && (len(cvc) < 3 || len(cvc) > 4 || strings.Trim(cvc, "0123456789") != "") {
		bad := refuse(402, "card_error", "invalid_cvc", "cvc", "Your card's security code is invalid.", nil)
		return nil, &bad
	}
	m := &method{id: newID("pm"), number: number, month: month, year: year, behaviour: b, created: c.lab.now()}
	c.a.methods[m.id] = m
	return m, nil
}

func (c *call) newMethod() answer {
	make := map[string]func(string) (*method, *answer){cardKind: c.makeMethod, sepaDebit: c.makeAccount}[c.form.Get("type")]
	if make == nil {
		return invalid("type", "The simulator knows cards and bank accounts only.")
	}
	m, bad := make("")
	if bad != nil {
		return *bad
	}
	return ok(m.json())
}

func (c *call) getMethod() answer {
	m := c.a.methods[c.id]
	if m == nil {
		return missing("PaymentMethod", c.id)
	}
	o := m.json()
	if x := c.a.customers[m.customer]; x != nil && c.expands("customer") {
		o["customer"] = x.json()
	}
	return ok(o)
}

func (c *call) listMethods() answer {
	var all []any
	for _, m := range c.a.methods {
		if m.customer != "" && m.customer == c.form.Get("customer") {
			all = append(all, m.json())
		}
	}
	return list("/v1/payment_methods", all)
}

func (c *call) attach() answer {
	m, x := c.a.methods[c.id], c.a.customers[c.form.Get("customer")]
	switch {
	case m == nil:
		return missing("PaymentMethod", c.id)
	case x == nil:
		return missing("customer", c.form.Get("customer"))
	case m.customer != "" && m.customer != x.id:
		return invalid("", "The payment method you provided has already been attached to a customer.")
	case m.behaviour.code != "" && !m.behaviour.later:
		return refuse(402, "card_error", m.behaviour.code, "", "Your card was declined.", object{"decline_code": m.behaviour.decline})
	}
	m.customer = x.id
	c.tell("payment_method.attached", m.json())
	return ok(m.json())
}

func (c *call) detach() answer {
	m := c.a.methods[c.id]
	switch {
	case m == nil:
		return missing("PaymentMethod", c.id)
	case m.customer == "":
		return invalid("", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	was := m.customer
	m.customer = ""
	c.tellWas("payment_method.detached", m.json(), object{"customer": was})
	return ok(m.json())
}
