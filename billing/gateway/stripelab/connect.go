package stripelab

import (
	"html/template"
	"net/http"
	"strings"
)

// Connected accounts: the platform opens them, their owners fill in a form here, and the
// platform acts for them with the header Stripe-Account.

// onboarding is a link to the form of an account. It is of use once.
type onboarding struct {
	account, back, again string
	used                 bool
}

func (a *account) json() object {
	due := []string{}
	if !a.ready {
		due = []string{"business_profile.url", "external_account", "tos_acceptance.date"}
	}
	disabled := any(nil)
	if !a.ready {
		disabled = "requirements.past_due"
	}
	o := object{
		"id": a.id, "object": "account", "charges_enabled": a.ready, "payouts_enabled": a.ready, "details_submitted": a.submitted, "country": "DE", "default_currency": "eur",
		"settings": object{"dashboard": object{"display_name": a.name}}, "metadata": object{}, "requirements": object{"currently_due": due, "disabled_reason": disabled},
	}
	if a.owner != nil {
		o["type"] = "standard"
	}
	return o
}

// acting is the account a call is made for: the keys' own, or one connected to it.
func (l *Lab) actingFor(a *account, named string) (*account, *answer) {
	if named == "" {
		return a, nil
	}
	for _, x := range l.accounts {
		if x.id == named && x.owner == a && !x.ended {
			return x, nil
		}
	}
	bad := refuse(http.StatusForbidden, "invalid_request_error", "account_invalid", "", "The provided key does not have access to account '"+named+"' (or that account does not exist). Application access may have been revoked.", nil)
	return nil, &bad
}

func (c *call) newAccount() answer {
	if kind := c.form.Get("type"); kind != "standard" {
		return invalid("type", "The simulator opens standard accounts only.")
	}
	x := newAccount()
	x.owner, x.name = c.a, c.form.Get("business_profile[name]")
	c.lab.accounts = append(c.lab.accounts, x)
	return ok(x.json())
}

func (c *call) getAccount() answer {
	x, bad := c.lab.actingFor(c.a, c.id)
	if bad != nil {
		return *bad
	}
	return ok(x.json())
}

func (c *call) newLink() answer {
	x, bad := c.lab.actingFor(c.a, c.form.Get("account"))
	if bad != nil {
		return *bad
	}
	if c.form.Get("type") != "account_onboarding" || c.form.Get("return_url") == "" || c.form.Get("refresh_url") == "" || x == c.a {
		return invalid("type", "An account link needs account, type, return_url and refresh_url.")
	}
	id := newID("acctlink")
	c.lab.links[id] = &onboarding{account: x.id, back: c.form.Get("return_url"), again: c.form.Get("refresh_url")}
	return ok(object{"object": "account_link", "created": c.lab.now(), "expires_at": c.lab.now() + 300, "url": c.base + "/connect/" + id})
}

// connectPage is Stripe's form, on which a person says who they are, or leaves.
func (l *Lab) connectPage(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	link := l.links[r.PathValue("id")]
	gone := link != nil && link.used
	l.mu.Unlock()
	switch {
	case link == nil:
		http.NotFound(w, r)
	case gone:
		http.Redirect(w, r, link.again, http.StatusSeeOther)
	default:
		t, err := template.ParseFS(pages, "page/connect.html")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = t.Execute(w, link.account)
	}
}

// connectAnswer takes what the person did on the form: answer is finish or leave.
func (l *Lab) connectAnswer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	l.mu.Lock()
	link := l.links[r.PathValue("id")]
	if link == nil || link.used {
		l.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	link.used = true
	for _, x := range l.accounts {
		if x.id == link.account && r.FormValue("answer") == "finish" {
			x.submitted, x.ready = true, true
			(&call{lab: l, a: x}).tell("account.updated", x.json())
		}
	}
	l.mu.Unlock()
	l.hooks.Stir()
	http.Redirect(w, r, link.back, http.StatusSeeOther)
}

// SetAccount changes whether a connected account may take payments, as Stripe does when it
// wants to know more.
func (l *Lab) SetAccount(id string, ready bool) error {
	return l.connected(id, func(x *account) {
		x.ready = ready
		(&call{lab: l, a: x}).tell("account.updated", x.json())
	})
}

// Deauthorize has the owner of a connected account end that the platform may act for it.
func (l *Lab) Deauthorize(id string) error {
	return l.connected(id, func(x *account) {
		(&call{lab: l, a: x}).tell("account.application.deauthorized", object{"id": "ca_simulated", "object": "application"})
		x.ended = true
	})
}

func (l *Lab) connected(id string, do func(*account)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	for _, x := range l.accounts {
		if x.id == id && x.owner != nil {
			do(x)
			return nil
		}
	}
	return errNoPayment
}

// Connected are the ids of the accounts opened with a platform's key.
func (l *Lab) Connected(secretKey string) (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.accounts {
		if x.owner != nil && x.owner.secret == secretKey {
			all = append(all, x.id)
		}
	}
	return all
}

// Fees is what a connected account's payments left to the platform, in minor units.
func (l *Lab) Fees(account string) (minor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.accounts {
		if x.id == account {
			for _, i := range x.intents {
				if i.status == succeeded {
					minor += i.fee
				}
			}
		}
	}
	return minor
}

// connectRoutes are the pages and the faults of connected accounts: POST
// /lab/account/{id} (ready=on), /lab/deauthorize/{id}.
func (l *Lab) connectRoutes(m *http.ServeMux) {
	m.HandleFunc("GET /connect/{id}", l.connectPage)
	m.HandleFunc("POST /connect/{id}", l.connectAnswer)
	m.HandleFunc("POST /lab/account/{id}", l.officePage(func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.SetAccount(r.PathValue("id"), r.FormValue("ready") == "on")
	}))
	m.HandleFunc("POST /lab/deauthorize/{id}", l.officePage(func(r *http.Request) (string, error) {
		return r.PathValue("id"), l.Deauthorize(r.PathValue("id"))
	}))
}

// hears reports whether an endpoint is told of what happens at an account: its own, or the
// platform's for those connected to it.
func (a *account) listeners(kind string) (all []*endpoint) {
	for _, e := range a.endpoints {
		if !e.connect && e.wants(kind) {
			all = append(all, e)
		}
	}
	if a.owner != nil && !a.ended {
		for _, e := range a.owner.endpoints {
			if e.connect && e.wants(kind) {
				all = append(all, e)
			}
		}
	}
	return all
}

func newAccount() *account {
	return &account{
		id: "acct_" + strings.TrimPrefix(newID("x"), "x_"), customers: map[string]*customer{}, methods: map[string]*method{}, mandates: map[string]*mandate{},
		intents: map[string]*intent{}, refunds: map[string]*refund{}, disputes: map[string]*dispute{}, idempotent: map[string]kept{},
	}
}
