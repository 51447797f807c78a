package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// cards opens a simulated Stripe; without an address nothing.
type cards struct{ base string }

func (c cards) Open(_ string, s payment.Settings) (gateway.Gateway, error) {
	if c.base == "" {
		return nil, gateway.ErrUnsupported
	}
	return stripe.New(stripe.Config{SecretKey: s.Secret["secret_key"], PublishableKey: s.Public["publishable_key"], APIURL: c.base, ScriptURL: c.base + "/v3/", HTTP: &http.Client{Timeout: 5 * time.Second}})
}

// cardOf keeps a test card for a customer at a Stripe, and makes it the default.
func (l *lab) cardOf(base string, c customer, number string) uuid.UUID {
	l.t.Helper()
	ask := func(path string, fields url.Values) string {
		fields.Set("key", "sk_test_a")
		res, err := http.PostForm(base+path, fields)
		if err != nil {
			l.t.Fatal(err)
		}
		defer res.Body.Close()
		var said struct {
			ID string `json:"id"`
		}
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil || said.ID == "" {
			l.t.Fatalf("%s: %v", path, err)
		}
		return said.ID
	}
	who := ask("/v1/customers", url.Values{"name": {"Ada"}})
	card := ask("/v1/payment_methods", url.Values{"type": {"card"}, "card[number]": {number}, "card[exp_month]": {"12"}, "card[exp_year]": {"34"}})
	ask("/v1/payment_methods/"+card+"/attach", url.Values{"customer": {who}})
	id := uuid.Must(uuid.NewV7())
	l.exec(l.A, `INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at) VALUES (?, ?, 'stripe', ?, ?, 'card', ?, 'active', now(), now())`,
		id, c.account, who, card, "Visa •••• "+number[len(number)-4:])
	l.exec(l.A, "UPDATE accounts SET default_method_id = ? WHERE id = ?", id, c.account)
	return id
}

