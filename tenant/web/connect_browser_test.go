package web_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// connectsAtStripe connects accounts at a simulator of Stripe.
type connectsAtStripe struct {
	*stripe.Gateway
	accounts map[tenancy.ID]string
}

// Open opens a shop's account.
func (k connectsAtStripe) Open(ctx context.Context, of tenancy.ID, c gateway.Customer, country string) (string, error) {
	account, err := k.NewAccount(ctx, of.String(), c, country)
	k.accounts[of] = account
	return account, err
}

// Offered reports that accounts can be connected.
func (connectsAtStripe) Offered() bool { return true }

// Link is the form of a shop's account.
func (k connectsAtStripe) Link(ctx context.Context, of tenancy.ID, back, again string) (string, error) {
	return k.Onboard(ctx, k.accounts[of], back, again)
}

// State is how a shop's account stands.
func (k connectsAtStripe) State(ctx context.Context, of tenancy.ID) (gateway.Connected, error) {
	return k.Account(ctx, k.accounts[of])
}

// Ended forgets nothing.
func (connectsAtStripe) Ended(context.Context, tenancy.ID, string) error { return nil }

// TestConnectingInABrowser connects an account as a reseller does: leaves Stripe's form, goes
// on with it, is through, and disconnects.
func TestConnectingInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	lab := stripelab.New(stripelab.Options{})
	lab.AddAccount("sk_test_browser", "pk_test_browser")
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	g, err := stripe.New(stripe.Config{SecretKey: "sk_test_browser", PublishableKey: "pk_test_browser", APIURL: srv.URL, ScriptURL: srv.URL + "/v3/"})
	must(t, err)
	e.site.Payments.Connect = connectsAtStripe{g, map[tenancy.ID]string{}}
	home := "http://" + w.A.PrimaryHost + ":" + serve(t, e.front)
	p := tab(t, browser.Open(t), home, e.as(t, w.A, identity.ResellerOwner))
	const settings = "/manage/settings/payments"
	p.Go(home + settings)
	p.CheckViews("connect/before")
	p.Follow(`form[action$="/stripe/connect"] button`)
	p.Wait("h1", "Stripe")
	p.CheckViews("connect/on_the_way")
	at := home + settings
	for _, answer := range []string{"leave", "finish"} {
		p.Go(at + "/stripe/connect")
		p.FollowTo(`main a[href*="/connect/"]`, "/connect/")
		p.FollowTo(`button[value="`+answer+`"]`, settings)
		if answer == "leave" {
			p.Wait("main", "Connected, not finished at Stripe")
			p.CheckViews("connect/left")
		}
	}
	p.Wait("#h-stripe + p ~ *, main", "Connected")
	p.CheckViews("connect/done")
	p.Follow(`form[action$="/stripe/disconnect"] button`)
	p.Wait("main", "Connect with Stripe")
}
