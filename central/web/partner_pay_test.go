package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// bank is the platform's own account at a simulated Stripe.
type bank struct {
	t    testing.TB
	desk *wholesale.Desk
	lab  *stripelab.Lab
	url  string
}

const platformKey, hookSecret = "sk_test_platform", "whsec_platform"

func openBank(t testing.TB, w *tenancytest.World, box *mail.Outbox) *bank {
	t.Helper()
	b := &bank{t: t, lab: stripelab.New(stripelab.Options{Clock: w.Clock.Now})}
	b.lab.AddAccount(platformKey, "pk_test_platform")
	srv := httptest.NewServer(b.lab.Handler())
	t.Cleanup(srv.Close)
	b.url = srv.URL
	g, err := stripe.New(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", WebhookSecrets: []string{hookSecret}, APIURL: b.url, ScriptURL: b.url + "/v3/", HTTP: &http.Client{Timeout: 10 * time.Second}})
	must(t, err)
	b.desk = &wholesale.Desk{Central: w.Central, Mail: box, Taker: &wholesale.Taker{Code: stripe.Code, Gateway: g}}
	return b
}

// begin begins to pay an invoice with a card to be entered, or goes on with that.
func (b *bank) begin(who tenancy.Tenant, invoice string) wholesale.Attempt {
	b.t.Helper()
	a, _, err := b.desk.Pay(b.t.Context(), who.ID, wholesale.PayRequest{Invoice: uuid.MustParse(invoice)})
	must(b.t, err)
	return a
}

// enter is what the browser's card form does.
func (b *bank) enter(kind, clientSecret, number string) {
	b.t.Helper()
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	res, err := http.PostForm(b.url+"/v1/"+kind+"/"+id+"/confirm", url.Values{
		"key": {"pk_test_platform"}, "client_secret": {clientSecret}, "return_url": {"https://partners.example/back"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {number}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	must(b.t, err)
	_ = res.Body.Close()
}

func TestAPartnerPaysByCard(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openPartner(t, w)
	ctx := t.Context()
	inv, theirs := "/invoices/"+invoiceOf(t, w, w.A), "/invoices/"+invoiceOf(t, w, w.B)
	for _, path := range []string{theirs + "/pay", "/invoices/x/pay", "/payments/" + h.bank.begin(w.B, strings.TrimPrefix(theirs, "/invoices/")).ID.String(), "/payments/x"} {
		h.want(path, h.get(path), 404, "There is no such")
	}
	h.want("theirs", h.post(theirs+"/pay", "with", "card"), 404, "no such invoice")
	page := h.get(inv + "/pay")
	h.want("the page", page, 200, "Pay €51.49", `data-key="pk_test_platform"`, `data-minor="5149"`)
	if !strings.Contains(page.head.Get("Content-Security-Policy"), h.bank.url) {
		t.Error("the page does not allow the gateway's script")
	}
	h.want("no choice", h.post(inv+"/pay", "with", "gold"), 422, "Choose how you want to pay")
	h.want("no card is kept", h.post(inv+"/pay", "with", "kept"), 404, "no such card")
	h.want("without a script", h.post(inv+"/pay", "with", "card"), 422, "needs JavaScript")
	h.bank.lab.SetFaults(stripelab.Faults{Down: true})
	h.want("the gateway is down", h.post(inv+"/pay", "with", "card"), 409, "does not answer")
	h.bank.lab.SetFaults(stripelab.Faults{})

	// A card is kept, and another's setup is not ours.
	st, err := h.bank.desk.AddCard(ctx, w.A.ID, "")
	must(t, err)
	h.bank.enter("setup_intents", st.ClientSecret, "4000000000000341")
	h.want("kept", h.get("/billing/card/saved?setup_intent="+st.Ref), 303, "/billing")
	h.want("shown", h.get("/billing"), 200, "•••• 0341", "Remove")
	other, err := h.bank.desk.AddCard(ctx, w.B.ID, "")
	must(t, err)
	h.bank.enter("setup_intents", other.ClientSecret, "4242424242424242")
	h.want("another's card", h.get("/billing/card/saved?setup_intent="+other.Ref), 404, "no such card")
	h.want("declined", h.post(inv+"/pay", "with", "kept"), 422, "declined")
	h.want("removed", h.post("/billing/card/remove"), 303, "/billing")

	// A card that is entered in the browser.
	a, gp, err := h.bank.desk.Pay(ctx, w.A.ID, wholesale.PayRequest{Invoice: uuid.MustParse(invoiceOf(t, w, w.A)), Save: true})
	must(t, err)
	h.want("not finished", h.get("/payments/"+a.ID.String()), 303, inv+"/pay")
	h.bank.enter("payment_intents", gp.ClientSecret, "4242424242424242")
	for range 2 {
		h.want("back from the form", h.get("/payments/"+a.ID.String()), 303, inv)
	}
	h.want("paid", h.get(inv), 200, "Paid", "€51.49")
	h.want("the page of a paid one", h.get(inv+"/pay"), 303, inv)
	h.want("the card was kept", h.get("/billing"), 200, "•••• 4242")
	if minor, n := h.bank.lab.Taken(platformKey); n != 1 || minor["eur"] != 5149 {
		t.Errorf("Stripe took %v in %d payments", minor, n)
	}
}

func TestAPartnerSaysWhoItIs(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openPartner(t, w)
	h.want("asked for", h.get("/"), 200, `href="/billing"`)
	h.want("empty", h.post("/billing", "company", "Alpha <b>"), 422, "Please fill this in", "Choose the country", `value="Alpha <b>"`)
	h.want("a number of another country", h.post("/billing", "company", "Alpha BV", "line1", "Kade 1", "city", "Utrecht", "country", "NL", "tax_id", "DE123456789"), 422, "VAT number of that country")
	h.want("saved", h.post("/billing", "company", "Alpha BV", "line1", "Kade 1", "city", "Utrecht", "country", "NL", "tax_id", "NL854012345B01", "email", "books@alpha.test"), 303, "/billing")
	h.want("shown", h.get("/billing"), 200, "Alpha BV", "Utrecht", "NL854012345B01")
	if p, err := h.bank.desk.Profile(t.Context(), w.B.ID); err != nil || p.Company != "" {
		t.Errorf("another's: %+v, %v", p, err)
	}
}

func TestTheHookOfThePlatformsAccount(t *testing.T) {
	w := tenancytest.New(t)
	h := openPartner(t, w)
	h.visitor()
	h.want("unsigned", h.post("/hooks/stripe", "id", "evt_1"), 400, "signature")
	h.want("nobody", h.post("/hooks/paypal"), 404, "Nothing is expected here")
	var kept int
	must(t, w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.gateway_events").Scan(&kept))
	if kept != 0 {
		t.Errorf("%d notifications are kept", kept)
	}
}