// stripes has the shop take cards at a simulator.
func (l *lab) stripes() (*stripelab.Lab, string) {
	l.t.Helper()
	sim := stripelab.New(stripelab.Options{Clock: l.Clock.Now})
	sim.AddAccount("sk_test_a", "pk_test_a")
	srv := httptest.NewServer(sim.Handler())
	l.t.Cleanup(srv.Close)
	l.slices.Payments.Gateways = cards{srv.URL}
	err := l.slices.Payments.SaveGateway(l.t.Context(), l.DB(l.A), payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_a"}, Secret: map[string]string{"secret_key": "sk_test_a"}}, origin)
	if err != nil {
		l.t.Fatal(err)
	}
	return sim, srv.URL
}

// TestAnOrderWhoseBankWantsTheCustomer: a program's order is charged without its
// customer, the bank wants them, and they are asked to come; nobody pays twice.
func TestAnOrderWhoseBankWantsTheCustomer(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	sim, base := l.stripes()
	ada := l.customer(l.A, every...)
	card := l.cardOf(base, ada, "4000002760003184")
	placed := l.ordered(ada, "k")
	if placed.status != 201 || placed.json["payment"] != nil || placed.json["state"] != "awaiting_payment" {
		t.Fatalf("%d %s", placed.status, placed.body)
	}
	invoice := uuid.MustParse(placed.json["invoice_id"].(string))
	db := l.DB(l.A)
	for range 2 { // a job may come again
		if err := l.slices.Payments.Charge(t.Context(), db, payment.ChargeJob{InvoiceID: invoice}); err != nil {
			t.Fatal(err)
		}
	}
	var args []byte
	if err := l.Owner.QueryRow(t.Context(), "SELECT args FROM river.river_job WHERE kind = 'payment.failed'").Scan(&args); err != nil {
		t.Fatal(err)
	}
	var failed payment.FailedTry
	if err := json.Unmarshal(args, &failed); err != nil || failed.Decline != gateway.Authenticate {
		t.Fatalf("%s %v", args, err)
	}
	for range 2 {
		if err := l.slices.Checkout.TryFailed(t.Context(), db, failed); err != nil {
			t.Fatal(err)
		}
		if err := l.slices.Renewal.TryFailed(t.Context(), db, failed); err != nil {
			t.Fatal(err)
		}
	}
	var letters int
	if err := db.View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT count(*) FROM mails WHERE template = 'payment_failed'").Scan(t.Context(), &letters)
	}); err != nil || letters != 1 {
		t.Errorf("%d letters: %v", letters, err)
	}
	got := l.call("GET", "/orders/"+placed.json["id"].(string), ada.token, nil)
	p, _ := got.json["payment"].(map[string]any)
	if got.json["state"] != "awaiting_payment" || p["state"] != "failed" || p["code"] != "authentication_required" || p["message"] == nil {
		t.Errorf("%s", got.body)
	}
	// What the program is given holds nothing that opens anything.
	if at, err := url.Parse(got.json["pay_at"].(string)); err != nil || at.RawQuery != "" || at.Fragment != "" || at.Path != "/client/invoices/"+invoice.String()+"/pay" {
		t.Errorf("%v %v", got.json["pay_at"], err)
	}
	// The customer comes, and confirms with the same card.
	began, gp, err := l.slices.Payments.Begin(t.Context(), db, payment.BeginRequest{InvoiceID: invoice, Gateway: stripe.Code, MethodID: &card, OnSession: true, ReturnURL: "https://a.test/client/payments/{payment}"})
	if err != nil || gp.ActionURL == "" {
		t.Fatalf("%+v %v", gp, err)
	}
	back := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := back.PostForm(gp.ActionURL, url.Values{"answer": {"confirm"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if _, _, err := l.slices.Payments.Refresh(t.Context(), db, began.ID); err != nil {
		t.Fatal(err)
	}
	if err := l.slices.Checkout.Paid(t.Context(), db, invoice); err != nil {
		t.Fatal(err)
	}
	got = l.call("GET", "/orders?limit=1", ada.token, nil)
	first := got.json["data"].([]any)[0].(map[string]any)
	if first["state"] != "paid" || first["payment"].(map[string]any)["state"] != "succeeded" || first["pay_at"] != nil {
		t.Errorf("%s", got.body)
	}
	if err := l.slices.Checkout.TryFailed(t.Context(), db, failed); err != nil { // late news of a try
		t.Fatal(err)
	}
	if taken, n := sim.Taken("sk_test_a"); n != 1 || taken["eur"] == 0 {
		t.Errorf("Stripe took %v in %d", taken, n)
	}
}

func TestPaymentMethodsByAProgram(t *testing.T) {
	l := newLab(t)
	sim, base := l.stripes()
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	old, now, hers := l.cardOf(base, ada, "4242424242424242"), l.cardOf(base, ada, "5555555555554444"), l.cardOf(base, eve, "4242424242424242")
	list := func() (all []map[string]any) {
		t.Helper()
		path := "/payment-methods?limit=1"
		for {
			got := l.call("GET", path, ada.token, nil)
			for _, x := range got.json["data"].([]any) {
				all = append(all, x.(map[string]any))
			}
			next, more := got.json["next"].(string)
			if !more {
				return all
			}
			path = "/payment-methods?limit=1&cursor=" + next
		}
	}
	if all := list(); len(all) != 2 || all[0]["id"] != now.String() || all[0]["default"] != true || all[1]["default"] != false {
		t.Errorf("%v", all)
	}
	if got := l.call("POST", "/payment-methods/"+old.String()+"/default", ada.token, nil); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("DELETE", "/payment-methods/"+now.String(), ada.token, nil); got.status != 200 || sim.Calls("POST /v1/payment_methods/{id}/detach") != 1 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if all := list(); len(all) != 1 || all[0]["id"] != old.String() || all[0]["default"] != true {
		t.Errorf("%v", all)
	}
	for _, id := range []string{hers.String(), now.String(), uuid.NewString(), "x"} {
		for _, x := range [][2]string{{"DELETE", ""}, {"POST", "/default"}} {
			if got := l.call(x[0], "/payment-methods/"+id+x[1], ada.token, nil); got.status != 404 || got.code() != "method.not_found" {
				t.Errorf("%s %s: %d %s", x[0], id, got.status, got.body)
			}
		}
	}
}

// TestASubscriptionsOwnMethodByAProgram: one of the account's own, until it is removed.
func TestASubscriptionsOwnMethodByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	_, base := l.stripes()
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	own, hers := l.cardOf(base, ada, "4242424242424242"), l.cardOf(base, eve, "4242424242424242")
	l.cardOf(base, ada, "5555555555554444") // the default
	l.running(l.A, ada, "web1")
	listed := l.call("GET", "/subscriptions", ada.token, nil).json["data"].([]any)[0].(map[string]any)
	at := "/subscriptions/" + listed["id"].(string)
	if listed["payment_method"] != nil {
		t.Errorf("before one was chosen: %v", listed)
	}
	for _, try := range []struct {
		as     customer
		method any
		status int
		code   string
	}{
		{ada, hers, 404, "method.not_found"}, {ada, uuid.Nil.String() + "x", 422, "subscription.bad_method"}, {ada, 7, 422, "subscription.bad_method"},
		{eve, hers, 404, "subscription.not_found"}, {eve, own, 404, "method.not_found"}, {ada, own, 200, ""}, {ada, nil, 200, ""}, {ada, own, 200, ""},
	} {
		got := l.call("PATCH", at, try.as.token, map[string]any{"payment_method": try.method})
		if got.status != try.status || got.code() != try.code {
			t.Errorf("%v: %d %s", try.method, got.status, got.body)
		}
		if want := try.method; got.status == 200 && (want == nil) != (got.json["payment_method"] == nil) {
			t.Errorf("%v: %s", want, got.body)
		}
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{}); got.status != 422 {
		t.Errorf("nothing: %d %s", got.status, got.body)
	}
	if got := l.call("GET", at, ada.token, nil); got.json["payment_method"] != own.String() {
		t.Errorf("%s", got.body)
	}
	if got := l.call("DELETE", "/payment-methods/"+own.String(), ada.token, nil); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", at, ada.token, nil); got.json["payment_method"] != nil {
		t.Errorf("after it was removed: %s", got.body)
	}
}

func TestSubscriptionsAndTimelinesByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	mine, _ := l.running(l.A, ada, "web1"), l.running(l.A, eve, "hers")
	var id, hers string
	for of, into := range map[customer]*string{ada: &id, eve: &hers} {
		got := l.call("GET", "/subscriptions", of.token, nil)
		data := got.json["data"].([]any)
		if len(data) != 1 {
			t.Fatalf("%s", got.body)
		}
		*into = data[0].(map[string]any)["id"].(string)
	}
	why := map[string]any{"reason": "too_expensive"}
	if got := l.call("POST", "/subscriptions/"+id+"/cancel", ada.token, why); got.status != 409 || got.code() != "subscription.not_running" {
		t.Errorf("before it runs: %d %s", got.status, got.body)
	}
	l.exec(l.A, "UPDATE subscriptions SET state = 'active', anchor_at = now(), period_from = ?0, period_to = ?1, renews_at = ?1 WHERE id = ?2", l.Clock.Now(), l.Clock.Now().AddDate(0, 1, 0), id)
	if got := l.call("POST", "/subscriptions/"+id+"/cancel", ada.token, map[string]any{"reason": "boredom"}); got.status != 422 || got.code() != "subscription.bad_cancellation" {
		t.Errorf("a strange reason: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/cancel", ada.token, why); got.status != 200 || got.json["cancel_at"] == nil || got.json["service_id"] != mine.String() {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/cancel", ada.token, why); got.status != 409 {
		t.Errorf("twice: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/resume", ada.token, nil); got.status != 200 || got.json["cancel_at"] != nil {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The offer in place of it.
	l.exec(l.A, "UPDATE subscriptions SET anchor_at = period_from WHERE id = ?", id)
	if got := l.call("POST", "/subscriptions/"+id+"/offer", ada.token, why); got.status != 200 || got.json["offer"] != nil {
		t.Errorf("an offer of a shop that makes none: %d %s", got.status, got.body)
	}
	p := renewal.StayPolicy{Months: 6, Offers: map[string]billing.StayOffer{"too_expensive": {Kind: billing.StayDiscount, Ppm: 200_000, Cycles: 2}}}
	if err := renewal.SaveStayPolicy(t.Context(), l.DB(l.A), p, origin); err != nil {
		t.Fatal(err)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/offer", ada.token, why); got.status != 200 || got.json["offer"].(map[string]any)["percent"] != "20" {
		t.Errorf("the offer: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/stay", ada.token, why); got.status != 200 || got.json["quote_id"] != nil {
		t.Errorf("taken: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/subscriptions/"+id+"/stay", ada.token, why); got.status != 409 || got.code() != "stay.none" {
		t.Errorf("taken twice: %d %s", got.status, got.body)
	}
	for _, other := range []string{hers, uuid.NewString(), "x"} {
		for _, x := range [][2]string{{"POST", "/offer"}, {"POST", "/stay"}, {"GET", ""}, {"POST", "/cancel"}, {"POST", "/resume"}} {
			if got := l.call(x[0], "/subscriptions/"+other+x[1], ada.token, why); got.status != 404 || got.code() != "subscription.not_found" {
				t.Errorf("%s %s%s: %d %s", x[0], other, x[1], got.status, got.body)
			}
		}
	}
	// What happened, in pages of one; what is the shop's own is not in it.
	err := l.DB(l.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return activity.Tell(t.Context(), tx, activity.Event{Key: "secret", AccountID: ada.account, SubjectKind: activity.Service, SubjectID: mine, Kind: "service.failed", Text: "The platform is full."})
	})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for path := "/services/" + mine.String() + "/timeline?limit=1"; ; {
		got := l.call("GET", path, ada.token, nil)
		for _, x := range got.json["data"].([]any) {
			texts = append(texts, x.(map[string]any)["text"].(string))
		}
		next, more := got.json["next"].(string)
		if !more {
			break
		}
		path = "/services/" + mine.String() + "/timeline?limit=1&cursor=" + next
	}
	if len(texts) == 0 || strings.Contains(strings.Join(texts, " "), "platform") {
		t.Errorf("%q", texts)
	}
	if got := l.call("GET", "/services/"+mine.String()+"/timeline", eve.token, nil); got.status != 404 {
		t.Errorf("another's: %d", got.status)
	}
	inv := l.call("GET", "/invoices", ada.token, nil).json["data"].([]any)[0].(map[string]any)["id"].(string)
	if got := l.call("GET", "/invoices/"+inv+"/timeline", ada.token, nil); got.status != 200 || len(got.json["data"].([]any)) == 0 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", "/invoices/"+inv+"/timeline", eve.token, nil); got.status != 404 || got.code() != "invoice.not_found" {
		t.Errorf("another's: %d %s", got.status, got.body)
	}
	// Access data: none is kept, then a new password is asked for.
	at := "/services/" + mine.String()
	if got := l.call("GET", at+"/credentials", ada.token, nil); got.status != 404 || got.code() != "service.no_credentials" {
		t.Errorf("%d %s", got.status, got.body)
	}
	sealed, err := l.slices.Hosting.Keys.Seal("service credentials", []byte("services/"+mine.String()), []byte(`{"user":"root","password":"s3cret"}`))
	if err != nil {
		t.Fatal(err)
	}
	l.exec(l.A, "UPDATE services SET sealed_credentials = ?, operation = '', step = '' WHERE id = ?", sealed, mine)
	if got := l.call("GET", at+"/credentials", ada.token, nil, "Idempotency-Key", "k"); got.json["password"] != "s3cret" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	if got := l.call("GET", at+"/credentials", eve.token, nil); got.status != 404 {
		t.Errorf("another's: %d %s", got.status, got.body)
	}
	var kept, audited int
	if err := l.DB(l.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT (SELECT count(*) FROM idempotency_keys WHERE convert_from(answer, 'UTF8') LIKE '%s3cret%'), (SELECT count(*) FROM audit_entries WHERE action = 'service.revealed')").Scan(t.Context(), &kept, &audited)
	}); err != nil || kept != 0 || audited != 1 {
		t.Errorf("%d answers keep it, %d entries tell of it: %v", kept, audited, err)
	}
	if got := l.call("POST", at+"/password", ada.token, nil); got.status != 202 || got.json["operation"] != "reset_password" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestRolesAndCalls is who may call what. A token that was made for everything does only
// what its maker may by now.
func TestRolesAndCalls(t *testing.T) {
	l := newLab(t)
	l.limits.allow = 10_000
	who := l.customer(l.A, every...)
	const (
		o = account.Owner
		a = account.Admin
		b = account.Billing
		e = account.Technical
		r = account.ReadOnly
	)
	everyone, money, engineers := []account.Role{o, a, b, e, r}, []account.Role{o, a, b}, []account.Role{o, a, e}
	reads := []account.Role{o, a, b, r}
	matrix := map[string][]account.Role{
		"GET /account": reads, "GET /orders": reads, "GET /orders/x": reads, "GET /invoices": reads, "GET /invoices/x": reads, "GET /invoices/x/pdf": reads, "GET /invoices/x/ubl": reads,
		"GET /invoices/x/cii": reads, "GET /invoices/x/timeline": reads, "GET /payment-methods": reads,
		"GET /services": everyone, "GET /services/x": everyone, "GET /services/x/timeline": everyone, "GET /subscriptions": everyone, "GET /subscriptions/x": everyone,
		"PATCH /services/x": engineers, "PATCH /subscriptions/x": money, "POST /services/x/power": engineers, "POST /services/x/rebuild": engineers, "POST /services/x/password": engineers, "GET /services/x/credentials": engineers,
		"POST /quotes": money, "POST /orders": money, "POST /subscriptions/x/cancel": money, "POST /subscriptions/x/resume": money, "DELETE /payment-methods/x": money, "POST /payment-methods/x/default": money,
		"POST /subscriptions/x/offer": money, "POST /subscriptions/x/stay": money, "POST /subscriptions/x/pause": money, "POST /subscriptions/x/continue": money, "POST /invoices/x/week": money,
		"POST /subscriptions/x/quotes": money, "POST /quotes/x/accept": money, "GET /upcoming-invoices": reads, "GET /subscriptions/x/usage": everyone, "POST /usage-events": {}, "POST /usage-checks": everyone,
		"GET /account/notifications": reads, "PATCH /account/notifications": money,
		"GET /account/invoicing": reads, "PATCH /account/invoicing": money, "GET /credit": reads, "GET /referrals": reads, "POST /invoices/x/credit": money,
	}
	for _, route := range (&api.API{}).Routes() {
		path := strings.ReplaceAll(strings.TrimPrefix(route.Path, api.Prefix), ":id", "x")
		if strings.HasPrefix(path, "/products") || path == "/openapi.yaml" {
			continue
		}
		if _, ok := matrix[route.Method+" "+path]; !ok {
			t.Errorf("%s %s is nobody's", route.Method, path)
		}
	}
	for _, role := range everyone {
		l.exec(l.A, "UPDATE memberships SET role = ? WHERE account_id = ?", string(role), who.account)
		for call, may := range matrix {
			method, path, _ := strings.Cut(call, " ")
			got := l.call(method, path, who.token, nil)
			allowed := false
			for _, x := range may {
				allowed = allowed || x == role
			}
			if refused := got.status == 403 && got.code() == "token.scope_missing"; refused == allowed {
				t.Errorf("%s as %s: %d %s", call, role, got.status, got.body)
			}
		}
	}
	l.exec(l.A, "DELETE FROM memberships WHERE account_id = ?", who.account)
	if got := l.call("GET", "/services", who.token, nil); got.status != 401 {
		t.Errorf("nobody's token: %d %s", got.status, got.body)
	}
}
