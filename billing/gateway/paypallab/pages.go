package paypallab

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

//go:embed page/approve.html
var approveHTML string

//go:embed page/approve.css
var approveCSS []byte

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(approveCSS)
}

// asked is what a customer is asked to agree to. The caller holds the lock.
type asked struct {
	ID, Amount, Currency, What string
	Done                       bool
	returnURL, cancelURL       string
}

func (l *Lab) asked(id string) (asked, bool) {
	c := l.holding(func(a *account) bool { return a.orders[id] != nil || a.setups[id] != nil })
	if c == nil {
		return asked{}, false
	}
	if o := c.a.orders[id]; o != nil {
		return asked{id, o.amount.Value, o.amount.Currency, o.description, o.status != created, o.returnURL, o.cancelURL}, true
	}
	s := c.a.setups[id]
	return asked{ID: id, Done: s.status != created, returnURL: s.returnURL, cancelURL: s.cancelURL}, true
}

var errNotAsked = errors.New("paypallab: nothing to agree to")

// Approve has a customer agree to an order or to the keeping of their account, and returns
// the address they are sent back to.
func (l *Lab) Approve(id string, with Payer) (back string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	a, ok := l.asked(id)
	if !ok || a.Done {
		return "", errNotAsked
	}
	c := l.holding(func(x *account) bool { return x.orders[id] != nil || x.setups[id] != nil })
	payer, name := &wallet{email: emailOf(with), does: with}, "token"
	if o := c.a.orders[id]; o != nil {
		o.payer, o.status, o.updated = payer, approved, l.now()
		c.tell("CHECKOUT.ORDER.APPROVED", "checkout-order", c.order(o))
	} else {
		c.a.setups[id].payer, c.a.setups[id].status = payer, approved
		name = "approval_token_id"
	}
	return withQuery(a.returnURL, url.Values{name: {id}}), nil
}

func withQuery(address string, more url.Values) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	q := u.Query()
	for k, v := range more {
		q[k] = v
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (l *Lab) approvePage(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	a, ok := l.asked(r.PathValue("id"))
	l.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	t, err := template.New("approve").Parse(approveHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = t.Execute(w, a)
}

// approveAnswer is the customer's word, and the way back to the shop.
func (l *Lab) approveAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	l.mu.Lock()
	a, ok := l.asked(r.PathValue("id"))
	l.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	back := withQuery(a.cancelURL, url.Values{"token": {a.ID}})
	if p := Payer(r.FormValue("payer")); p == Pays || p == Declines || p == Waits || p == Confirms {
		if to, err := l.Approve(a.ID, p); err == nil {
			back = to
		}
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// faultsPage switches faults from outside, for a person at the demo: POST with any of
// down, errors, lose_answers, forgets, no_vault, lose_hooks, double_hooks, turn_hooks as
// "on", and slow as a duration. What is not named is switched off.
func (l *Lab) faultsPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	on := func(name string) bool { return r.FormValue(name) == "on" }
	slow, err := time.ParseDuration(r.FormValue("slow"))
	if err != nil {
		slow = 0
	}
	l.SetFaults(Faults{
		Down: on("down"), Errors: on("errors"), LoseAnswers: on("lose_answers"), Forgets: on("forgets"), NoVault: on("no_vault"),
		LoseHooks: on("lose_hooks"), DoubleHooks: on("double_hooks"), TurnHooks: on("turn_hooks"), Slow: min(slow, time.Minute),
	})
	w.WriteHeader(http.StatusNoContent)
}
