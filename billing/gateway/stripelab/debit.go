package stripelab

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
)

const (
	processing = "processing"
	sepaDebit  = "sepa_debit"
	cardKind   = "card"
	notAllowed = "debit_not_authorized"
	notEnough  = "insufficient_funds"
)

// debitOutcome is what becomes of a debit of a test account.
type debitOutcome struct {
	fails string // code; empty: it succeeds
	slow  bool   // three minutes at least, also where debits take no time
	back  bool   // its owner has it sent back as soon as it is there
}

// debitAccounts are Stripe's test account numbers of Germany and Austria; any other IBAN
// that is one succeeds.
func debitAccounts() map[string]debitOutcome {
	return map[string]debitOutcome{
		"DE89370400440532013000": {}, "AT611904300234573201": {},
		"DE08370400440532013003": {slow: true}, "AT321904300235473203": {slow: true},
		"DE62370400440532013001": {fails: notEnough}, "AT861904300235473202": {fails: notEnough},
		"DE78370400440532013004": {fails: notEnough, slow: true}, "AT051904300235473205": {fails: notEnough, slow: true},
		"DE35370400440532013002": {back: true}, "AT591904300235473203": {back: true},
	}
}

// mandate is what the owner of a bank account agreed to.
type mandate struct {
	id, method, reference, status string
}

func (x *mandate) json() object {
	return object{
		"id": x.id, "object": "mandate", "status": x.status, "type": "multi_use", "payment_method": x.method, "livemode": false, "multi_use": object{},
		"customer_acceptance":    object{"type": "online"},
		"payment_method_details": object{"type": sepaDebit, sepaDebit: object{"reference": x.reference, "url": "https://hooks.stripe.example/adapter/sepa_debit/file/" + x.id}},
	}
}

// makeAccount reads a bank account from fields that begin with prefix.
func (c *call) makeAccount(prefix string) (*method, *answer) {
	field := func(group, name string) string {
		if prefix == "" {
			return c.form.Get(group + "[" + name + "]")
		}
		return c.form.Get(prefix + "[" + group + "][" + name + "]")
	}
	iban := strings.ToUpper(strings.ReplaceAll(field(sepaDebit, "iban"), " ", ""))
	if !billing.IsIBAN(iban) {
		bad := refuse(http.StatusBadRequest, "invalid_request_error", "invalid_bank_account_iban", prefix+"[sepa_debit][iban]", "The IBAN you provided is invalid.", nil)
		return nil, &bad
	}
	if field("billing_details", "name") == "" || field("billing_details", "email") == "" {
		bad := refuse(http.StatusBadRequest, "invalid_request_error", "parameter_missing", "billing_details", "A name and an e-mail address are needed for a SEPA debit.", nil)
		return nil, &bad
	}
	m := &method{id: newID("pm"), kind: sepaDebit, number: iban, created: c.lab.now()}
	c.a.methods[m.id] = m
	return m, nil
}

// mandateOf is the mandate of a bank account, made when its owner agrees with this call.
func (c *call) mandateOf(m *method) (*mandate, *answer) {
	for _, x := range c.a.mandates {
		if x.method == m.id {
			return x, nil
		}
	}
	if kind := c.form.Get("mandate_data[customer_acceptance][type]"); kind != "online" && kind != "offline" {
		bad := invalid("mandate_data", "A mandate is needed to collect from this account.")
		return nil, &bad
	}
	if c.form.Get("mandate_data[customer_acceptance][type]") == "online" && (c.form.Get("mandate_data[customer_acceptance][online][ip_address]") == "" || c.form.Get("mandate_data[customer_acceptance][online][user_agent]") == "") {
		bad := invalid("mandate_data", "Who agreed online has an address and a browser.")
		return nil, &bad
	}
	x := &mandate{id: newID("mandate"), method: m.id, reference: strings.ToUpper(newID("m")[2:18]), status: "active"}
	c.a.mandates[x.id] = x
	return x, nil
}

// debit has a bank account collected from, or keeps it.
func (c *call) debit(i *intent, m *method) answer {
	x, bad := c.mandateOf(m)
	if bad != nil {
		return *bad
	}
	if x.status != "active" {
		return c.decline(i, m, "payment_method_customer_decline", notAllowed, "The mandate is not active any more.")
	}
	i.mandate = x.id
	if i.setup {
		c.succeed(i, m)
		return ok(i.json(c))
	}
	if i.currency != "eur" {
		return invalid("currency", "SEPA debits are in eur.")
	}
	i.status, i.failure = processing, nil
	takes := c.lab.opts.Debit
	if debitAccounts()[m.number].slow {
		takes = max(takes, 3*time.Minute)
	}
	i.until = c.lab.opts.Clock().Add(takes)
	c.tell(i.event("processing"), i.json(c))
	return ok(i.json(c))
}

// settleDebits brings debits to their end whose time has come. The caller holds the lock.
func (l *Lab) settleDebits() {
	now := l.opts.Clock()
	for _, a := range l.accounts {
		for _, id := range a.order {
			if i := a.intents[id]; i.status == processing && !i.until.After(now) {
				l.settleDebit(&call{lab: l, a: a, form: map[string][]string{}}, i, debitAccounts()[a.methods[i.method].number])
			}
		}
	}
}

func (l *Lab) settleDebit(c *call, i *intent, o debitOutcome) {
	m := c.a.methods[i.method]
	if o.fails != "" {
		c.decline(i, m, o.fails, o.fails, "The debit was not carried out.")
		return
	}
	c.succeed(i, m)
	if o.back {
		c.sendBack(i, notAllowed)
	}
}

var errNotProcessing = errors.New("stripelab: no debit under way")

// SettleDebit brings a debit that is under way to its end at once: fails is the code it
// fails with; empty: it succeeds.
func (l *Lab) SettleDebit(intent, fails string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.intents[intent] != nil })
	if c == nil || c.a.intents[intent].status != processing {
		return errNotProcessing
	}
	l.settleDebit(c, c.a.intents[intent], debitOutcome{fails: fails})
	return nil
}

// ReturnDebit has the owner of a bank account send a debit back that succeeded, as they
// may for eight weeks. Nobody is asked: the dispute is lost. It returns its id.
func (l *Lab) ReturnDebit(intent, reason string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	c := l.holding(func(a *account) bool { return a.intents[intent] != nil })
	if c == nil || c.a.intents[intent].status != succeeded || c.a.methods[c.a.intents[intent].method].kind != sepaDebit {
		return "", errNoPayment
	}
	return c.sendBack(c.a.intents[intent], reason), nil
}

func (c *call) sendBack(i *intent, reason string) string {
	d := &dispute{id: newID("dp"), intent: i.id, currency: i.currency, reason: reason, status: lost, amount: i.amount, created: c.lab.now(), moves: []int64{-i.amount}}
	c.a.disputes[d.id] = d
	c.tell("charge.dispute.created", d.json())
	c.tell("charge.dispute.funds_withdrawn", d.json())
	c.tell("charge.dispute.closed", d.json())
	return d.id
}

// RevokeMandate has the owner of a bank account take the mandate of a method back at
// their bank.
func (l *Lab) RevokeMandate(methodID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	for _, a := range l.accounts {
		for _, id := range slices.Sorted(maps.Keys(a.mandates)) {
			if x := a.mandates[id]; x.method == methodID {
				x.status = "inactive"
				(&call{lab: l, a: a}).tell("mandate.updated", x.json())
				return nil
			}
		}
	}
	return errNoPayment
}
