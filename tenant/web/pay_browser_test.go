package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// cards opens Stripe at a simulator, and transfers.
type cards struct{ base string }

// Open opens a gateway.
func (g cards) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if code != stripe.Code {
		return byTransfer{}.Open(code, s)
	}
	return stripe.New(stripe.Config{
		SecretKey: s.Secret["secret_key"], PublishableKey: s.Public["publishable_key"], WebhookSecrets: []string{s.Secret["webhook_secret"]},
		APIURL: g.base, ScriptURL: g.base + "/v3/", Shop: s.Tenant.String(), HTTP: &http.Client{Timeout: 5 * time.Second},
	})
}

// takeCards gives a shop of the estate an account at a simulator.
func (e *estate) takeCards(t testing.TB, of tenancy.Tenant) *stripelab.Lab {
	t.Helper()
	lab := stripelab.New(stripelab.Options{})
	lab.AddAccount("sk_test_browser", "pk_test_browser")
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	e.site.Payments.Gateways = cards{srv.URL}
	must(t, e.site.Payments.SaveGateway(t.Context(), e.DB(of), payment.Change{
		Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_browser"}, Secret: map[string]string{"secret_key": "sk_test_browser"},
	}, audit.Origin{Actor: audit.System("test")}))
	return lab
}

// typeCard fills in the simulator's card form, which is a frame of another origin.
func typeCard(p *browser.Page, number string) {
	p.FillFrame("#pay-card iframe", [2]string{"#number", number}, [2]string{"#expiry", "1234"}, [2]string{"#cvc", "123"})
}

// TestPayingInABrowser pays as a customer does: a declined card, one that works and is
// kept, one whose bank asks, a card that is saved, and the browser's back button.
func TestPayingInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	lab := e.takeCards(t, e.A)
	home := "http://" + e.A.PrimaryHost + ":" + serve(t, e.front)
	p := tab(t, browser.Open(t), home, e.as(t, e.A, identity.CustomerMember))
	p.Allow("402") // a declined card is an answer of the simulator's

	invoice := e.things[e.A.ID][":invoice"]
	p.Go(home + "/client/invoices/" + invoice + "/pay")
	p.Click(`input[value="card"]`)
	p.CheckViews("client/pay")
	p.Look(browser.Desktop)
	p.Click(`main button[type="submit"]`)
	p.Wait("[data-pay-problem]", "incomplete")
	typeCard(p, "4000000000000002")
	p.Click(`main button[type="submit"]`)
	p.Wait("[data-pay-problem]", "declined")
	typeCard(p, "4242424242424242")
	p.Click("#f-save")
	p.FollowTo(`main button[type="submit"]`, "/client/invoices/"+invoice)
	p.Wait(".notice", "Thank you")
	e.isPaid(t, invoice)
	must(t, p.NavigateBack())
	p.Loaded()
	p.Wait("main", "is paid")

	// The bank asks, and is answered no and then yes.
	next := e.bill(t, e.A, "browser/2")
	p.Go(home + "/client/invoices/" + next + "/pay")
	p.Click(`input[value="card"]`)
	typeCard(p, "4000002760003184")
	p.FollowTo(`main button[type="submit"]`, "/authenticate/")
	p.FollowTo("#refuse", "/pay")
	p.Wait(".notice", "not confirmed with your bank")
	p.Click(`input[value="card"]`)
	typeCard(p, "4000002760003184")
	p.FollowTo(`main button[type="submit"]`, "/authenticate/")
	p.FollowTo("#confirm", "/client/invoices/"+next)
	p.Wait(".notice", "Thank you")
	e.isPaid(t, next)

	p.Go(home + "/client/payment-methods")
	p.Wait("th", "Visa •••• 4242")
	typeCard(p, "5555555555554444")
	p.FollowTo(`form[data-pay="setup"] button`, "/client/payment-methods")
	p.Wait("th", "Mastercard •••• 4444")
	p.Wait(".notice", "The card is saved")
	p.CheckViews("client/payment_methods")
	if taken, n := lab.Taken("sk_test_browser"); n != 2 {
		t.Errorf("Stripe took %v in %d payments", taken, n)
	}
}

// bill makes an open invoice of the buyer's account.
func (e *estate) bill(t testing.TB, of tenancy.Tenant, key string) string {
	t.Helper()
	var inv invoicing.Invoice
	must(t, e.DB(of).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(t.Context(), tx, invoicing.Draft{Key: key, AccountID: uuid.MustParse(e.things[of.ID][":account"]), Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 1000, Currency: "EUR"}}}})
		return err
	}))
	return inv.ID.String()
}

func (e *estate) isPaid(t testing.TB, id string) {
	t.Helper()
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(t.Context(), tx, uuid.MustParse(id))
		if err == nil && (inv.State != invoicing.Paid || inv.Due().Minor != 0) {
			t.Errorf("the invoice is %+v", inv)
		}
		return err
	}))
}

// The policy allows the card form's origin on the pages that have it, and nowhere else.
func TestOnlyCardPagesAllowTheGateway(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	e.takeCards(t, e.A)
	c := e.as(t, e.A, identity.CustomerMember)
	for path, allowed := range map[string]bool{
		"/client/invoices/" + e.things[e.A.ID][":invoice"] + "/pay": true, "/client/payment-methods": true,
		"/client": false, "/client/invoices": false, "/": false,
	} {
		a := c.Send(t, "GET", path, nil)
		if got := strings.Contains(a.Head.Get("Content-Security-Policy"), "http://127.0.0.1:"); a.Status != 200 || got != allowed {
			t.Errorf("%s: %d, %s", path, a.Status, a.Head.Get("Content-Security-Policy"))
		}
	}
}
