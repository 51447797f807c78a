package web_test

import (
	"bytes"
	"mime/multipart"
	"net"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/paypal"
	"github.com/ezscale/ezscale/billing/gateway/paypallab"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// byPayPal opens PayPal at a simulator, and the estate's own gateway.
type byPayPal struct{ base string }

// Open opens them.
func (g byPayPal) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if code == paypal.Code {
		return paypal.New(paypal.Config{ClientID: s.Public["client_id"], Secret: s.Secret["client_secret"], WebhookID: s.Secret["webhook_secret"], APIURL: g.base})
	}
	return byTransfer{}.Open(code, s)
}

const paypalSecret = "secret-of-the-estate"

// takesPayPal lets a tenant of the estate take PayPal.
func (e *estate) takesPayPal(t *testing.T, of tenancy.Tenant) *paypallab.Lab {
	t.Helper()
	lab := paypallab.New(paypallab.Options{})
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	e.site.Payments = &payment.Desk{Gateways: byPayPal{srv.URL}, Keys: e.ring}
	lab.AddAccount("client-of-the-estate", paypalSecret)
	must(t, e.site.Payments.SaveGateway(t.Context(), e.DB(of), payment.Change{
		Code: paypal.Code, On: true, Public: map[string]string{"client_id": "client-of-the-estate"}, Secret: map[string]string{"client_secret": paypalSecret},
	}, audit.Origin{Actor: audit.System("test")}))
	return lab
}

func (e *estate) read(t *testing.T, of tenancy.Tenant, invoice string) (inv invoicing.Invoice) {
	t.Helper()
	must(t, e.DB(of).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Get(t.Context(), tx, uuid.MustParse(invoice))
		return err
	}))
	return inv
}

var toPayPal = regexp.MustCompile(`href="http://[^"]+/approve/([A-Z0-9]+)"`)

// agree follows the link a page has to PayPal, and returns where that leads back to.
func agree(t *testing.T, lab *paypallab.Lab, page surfacetest.Answer) string {
	t.Helper()
	to := toPayPal.FindStringSubmatch(page.Page)
	if page.Status != 200 || to == nil {
		t.Fatalf("no way to PayPal: %d to %q", page.Status, page.Where)
	}
	back, err := lab.Approve(to[1], paypallab.Pays)
	must(t, err)
	u, err := url.Parse(back)
	must(t, err)
	return u.RequestURI()
}

// TestPayPalWithoutAScript walks the customer's way by links and forms alone.
func TestPayPalWithoutAScript(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	lab := e.takesPayPal(t, e.A)
	id := e.bill(t, e.A, "paypal/1")
	c := e.as(t, e.A, identity.CustomerMember)
	at := "/client/invoices/" + id + "/pay"
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || !strings.Contains(a.Page, `value="away:paypal"`) || !strings.Contains(a.Page, "PayPal") {
		t.Fatalf("the page: %d", a.Status)
	}
	begun := c.Send(t, "POST", at, url.Values{"with": {"away:paypal"}, "keep": {"on"}})
	if begun.Status != 303 || !strings.HasPrefix(begun.Where, "/client/payments/") {
		t.Fatalf("%d to %q", begun.Status, begun.Where)
	}
	if a := c.Send(t, "GET", begun.Where+"&given_up=1", nil); a.Status != 303 || !strings.HasPrefix(a.Where, at) {
		t.Errorf("turned back: %d to %q", a.Status, a.Where)
	}
	back := agree(t, lab, c.Send(t, "GET", begun.Where, nil))
	if a := c.Send(t, "GET", back, nil); a.Status != 303 || a.Where != "/client/invoices/"+id {
		t.Errorf("back: %d to %q", a.Status, a.Where)
	}
	if inv := e.read(t, e.A, id); inv.State != invoicing.Paid {
		t.Errorf("the invoice is %s", inv.State)
	}
	if a := c.Send(t, "GET", "/client/payment-methods", nil); !strings.Contains(a.Page, "PayPal buyer-pays@example.com") {
		t.Error("the account is not kept")
	}
	go1 := c.Send(t, "POST", "/client/payment-methods", url.Values{"with": {"away:paypal"}})
	if go1.Status != 303 || !strings.HasPrefix(go1.Where, "/client/payment-methods/saved?setup=") {
		t.Fatalf("keeping another: %d to %q", go1.Status, go1.Where)
	}
	other := e.as(t, e.B, identity.CustomerMember)
	if a := other.Send(t, "GET", go1.Where, nil); a.Status != 404 {
		t.Errorf("at another shop: %d", a.Status)
	}
	kept := agree(t, lab, c.Send(t, "GET", go1.Where, nil))
	if a := c.Send(t, "GET", kept, nil); a.Status != 303 || a.Where != "/client/payment-methods" {
		t.Errorf("kept: %d to %q", a.Status, a.Where)
	}
	if a := c.Send(t, "POST", "/client/payment-methods", url.Values{"with": {"away:stripe"}}); a.Status != 404 {
		t.Errorf("one that is not offered: %d", a.Status)
	}
	if _, n := lab.Taken("client-of-the-estate"); n != 1 {
		t.Errorf("%d payments", n)
	}

	// The reseller's side.
	m := e.as(t, e.A, identity.ResellerOwner)
	if a := m.Send(t, "GET", "/manage/settings/payments", nil); a.Status != 200 || strings.Contains(a.Page, paypalSecret) || !strings.Contains(a.Page, "client-of-the-estate") {
		t.Errorf("the keys' page: %d", a.Status)
	}
	if a := m.Send(t, "POST", "/manage/settings/payments/paypal/check", nil); a.Status != 303 {
		t.Errorf("the test: %d", a.Status)
	}
	if a := m.Send(t, "GET", "/manage/settings/payments", nil); !strings.Contains(a.Page, "Works") {
		t.Error("the test's outcome is not shown")
	}
	if a := m.Send(t, "POST", "/manage/settings/payments/paypal", url.Values{"paypal_client_id": {"with a blank"}, "paypal_on": {"on"}}); a.Status != 422 {
		t.Errorf("what is no key: %d", a.Status)
	}
}

