package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// stock is one size in one place, with room for everything, at platforms that nobody reaches.
type stock struct{}

func (stock) Offers(context.Context, tenancy.ID) ([]catalog.Offer, error) {
	return []catalog.Offer{{SKU: "vps-s", Type: "vps", Name: "VPS S", Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40}, Cost: catalog.Cost{Minor: "300", Currency: "EUR"}, Available: true,
		Regions: []catalog.Region{{Code: "ams", Name: "Amsterdam", Images: []catalog.Image{{Code: "debian-13", Name: "Debian 13", Group: "Debian"}}, Available: true}}}}, nil
}

func (stock) Hold(_ context.Context, _ tenancy.ID, q checkout.HoldRequest) (checkout.Placement, error) {
	return checkout.Placement{PlatformID: uuid.Max, Region: q.Region}, nil
}
func (stock) Use(context.Context, tenancy.ID, string) error  { return nil }
func (stock) Free(context.Context, tenancy.ID, string) error { return nil }
func (stock) Open(context.Context, uuid.UUID) (provisioners.Driver, error) {
	return nil, &provisioners.RetryError{Err: provisioners.ErrUnavailable}
}
func (stock) Delivery(_ context.Context, _ string, _ uuid.UUID, _, image string) (map[string]any, string, error) {
	if image != "debian-13" {
		return nil, "", fault.Field("image", "platform.unknown_image", "This operating system is not offered there. Choose another.")
	}
	return nil, "11", nil
}

func slicesOf(t *testing.T) api.Slices {
	t.Helper()
	key, err := secrets.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	box := mail.NewOutbox(ring)
	return api.Slices{Metering: &metering.Desk{Mail: box}, Renewal: &renewal.Desk{Mail: box}, Payments: &payment.Desk{Gateways: cards{}, Keys: ring}, Offers: stock{}, Hosting: &hosting.Desk{Platforms: stock{}, Keys: ring, Mail: box}, Checkout: &checkout.Desk{Offers: stock{}, Supply: stock{}, Mail: box}}
}

func (l *lab) exec(who tenancy.Tenant, sql string, args ...any) {
	l.t.Helper()
	err := l.DB(who).Update(l.t.Context(), func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql, args...).Exec(l.t.Context()); return err })
	if err != nil {
		l.t.Fatal(err)
	}
}

// shelf has a tenant sell one plan, and know who it is.
func (l *lab) shelf(who tenancy.Tenant) {
	l.t.Helper()
	product, plan := uuid.New(), uuid.New()
	l.exec(who, `INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'vps', 'vps', 'Cloud VPS', '', 1, 'public', now(), now())`, product)
	l.exec(who, `INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, sku, created_at, changed_at) VALUES (?, ?, 'small', 'Small', '', '[]', false, 1, 'public', 'vps-s', now(), now())`, plan, product)
	l.exec(who, `INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'monthly', 999, 0)`, plan)
	l.exec(who, `INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, now())`)
	l.exec(who, `INSERT INTO shop_settings (name, value, changed_at) VALUES ('billing', '{"company":"Shop Ltd","line1":"Road 1","postcode":"1","city":"Berlin","country":"DE","term_days":7,"invoice_number":"INV-{number:5}","credit_number":"CN-{number:5}"}', now())`)
}

var small = map[string]any{"items": []any{map[string]any{"plan": "vps/small", "cycle": "monthly", "region": "ams", "image": "debian-13", "hostname": "web1.example.com"}}}

// ordered places one order by the API.
func (l *lab) ordered(c customer, key string) said {
	l.t.Helper()
	q := l.call("POST", "/quotes", c.token, small)
	if q.status != 201 {
		l.t.Fatalf("the quote: %d %s", q.status, q.body)
	}
	return l.call("POST", "/orders", c.token, map[string]any{"quote_id": q.json["id"], "accept_terms": true}, "Idempotency-Key", key)
}

