package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var origin = audit.Origin{Actor: audit.System("test")}

type hosts map[string]tenancy.Tenant

func (h hosts) Lookup(host string) (tenancy.Tenant, bool) { t, ok := h[host]; return t, ok }

// lab is the API of two shops behind a real listener, every exchange held against its
// description.
type lab struct {
	*tenancytest.World
	t      *testing.T
	url    string
	router routers.Router
	limits *counter
	count  *tenancytest.Statements
	slices api.Slices
}

// counter lets through as many calls a key as it is told.
type counter struct {
	allow int
	seen  map[string]int
}

func (c *counter) Take(_ context.Context, key string, perMinute int) (api.Allowance, error) {
	c.seen[key]++
	return api.Allowance{OK: c.seen[key] <= c.allow, Limit: perMinute, Remaining: max(c.allow-c.seen[key], 0), Reset: time.Minute, Again: 3 * time.Second}, nil
}

func newLab(t *testing.T, with ...func(*api.API)) *lab {
	t.Helper()
	w, count := tenancytest.NewCounted(t)
	l := &lab{World: w, count: count, t: t, limits: &counter{allow: 1000, seen: map[string]int{}}}
	l.slices = slicesOf(t)
	a := &api.API{Limits: l.limits, Slices: l.slices}
	for _, set := range with {
		set(a)
	}
	a.PDF = func(_ context.Context, _ *tenancy.DB, d document.Document) ([]byte, string, error) {
		return []byte("%PDF-1.7 " + d.Number), d.Number + ".pdf", nil
	}
	s, err := surface.New(surface.Config{
		Name: "tenant", Areas: []surface.Area{{Name: "api", Prefix: "/api", World: identity.Customer, Machines: true}},
		Routes: a.Routes(), Log: slog.New(slog.DiscardHandler), Clock: l.Clock.Now, FormKey: bytes.Repeat([]byte("k"), 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	front := &surface.Front{Hosts: hosts{"a.test": l.A, "b.test": l.B}, Pool: l.Pool, Tenants: s, Log: slog.New(slog.DiscardHandler)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: front.Handler(), NoDefaultServerHeader: true}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Shutdown() })
	l.url = "http://" + ln.Addr().String()
	doc, err := openapi3.NewLoader().LoadFromData(api.Description())
	if err != nil {
		t.Fatalf("the description: %v", err)
	}
	if l.router, err = gorillamux.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	return l
}

// said is an answer of the API.
type said struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

func (s said) code() string { code, _ := s.json["code"].(string); return code }

// call asks a.test; the answer must be as the description says.
func (l *lab) call(method, path, token string, body any, header ...string) said {
	l.t.Helper()
	return l.at("a.test", method, path, token, body, header...)
}

func (l *lab) at(host, method, path, token string, body any, header ...string) said {
	l.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		text, _ = json.Marshal(b)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.url+api.Prefix+path, bytes.NewReader(text))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Host = host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if len(text) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	out := said{status: res.StatusCode, header: res.Header}
	if out.body, err = io.ReadAll(res.Body); err != nil {
		l.t.Fatal(err)
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(out.body, &out.json); err != nil {
			l.t.Fatalf("%s %s: %v in %s", method, path, err, out.body)
		}
	}
	l.check(req, out)
	return out
}

// check holds an answer against the description.
func (l *lab) check(req *http.Request, out said) {
	l.t.Helper()
	if out.status >= 500 {
		l.t.Errorf("%s %s: %d %s", req.Method, req.URL.Path, out.status, out.body)
	}
	route, params, err := l.router.FindRoute(req)
	if err != nil {
		if out.status < 400 {
			l.t.Errorf("the description has no %s %s, and it was answered with %d", req.Method, req.URL.Path, out.status)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: params, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: out.status, Header: out.header, Options: in.Options}
	answer.SetBodyBytes(out.body)
	if err := openapi3filter.ValidateResponse(l.t.Context(), answer); err != nil {
		l.t.Errorf("%s %s answers otherwise than described: %v", req.Method, req.URL.Path, err)
	}
}

// customer is an account of a tenant with a token.
type customer struct {
	account, person uuid.UUID
	token           string
}

func (l *lab) customer(who tenancy.Tenant, scopes ...access.Scope) customer {
	l.t.Helper()
	db := l.DB(who)
	c := customer{account: uuid.Must(uuid.NewV7()), person: uuid.Must(uuid.NewV7())}
	err := db.Update(l.t.Context(), func(tx *tenancy.Tx) error {
		email := c.person.String() + "@example.com"
		if _, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'customer', ?, ?, 'Ada', 'member', ?, ?)`, c.person, email, email, tx.Now(), tx.Now()).Exec(l.t.Context()); err != nil {
			return err
		}
		if _, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, tax_id, billing) VALUES (?, 'Ada Ltd', 'EUR', ?, ?, 'DE', '', '{"name": "Ada"}')`, c.account, tx.Now(), tx.Now()).Exec(l.t.Context()); err != nil {
			return err
		}
		_, err := tx.NewRaw(`INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)`, c.account, c.person, tx.Now()).Exec(l.t.Context())
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	_, c.token, err = access.Create(l.t.Context(), db, access.New{AccountID: c.account, PersonID: c.person, Name: "test", Scopes: scopes}, origin)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// invoiced issues an invoice to the customer.
func (l *lab) invoiced(who tenancy.Tenant, c customer, key string, minor int64) invoicing.Invoice {
	l.t.Helper()
	db := l.DB(who)
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE"
	if err := settings.SaveBilling(l.t.Context(), db, b, origin); err != nil {
		l.t.Fatal(err)
	}
	var inv invoicing.Invoice
	err := db.Update(l.t.Context(), func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(l.t.Context(), tx, invoicing.Draft{
			Key: key, AccountID: c.account, Currency: "EUR", DueAt: tx.Now().AddDate(0, 0, 14),
			Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: minor, Currency: "EUR"}, Net: billing.Money{Minor: minor, Currency: "EUR"}}},
		})
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return inv
}

