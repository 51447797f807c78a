package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// asAccount sends every request in the name of a connected account.
type asAccount struct {
	next    http.RoundTripper
	account string
}

// RoundTrip adds whose account it is.
func (a asAccount) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Stripe-Account", a.account)
	return a.next.RoundTrip(r)
}

// inNameOf is a client whose requests are a connected account's.
func inNameOf(account string, c *http.Client) *http.Client {
	out := http.Client{Timeout: 80 * time.Second} // stripe-go's own
	if c != nil {
		out = *c
	}
	next := out.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	out.Transport = asAccount{next, account}
	return &out
}

// isAccount reports whether s can be an account's id.
func isAccount(s string) bool { return isKey(s, "acct_") }

// OnBehalf is the connected account in whose name payments are taken; empty: the keys' own.
func (g *Gateway) OnBehalf() string { return g.cfg.Account }

// fee is the platform's share of a payment; nil: none.
func (g *Gateway) fee(m billing.Money) *int64 {
	if g.cfg.Account == "" || g.cfg.FeePpm <= 0 {
		return nil
	}
	part, err := m.Ratio(g.cfg.FeePpm, 1_000_000)
	if err != nil || part.Minor <= 0 {
		return nil
	}
	return &part.Minor
}

// NewAccount opens an account of its owner's own ("standard") on the platform.
func (g *Gateway) NewAccount(ctx context.Context, key string, c gateway.Customer, country string) (string, error) {
	p := &stripego.AccountParams{Type: stripego.String("standard"), Email: optional(c.Email), Country: optional(country)}
	if c.Name != "" {
		p.BusinessProfile = &stripego.AccountBusinessProfileParams{Name: stripego.String(short(c.Name, 100))}
	}
	p.Context = ctx
	p.SetIdempotencyKey(key)
	p.AddMetadata(metaKey, c.Key)
	a, err := g.api.Accounts.New(p)
	if err != nil {
		return "", translate("open an account", err)
	}
	return a.ID, nil
}

// Onboard makes a link to Stripe's own form.
func (g *Gateway) Onboard(ctx context.Context, account, back, again string) (string, error) {
	p := &stripego.AccountLinkParams{Account: stripego.String(account), ReturnURL: stripego.String(back), RefreshURL: stripego.String(again), Type: stripego.String("account_onboarding")}
	p.Context = ctx
	l, err := g.api.AccountLinks.New(p)
	if err != nil {
		return "", translate("lead to the account's form", err)
	}
	return l.URL, nil
}

// Account reads a connected account.
func (g *Gateway) Account(ctx context.Context, account string) (gateway.Connected, error) {
	if !isAccount(account) {
		return gateway.Connected{}, fmt.Errorf("stripe: %w", gateway.ErrNotFound)
	}
	p := &stripego.AccountParams{}
	p.Context = ctx
	a, err := g.api.Accounts.GetByID(account, p)
	if err != nil {
		return gateway.Connected{}, translate("read an account", err)
	}
	c := gateway.Connected{Account: a.ID, Charges: a.ChargesEnabled, Payouts: a.PayoutsEnabled, Submitted: a.DetailsSubmitted}
	if r := a.Requirements; r != nil {
		c.Due, c.Disabled = r.CurrentlyDue, string(r.DisabledReason)
	}
	return c, nil
}

// Heard verifies an event of the platform's Connect endpoint.
func (g *Gateway) Heard(header http.Header, body []byte, now time.Time) (string, error) {
	if err := g.proves(header, body, now); err != nil {
		return "", err
	}
	if of := accountIn(body); of != "" {
		return of, nil
	}
	return "", fmt.Errorf("stripe: %w: of no connected account", gateway.ErrSignature)
}

// accountIn is the connected account an event is about; empty: the keys' own.
func accountIn(body []byte) string {
	var e struct {
		Account string `json:"account"`
	}
	if json.Unmarshal(body, &e) != nil || !isAccount(e.Account) {
		return ""
	}
	return e.Account
}

// aboutAccountItself reports whether an event is about a connected account.
func aboutAccountItself(kind string) bool {
	return kind == "account.updated" || strings.HasPrefix(kind, "account.application.")
}