// upload sends a file with a form.
func upload(t *testing.T, c *surfacetest.Client, path, name, file string, form map[string]string) (status int, where string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, v := range form {
		must(t, w.WriteField(k, v))
	}
	part, err := w.CreateFormFile("file", name)
	must(t, err)
	_, err = part.Write([]byte(file))
	must(t, err)
	must(t, w.Close())
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI(path)
	req.Header.SetHost(c.Host)
	req.Header.SetContentType(w.FormDataContentType())
	req.Header.Set("Origin", "http://"+c.Host)
	req.Header.Set("X-CSRF-Token", c.CSRF)
	for k, v := range c.Cookies {
		req.Header.SetCookie(k, v)
	}
	req.SetBody(body.Bytes())
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil)
	c.Front.Handler()(&ctx)
	return ctx.Response.StatusCode(), string(ctx.Response.Header.Peek("Location"))
}

var ticked = regexp.MustCompile(`name="take" value="([0-9a-f-]{36})"[^>]* checked`)

// TestABankStatementIsHandedIn walks the reseller's way: what fits is ticked, and the
// button books it.
func TestABankStatementIsHandedIn(t *testing.T) {
	const at = "/manage/payments/bank"
	e := newEstate(t, tenancytest.New(t))
	id := e.bill(t, e.A, "bank/1")
	inv := e.read(t, e.A, id)
	m := e.as(t, e.A, identity.ResellerOwner)
	if status, where := upload(t, m, at, "x.csv", "When;How much\n1.1.2026;5\n", nil); status != 422 {
		t.Errorf("unknown columns: %d to %q", status, where)
	}
	due := billing.Money{Minor: inv.Due().Minor, Currency: inv.Currency}
	file := "When;How much;What\n1.11.2026;" + due.Decimal() + ";" + inv.Number + "\n2.11.2026;3.00;no idea\n"
	for range 2 {
		if status, where := upload(t, m, at, "x.csv", file, map[string]string{"date": "When", "amount_column": "How much", "text": "What", "currency": inv.Currency}); status != 303 || where != at {
			t.Fatalf("%d to %q", status, where)
		}
	}
	page := m.Send(t, "GET", at, nil)
	found := ticked.FindAllStringSubmatch(page.Page, -1)
	if page.Status != 200 || len(found) != 1 || !strings.Contains(page.Page, "2 bookings") {
		t.Fatalf("%d, ticked %v", page.Status, found)
	}
	take := found[0][1]
	if a := m.Send(t, "POST", at+"/apply", url.Values{"take": {take}, "numbers_" + take: {"INV-1-0"}}); a.Status != 409 || !strings.Contains(a.Page, "There is no invoice INV-1-0") {
		t.Errorf("a wrong number: %d", a.Status)
	}
	if a := e.as(t, e.B, identity.ResellerOwner).Send(t, "POST", at+"/apply", url.Values{"take": {take}, "numbers_" + take: {inv.Number}}); a.Status != 409 {
		t.Errorf("the neighbour: %d", a.Status)
	}
	for range 2 {
		if a := m.Send(t, "POST", at+"/apply", url.Values{"take": {take}, "numbers_" + take: {inv.Number}}); a.Status != 303 {
			t.Errorf("applied: %d", a.Status)
		}
	}
	if inv := e.read(t, e.A, id); inv.State != invoicing.Paid || inv.Paid.Minor != due.Minor {
		t.Errorf("the invoice is %s with %s", inv.State, inv.Paid)
	}
	if a := m.Send(t, "GET", at+"?state=applied", nil); a.Status != 200 || !strings.Contains(a.Page, "/manage/payments/") || !strings.Contains(a.Page, inv.Number) {
		t.Errorf("applied: %d", a.Status)
	}
}