func TestATokenOpensItsOwnAccountsInvoices(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, access.BillingRead), l.customer(l.A, access.BillingRead)
	mine, hers := l.invoiced(l.A, ada, "a/1", 1000), l.invoiced(l.A, eve, "e/1", 2000)
	got := l.call("GET", "/invoices", ada.token, nil)
	data, _ := got.json["data"].([]any)
	if got.status != 200 || len(data) != 1 || data[0].(map[string]any)["number"] != mine.Number {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", "/invoices/"+mine.ID.String(), ada.token, nil); got.status != 200 || got.json["document"] == nil {
		t.Errorf("its own: %d %s", got.status, got.body)
	}
	if got := l.call("GET", "/invoices/"+mine.ID.String()+"/pdf", ada.token, nil); got.status != 200 || !bytes.HasPrefix(got.body, []byte("%PDF")) {
		t.Errorf("its PDF: %d %.30s", got.status, got.body)
	}
	for _, path := range []string{"/invoices/" + hers.ID.String(), "/invoices/" + hers.ID.String() + "/pdf", "/invoices/" + hers.ID.String() + "/ubl", "/invoices/" + hers.ID.String() + "/cii", "/invoices/x", "/invoices/" + uuid.NewString()} {
		if got := l.call("GET", path, ada.token, nil); got.status != 404 || got.code() != "invoice.not_found" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := l.at("b.test", "GET", "/invoices", ada.token, nil); got.status != 401 {
		t.Errorf("the other shop: %d %s", got.status, got.body)
	}
}

func TestWithoutATokenNothingButTheShelf(t *testing.T) {
	l := newLab(t)
	if got := l.call("GET", "/products", "", nil); got.status != 200 {
		t.Errorf("the shelf: %d %s", got.status, got.body)
	}
	for _, token := range []string{"", "tok_nothing", "junk\x01"} {
		if token == "junk\x01" {
			continue // net/http does not send it
		}
		got := l.call("GET", "/invoices", token, nil)
		if got.status != 401 || got.header.Get("WWW-Authenticate") == "" || got.code() == "" {
			t.Errorf("token %q: %d %v %s", token, got.status, got.header, got.body)
		}
	}
	c := l.customer(l.A, access.ServicesRead)
	if got := l.call("GET", "/invoices", c.token, nil); got.status != 403 || got.code() != "token.scope_missing" {
		t.Errorf("without the scope: %d %s", got.status, got.body)
	}
	if got := l.call("GET", "/nothing", c.token, nil); got.status != 404 || got.code() == "" {
		t.Errorf("no such call: %d %s", got.status, got.body)
	}
}

func TestPagesLeadThroughAList(t *testing.T) {
	l := newLab(t)
	c := l.customer(l.A, access.BillingRead)
	for i := range 5 {
		l.invoiced(l.A, c, "k"+string(rune('0'+i)), int64(100+i))
	}
	seen, path := map[string]bool{}, "/invoices?limit=2"
	for range 4 {
		got := l.call("GET", path, c.token, nil)
		for _, x := range got.json["data"].([]any) {
			seen[x.(map[string]any)["id"].(string)] = true
		}
		next, more := got.json["next"].(string)
		if !more {
			break
		}
		path = "/invoices?limit=2&cursor=" + next
	}
	if len(seen) != 5 {
		t.Errorf("saw %d of 5", len(seen))
	}
	for query, code := range map[string]string{"limit=0": "api.limit_invalid", "limit=101": "api.limit_invalid", "limit=x": "api.limit_invalid", "cursor=!": "api.cursor_invalid", "cursor=" + strings.Repeat("A", 3000): "api.cursor_invalid", "state=sold": "api.state_invalid"} {
		want := 422
		if code == "api.cursor_invalid" {
			want = 400
		}
		if got := l.call("GET", "/invoices?"+query, c.token, nil); got.status != want || got.code() != code {
			t.Errorf("%.20s: %d %s", query, got.status, got.body)
		}
	}
}

func TestCallsAreBoundedPerToken(t *testing.T) {
	l := newLab(t)
	l.limits.allow = 2
	a, b := l.customer(l.A, access.BillingRead), l.customer(l.A, access.BillingRead)
	for n := range 3 {
		got := l.call("GET", "/invoices", a.token, nil)
		if n < 2 && (got.status != 200 || got.header.Get("RateLimit-Remaining") == "") {
			t.Errorf("call %d: %d %v", n, got.status, got.header)
		}
		if n == 2 && (got.status != 429 || got.header.Get("Retry-After") == "" || got.code() != "api.too_many_requests") {
			t.Errorf("one too many: %d %v %s", got.status, got.header, got.body)
		}
	}
	if got := l.call("GET", "/invoices", b.token, nil); got.status != 200 {
		t.Errorf("another token: %d", got.status)
	}
}

func TestEveryCallIsDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Description())
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = true
		}
	}
	for _, r := range (&api.API{}).Routes() {
		path := strings.TrimPrefix(r.Path, api.Prefix)
		if path == "/openapi.yaml" {
			continue
		}
		parts := strings.Split(path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		name := r.Method + " " + strings.Join(parts, "/")
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described and does not exist", name)
	}
}
