package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"

	"github.com/ezscale/ezscale/central/reseller"
)

// seedOwner is what a shop begins with: its owner, with the password they have.
func seedOwner(ctx context.Context, _ tenancy.Tenant, tx *tenancy.Tx, o reseller.Owner) error {
	_, err := identity.People{World: identity.Reseller}.Add(ctx, tx, identity.NewPerson{Name: o.Name, Email: o.Email, Role: identity.ResellerOwner, Verified: o.Hash != ""}, o.Hash)
	return err
}

// mailed is the data of the newest letter of a template to an address; nil: none.
func (h *house) mailed(template, to string) map[string]string {
	h.t.Helper()
	var id string
	var sealed []byte
	err := h.Owner.QueryRow(h.t.Context(), "SELECT id::text, sealed_body FROM central.mails WHERE template = $1 AND to_address = $2 ORDER BY id DESC LIMIT 1", template, to).Scan(&id, &sealed)
	if err != nil {
		return nil
	}
	plain, err := h.ring.Open("mail", []byte(id), sealed)
	must(h.t, err)
	var data map[string]string
	must(h.t, json.Unmarshal(plain, &data))
	return data
}

func count(t testing.TB, h *house, sql string, args ...any) (n int) {
	t.Helper()
	must(t, h.Owner.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// read gets a page and remembers the token of its form.
func (h *house) read(path string) answer {
	h.t.Helper()
	a := h.keep(h.get(path))
	if _, rest, ok := strings.Cut(a.page, `name="_csrf" value="`); ok {
		h.csrf, _, _ = strings.Cut(rest, `"`)
	}
	return a
}

// keep takes an answer's cookies, as a browser does.
func (h *house) keep(a answer) answer {
	h.t.Helper()
	for _, line := range a.head["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		must(h.t, err)
		if c.Value == "" || c.MaxAge < 0 {
			delete(h.cookies, c.Name)
			continue
		}
		h.cookies[c.Name] = c.Value
	}
	return a
}

func (h *house) visitor() { h.cookies, h.csrf = map[string]string{}, "" }

// applies fills the first page.
func (h *house) applies(email, shop, slug string) answer {
	h.t.Helper()
	h.read("/sign-up")
	return h.keep(h.post("/sign-up", "name", "Nora Quist", "email", email, "shop", shop, "slug", slug, "currency", "EUR", "country", "SE"))
}

const chosen = "a long enough passphrase 7"

func TestABusinessOpensItsShop(t *testing.T) {
	w := tenancytest.New(t)
	h := openPartner(t, w)
	h.visitor()
	h.want("sign-up", h.read("/sign-up"), 200, "Open your shop", "Sweden")
	h.want("the address, live", h.get("/sign-up/address?shop=Quist+Cloud"), 200, "quist-cloud.localhost is free")
	taken := h.get("/sign-up/address?slug=alpha")
	h.want("a taken one", taken, 200, "alpha.localhost is taken")
	if strings.Contains(taken.page, w.A.Name+" since") {
		t.Errorf("a stranger is told whose it is: %s", taken.page)
	}
	h.want("everything wrong at once", h.post("/sign-up", "name", "", "email", "x", "shop", "", "slug", "alpha", "currency", "E", "country", "XX"), 422,
		"Please enter your name", "e-mail address", "Give your shop a name", "is taken", "three letters", "Choose the country")

	h.want("apply", h.applies("nora@quist.test", "Quist Cloud", ""), 303, "/sign-up/code")
	h.want("the code's page", h.read("/sign-up/code"), 200, "nora@quist.test", "quist-cloud.localhost")
	letter := h.mailed("sign_in_code", "nora@quist.test")
	h.want("a wrong code", h.post("/sign-up/code", "code", "x"+letter["code"], "password", chosen), 422, "not the code")
	h.want("a weak password", h.post("/sign-up/code", "code", letter["code"], "password", "short"), 422, "password")
	if n := count(t, h, "SELECT count(*) FROM central.tenants WHERE slug = 'quist-cloud'"); n != 0 {
		t.Fatal("the shop is there before the code was right")
	}
	h.want("open", h.keep(h.post("/sign-up/code", "code", letter["code"], "password", chosen)), 303, "/shop")
	h.want("the shop", h.read("/shop"), 200, "Quist Cloud is open", "quist-cloud.localhost", "Trial ends", "Place a test order", "/manage")
	h.want("the overview", h.get("/"), 200, "Quist Cloud")

	var id int64
	var status, currency string
	must(t, h.Owner.QueryRow(t.Context(), "SELECT id, status, currency FROM central.tenants WHERE slug = 'quist-cloud'").Scan(&id, &status, &currency))
	if status != "trial" || currency != "EUR" {
		t.Errorf("it is %s in %s", status, currency)
	}
	for what, sql := range map[string]string{
		"partner":   "SELECT count(*) FROM central.partners WHERE tenant_id = $1",
		"profile":   "SELECT count(*) FROM central.reseller_profiles WHERE tenant_id = $1 AND billing->>'country' = 'SE'",
		"alert":     "SELECT count(*) FROM central.alerts WHERE tenant_id = $1 AND kind = 'reseller.new'",
		"the hash":  "SELECT count(*) FROM central.people p, central.partners x, t_" + tenancyNumber(id) + ".people o WHERE x.tenant_id = $1 AND x.person_id = p.id AND o.password_hash = p.password_hash AND o.role = 'owner' AND o.email_verified_at IS NOT NULL",
		"the trail": "SELECT count(*) FROM central.audit_entries WHERE target_id = $1::bigint::text AND action = 'tenant.created' AND actor_kind = 'partner'",
	} {
		if n := count(t, h, sql, id); n != 1 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if h.mailed("partner_welcome", "nora@quist.test") == nil {
		t.Error("no welcome")
	}
	h.want("another's shop is not shown", h.read("/shop"), 200, "Quist Cloud")
	if page := h.read("/shop").page; strings.Contains(page, w.A.Name+"</h2>") || strings.Contains(page, "beta") {
		t.Error("somebody else's shop is shown")
	}
}

func tenancyNumber(id int64) string {
	n, err := tenancy.NumberedID(id)
	if err != nil {
		return "0"
	}
	return n.String()
}

// The pages a stranger sees are the same for an address that has a sign-in; its owner
// may open one more shop, with the password they have.
func TestAKnownAddressIsNotTold(t *testing.T) {
	w := tenancytest.New(t)
	h := openPartner(t, w)
	h.visitor()
	unknown := h.applies("new@shop.test", "First", "first-shop")
	pageOfUnknown := strings.ReplaceAll(h.read("/sign-up/code").page, "new@shop.test", "@")
	h.visitor()
	known := h.applies("pia@alpha.test", "First", "first-shop")
	pageOfKnown := strings.ReplaceAll(h.read("/sign-up/code").page, "pia@alpha.test", "@")
	strip := func(s string) string { // tokens and ids differ each time
		var kept []string
		for _, line := range strings.Split(s, "\n") {
			if !strings.Contains(line, "_csrf") && !strings.Contains(line, "csrf") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
	if unknown.status != known.status || unknown.where != known.where || strip(pageOfUnknown) != strip(pageOfKnown) {
		a, b := strings.Split(strip(pageOfUnknown), "\n"), strings.Split(strip(pageOfKnown), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("a stranger can tell: %q and %q", a[i], b[i])
			}
		}
	}
	before := ""
	must(t, h.Owner.QueryRow(t.Context(), "SELECT password_hash FROM central.people WHERE email = 'pia@alpha.test'").Scan(&before))
	letter := h.mailed("sign_in_code", "pia@alpha.test")
	h.want("open", h.keep(h.post("/sign-up/code", "code", letter["code"], "password", chosen)), 303, "/shop")
	h.want("both shops", h.read("/shop"), 200, "first-shop.localhost", w.A.Name, "its password stays as it was")
	after := ""
	must(t, h.Owner.QueryRow(t.Context(), "SELECT password_hash FROM central.people WHERE email = 'pia@alpha.test'").Scan(&after))
	if before != after {
		t.Error("whoever typed a known address changed its password")
	}
}

// Sending the form twice opens one shop; an address taken meanwhile is asked again.
func TestOpeningIsIdempotent(t *testing.T) {
	h := openPartner(t, tenancytest.New(t))
	form := []string{"key", "k1", "shop", "Second", "slug", "second", "currency", "EUR", "country", "DE"}
	h.want("one more", h.get("/open"), 200, "Open a shop")
	h.want("open", h.post("/open", form...), 303, "/shop")
	h.want("again", h.post("/open", form...), 422, "second.localhost is taken")
	if n := count(t, h, "SELECT count(*) FROM central.tenants WHERE name = 'Second'"); n != 1 {
		t.Errorf("%d shops", n)
	}
	if n := count(t, h, "SELECT count(*) FROM river.river_job WHERE kind = 'partner.open'"); n != 1 {
		t.Errorf("%d jobs", n)
	}
	h.visitor()
	h.want("a stranger", h.get("/open"), 303, "/sign-in")
}