var every = []access.Scope{access.ServicesRead, access.ServicesWrite, access.BillingRead, access.OrdersWrite, access.ServicesCredentials, access.SubscriptionsWrite, access.BillingWrite, access.UsageRead}

func TestAnOrderByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	l.shelf(l.B)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	q := l.call("POST", "/quotes", ada.token, small)
	if q.status != 201 || q.json["total"].(map[string]any)["amount"] == "" {
		t.Fatalf("the quote: %d %s", q.status, q.body)
	}
	ask := map[string]any{"quote_id": q.json["id"], "accept_terms": true}
	if got := l.call("POST", "/orders", eve.token, ask); got.status != 404 || got.code() != "checkout.quote_unknown" {
		t.Errorf("another account's quote: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/orders", ada.token, map[string]any{"quote_id": q.json["id"]}); got.status != 422 || got.code() != "checkout.terms" {
		t.Errorf("without agreeing: %d %s", got.status, got.body)
	}
	first := l.call("POST", "/orders", ada.token, ask, "Idempotency-Key", "k1")
	again := l.call("POST", "/orders", ada.token, ask, "Idempotency-Key", "k1")
	other := l.call("POST", "/orders", ada.token, ask, "Idempotency-Key", "k2")
	if first.status != 201 || again.header.Get("Idempotent-Replayed") != "true" || string(first.body) != string(again.body) || other.json["id"] != first.json["id"] {
		t.Fatalf("placed %d %s, again %v %s, with another key %s", first.status, first.body, again.header, again.body, other.body)
	}
	if at, _ := first.json["pay_at"].(string); !strings.HasSuffix(at, "/pay") || first.json["state"] != "awaiting_payment" {
		t.Errorf("%s", first.body)
	}
	id := first.json["id"].(string)
	if got := l.call("GET", "/orders/"+id, ada.token, nil); got.status != 200 || got.json["total"].(map[string]any)["amount"] != q.json["total"].(map[string]any)["amount"] {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, path := range []string{"/orders/" + id, "/orders/x", "/orders/" + uuid.NewString()} {
		if got := l.call("GET", path, eve.token, nil); got.status != 404 || got.code() != "order.not_found" {
			t.Errorf("%s by another: %d %s", path, got.status, got.body)
		}
	}
	for name, bad := range map[string]any{
		"nothing":        map[string]any{"items": []any{}},
		"no such plan":   map[string]any{"items": []any{map[string]any{"plan": "vps/none", "cycle": "monthly"}}},
		"no path":        map[string]any{"items": []any{map[string]any{"plan": "vps", "cycle": "monthly"}}},
		"a strange time": map[string]any{"items": []any{map[string]any{"plan": "vps/small", "cycle": "weekly", "region": "ams", "image": "debian-13"}}},
		"no such place":  map[string]any{"items": []any{map[string]any{"plan": "vps/small", "cycle": "monthly", "region": "moon", "image": "debian-13"}}},
		"more members":   `{"items": [], "price": 1}`,
		"no JSON":        `{`,
		"another type":   `{"items": 7}`,
		"nul":            map[string]any{"items": []any{map[string]any{"plan": "vps/sm\x00all", "cycle": "monthly"}}},
	} {
		if got := l.call("POST", "/quotes", ada.token, bad); got.status < 400 || got.status >= 500 || got.code() == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	// A code counts for the quote, and so for its order.
	l.exec(l.A, `INSERT INTO coupons (code, kind, ppm, amounts, cycles, setup, plans, countries, new_customers, uses, state, note, created_at, changed_at)
		VALUES ('HALF', 'percent', 500000, '{}', 1, true, '[]', '[]', false, 0, 'active', '', now(), now())`)
	half := maps.Clone(small)
	half["coupon"] = "half"
	if got := l.call("POST", "/quotes", ada.token, half); got.status != 201 || got.json["coupon"] != "HALF" || got.json["discount"].(map[string]any)["amount"] == "0.00" {
		t.Errorf("with a code: %d %s", got.status, got.body)
	}
	for _, code := range []any{"NOSUCH", "\x00", 7} {
		half["coupon"] = code
		if got := l.call("POST", "/quotes", ada.token, half); got.status != 422 && got.status != 400 || got.code() == "" {
			t.Errorf("with the code %q: %d %s", code, got.status, got.body)
		}
	}
	// What is saved is charged after the commit, once.
	method := uuid.New()
	l.exec(l.A, `INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at) VALUES (?, ?, 'transfer', 'c', 'm', 'card', 'Visa', 'active', now(), now())`, method, ada.account)
	l.exec(l.A, "UPDATE accounts SET default_method_id = ? WHERE id = ?", method, ada.account)
	l.ordered(ada, "k3")
	l.call("POST", "/orders", ada.token, ask)
	var jobs int
	if err := l.Owner.QueryRow(t.Context(), "SELECT count(*) FROM river.river_job WHERE kind = 'payment.charge'").Scan(&jobs); err != nil || jobs != 2 {
		t.Errorf("%d charges of two orders, %v", jobs, err)
	}
}

// running gives a customer a service.
func (l *lab) running(who tenancy.Tenant, c customer, name string) uuid.UUID {
	l.t.Helper()
	o := l.ordered(c, "for-"+name)
	item := o.json["items"].([]any)[0].(map[string]any)
	var id uuid.UUID
	err := l.DB(who).Update(l.t.Context(), func(tx *tenancy.Tx) error {
		s, err := hosting.Order(l.t.Context(), tx, hosting.New{SubscriptionID: uuid.MustParse(item["subscription_id"].(string)), AccountID: c.account, Type: "vps", SKU: "vps-s", Label: "Cloud VPS Small",
			Name: name, PlatformID: uuid.Max, Region: "ams", Image: "debian-13", Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40}})
		id = s.ID
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.exec(who, "UPDATE services SET observed = 'active', operation = '', step = '', ref = '7', power = 'on', address = '203.0.113.7', began_at = now() WHERE id = ?", id)
	return id
}

func TestServicesByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	mine, hers := l.running(l.A, ada, "web1"), l.running(l.A, eve, "hers")
	at := "/services/" + mine.String()
	if got := l.call("GET", at, ada.token, nil); got.status != 200 || got.json["power"] != "on" || strings.Contains(string(got.body), "platform") {
		t.Errorf("%d %s", got.status, got.body)
	}
	list := l.call("GET", "/services", ada.token, nil)
	if data := list.json["data"].([]any); len(data) != 1 || data[0].(map[string]any)["id"] != mine.String() {
		t.Errorf("%s", list.body)
	}
	for _, x := range []struct {
		method, path string
		body         any
		status       int
		code         string
	}{
		{"PATCH", at, map[string]any{"name": "web2"}, 200, ""},
		{"PATCH", at, map[string]any{"name": " \t"}, 422, "service.bad_name"},
		{"POST", at + "/power", map[string]any{"action": "explode"}, 422, "service.bad_action"},
		{"POST", at + "/power", map[string]any{"action": 7}, 422, "api.body_invalid"},
		{"POST", at + "/power", nil, 422, "api.body_missing"},
		{"POST", at + "/rebuild", map[string]any{"image": "debian-13", "confirm": "web1"}, 422, "service.not_confirmed"},
		{"POST", at + "/rebuild", map[string]any{"image": "beos", "confirm": "web2"}, 422, "platform.unknown_image"},
	} {
		if got := l.call(x.method, x.path, ada.token, x.body); got.status != x.status || got.code() != x.code {
			t.Errorf("%s %s %v: %d %s", x.method, x.path, x.body, got.status, got.body)
		}
	}
	l.exec(l.A, "UPDATE services SET operation = '', step = '' WHERE id = ?", mine)
	got := l.call("POST", at+"/power", ada.token, map[string]any{"action": "restart"})
	if got.status != 202 || got.json["operation"] != "restart" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("POST", at+"/rebuild", ada.token, map[string]any{"image": "debian-13", "confirm": "web2"}); got.status != 409 || got.code() != "service.busy" {
		t.Errorf("busy: %d %s", got.status, got.body)
	}
	l.exec(l.A, "UPDATE services SET operation = '', step = '' WHERE id = ?", mine)
	if got := l.call("POST", at+"/rebuild", ada.token, map[string]any{"image": "debian-13", "confirm": "web2"}); got.status != 202 || got.json["operation"] != "rebuild" {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, id := range []string{hers.String(), uuid.NewString(), "x"} {
		for _, x := range []struct {
			method, path string
			body         any
		}{{"GET", "", nil}, {"PATCH", "", map[string]any{"name": "n"}}, {"POST", "/power", map[string]any{"action": "stop"}}, {"POST", "/rebuild", map[string]any{"image": "debian-13", "confirm": "hers"}}} {
			if got := l.call(x.method, "/services/"+id+x.path, ada.token, x.body); got.status != 404 || got.code() != "service.not_found" {
				t.Errorf("%s %s%s: %d %s", x.method, id, x.path, got.status, got.body)
			}
		}
	}
}

// TestEachCallWantsItsScope tries every call of the table with each scope alone.
func TestEachCallWantsItsScope(t *testing.T) {
	l := newLab(t)
	l.limits.allow = 10_000
	tokens := map[access.Scope]string{}
	for _, s := range every {
		tokens[s] = l.customer(l.A, s).token
	}
	wants := map[string]access.Scope{
		"GET /account": access.BillingRead, "GET /services": access.ServicesRead, "GET /services/x": access.ServicesRead, "PATCH /services/x": access.ServicesWrite,
		"POST /services/x/power": access.ServicesWrite, "POST /services/x/rebuild": access.ServicesWrite, "POST /quotes": access.OrdersWrite, "POST /orders": access.OrdersWrite,
		"GET /orders": access.BillingRead, "GET /orders/x": access.BillingRead, "GET /invoices": access.BillingRead, "GET /invoices/x": access.BillingRead, "GET /invoices/x/pdf": access.BillingRead, "GET /invoices/x/ubl": access.BillingRead, "GET /invoices/x/cii": access.BillingRead,
		"GET /services/x/timeline": access.ServicesRead, "GET /services/x/credentials": access.ServicesCredentials, "POST /services/x/password": access.ServicesCredentials,
		"GET /subscriptions": access.ServicesRead, "GET /subscriptions/x": access.ServicesRead, "PATCH /subscriptions/x": access.BillingWrite, "POST /subscriptions/x/cancel": access.SubscriptionsWrite, "POST /subscriptions/x/resume": access.SubscriptionsWrite,
		"GET /payment-methods": access.BillingRead, "DELETE /payment-methods/x": access.BillingWrite, "POST /payment-methods/x/default": access.BillingWrite, "GET /invoices/x/timeline": access.BillingRead,
		"POST /subscriptions/x/offer": access.SubscriptionsWrite, "POST /subscriptions/x/stay": access.SubscriptionsWrite, "POST /subscriptions/x/pause": access.SubscriptionsWrite, "POST /subscriptions/x/continue": access.SubscriptionsWrite, "POST /invoices/x/week": access.BillingWrite,
		"POST /subscriptions/x/quotes": access.OrdersWrite, "POST /quotes/x/accept": access.OrdersWrite, "GET /upcoming-invoices": access.BillingRead, "GET /subscriptions/x/usage": access.UsageRead, "POST /usage-events": access.UsageWrite, "POST /usage-checks": access.UsageRead,
		"GET /account/notifications": access.BillingRead, "PATCH /account/notifications": access.BillingWrite,
		"GET /account/invoicing": access.BillingRead, "PATCH /account/invoicing": access.BillingWrite, "GET /credit": access.BillingRead, "GET /referrals": access.BillingRead, "POST /invoices/x/credit": access.BillingWrite,
	}
	for _, r := range (&api.API{}).Routes() {
		path := strings.TrimPrefix(r.Path, api.Prefix)
		if strings.HasPrefix(path, "/products") || path == "/openapi.yaml" {
			continue
		}
		path = strings.ReplaceAll(path, ":id", "x")
		want, ok := wants[r.Method+" "+path]
		if !ok {
			t.Errorf("%s %s is not tried", r.Method, path)
		}
		if got := l.call(r.Method, path, "", nil); got.status != 401 {
			t.Errorf("%s %s without a token: %d", r.Method, path, got.status)
		}
		for s, token := range tokens {
			got := l.call(r.Method, path, token, nil)
			if refused := got.status == 403 && got.code() == "token.scope_missing"; refused == (s == want) {
				t.Errorf("%s %s with %s: %d %s", r.Method, path, s, got.status, got.body)
			}
		}
	}
}

// TestCursorsHoldWhileRowsCome walks lists in pages while new rows come at their head.
func TestCursorsHoldWhileRowsCome(t *testing.T) {
	l := newLab(t)
	l.limits.allow = 10_000
	l.shelf(l.A)
	ada := l.customer(l.A, every...)
	for i := range 4 {
		l.ordered(ada, fmt.Sprint("k", i))
		if i == 1 {
			l.Clock.Advance(time.Millisecond) // two of one moment, and two later
		}
	}
	before := map[string]bool{}
	for _, x := range l.call("GET", "/orders?limit=100", ada.token, nil).json["data"].([]any) {
		before[x.(map[string]any)["id"].(string)] = true
	}
	first := l.call("GET", "/orders?limit=1", ada.token, nil)
	cursor := first.json["next"].(string)
	seen := map[string]int{first.json["data"].([]any)[0].(map[string]any)["id"].(string): 1}
	l.Clock.Advance(time.Second)
	l.ordered(ada, "late")
	for path := "/orders?limit=1&cursor=" + cursor; ; {
		got := l.call("GET", path, ada.token, nil)
		for _, x := range got.json["data"].([]any) {
			seen[x.(map[string]any)["id"].(string)]++
		}
		next, more := got.json["next"].(string)
		if !more {
			break
		}
		path = "/orders?limit=1&cursor=" + next
	}
	if len(seen) != len(before) {
		t.Errorf("saw %d of %d", len(seen), len(before))
	}
	for id, n := range seen {
		if n != 1 || !before[id] {
			t.Errorf("%s was seen %d times", id, n)
		}
	}
	for _, path := range []string{"/invoices?cursor=" + cursor, "/services?cursor=" + cursor, "/orders?cursor=x", "/orders?cursor=" + strings.Repeat("_", 35), "/orders?cursor=AW8" + strings.Repeat("A", 32), "/orders?cursor=" + cursor + "AA", "/orders?cursor=AW9___________________________________"} {
		if got := l.call("GET", path, ada.token, nil); got.status != 400 || got.code() != "api.cursor_invalid" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestReadingAsksLittle bounds what a call that reads sends to the database, however much
// there is.
func TestReadingAsksLittle(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	ada := l.customer(l.A, every...)
	id, o := l.running(l.A, ada, "web1"), l.ordered(ada, "another")
	for _, path := range []string{"/account", "/services", "/services/" + id.String(), "/orders", "/orders/" + o.json["id"].(string), "/invoices", "/invoices/" + o.json["invoice_id"].(string), "/invoices/" + o.json["invoice_id"].(string) + "/pdf", "/products", "/products/vps",
		"/subscriptions", "/payment-methods", "/credit", "/services/" + id.String() + "/timeline", "/invoices/" + o.json["invoice_id"].(string) + "/timeline"} {
		l.call(http.MethodGet, path, ada.token, nil)
		if n := l.count.Since(func() { l.call(http.MethodGet, path, ada.token, nil) }); n > 8 {
			t.Errorf("%s: %d statements", path, n)
		}
	}
}
