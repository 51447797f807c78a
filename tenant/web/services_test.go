package web_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/web"
)

// noPlatforms says that images exist and that nothing can be reached.
type noPlatforms struct{}

func (noPlatforms) Open(context.Context, uuid.UUID) (provisioners.Driver, error) {
	return nil, &provisioners.RetryError{Err: provisioners.ErrUnavailable}
}

func (noPlatforms) Delivery(_ context.Context, _ string, _ uuid.UUID, _, image string) (map[string]any, string, error) {
	if image != "debian-13" {
		return nil, "", fault.Field("image", "platform.unknown_image", "This operating system is not offered there. Choose another.")
	}
	return nil, "11", nil
}

func servicesOf(ring *secrets.Keyring) *web.Services {
	return &web.Services{
		Desk: &hosting.Desk{Platforms: noPlatforms{}, Keys: ring, Mail: mail.NewOutbox(ring)},
		Images: func(context.Context, tenancy.ID, string, string) ([]web.Image, error) {
			return []web.Image{{Code: "debian-13", Name: "Debian 13", Group: "Debian"}}, nil
		},
	}
}

// furnishService gives a tenant's buyer an account with a running service.
func furnishService(ctx context.Context, tx *tenancy.Tx, ring *secrets.Keyring, buyer uuid.UUID) (service uuid.UUID, err error) {
	now, account, product, plan, quote, order, sub := tx.Now(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	err = tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ? LIMIT 1", buyer).Scan(ctx, &account)
	if tenancy.IsNoRows(err) {
		err = exec(ctx, tx, "INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Buyer & Co', 'EUR', ?, ?)", account, now, now)
		if err == nil {
			err = exec(ctx, tx, "INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", account, buyer, now)
		}
	}
	for _, step := range []func() error{
		func() error {
			return exec(ctx, tx, "INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'running', 'vps', 'VPS', '', 9, 'hidden', ?, ?)", product, now, now)
		},
		func() error {
			return exec(ctx, tx, "INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?, ?, 'small', 'Small', '', '[]', 1, 'hidden', ?, ?)", plan, product, now, now)
		},
		func() error {
			five := billing.Money{Minor: 500, Currency: "EUR"}
			body, err := json.Marshal(map[string]any{"country": "DE", "taxes": []checkout.Tax{{Label: "VAT 19 %", Amount: billing.Money{Minor: 95, Currency: "EUR"}}}, "items": []checkout.Item{{
				PlanID: plan, Type: "vps", SKU: "vps-s", Label: "VPS Small", RegionName: "Frankfurt", ImageName: "Debian 13", Spec: provisioners.Spec{CPU: 2, MemoryMB: 4096, DiskGB: 80},
				Picked: catalog.Picked{Product: "running", Plan: "small", Cycle: billing.Monthly, Region: "fra", Image: "debian-13", Hostname: "good"},
				Parts:  []catalog.Item{{Kind: "plan", Code: "small", Label: "VPS Small", Quantity: 1, Unit: five, Amount: five}}, Amount: five, Setup: billing.Money{Currency: "EUR"}, SubscriptionID: sub,
			}}})
			if err != nil {
				return err
			}
			return exec(ctx, tx, "INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at, accepted_at) VALUES (?, 'checkout', ?, 'EUR', 500, 95, 595, ?::jsonb, ?, ?, ?)",
				quote, account, string(body), now, now.Add(15*time.Minute), now)
		},
		func() error {
			return exec(ctx, tx, `INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
				VALUES (?, 90001, ?, ?, ?, 'fulfilled', 'EUR', 595, '', ?, ?)`, order, quote, account, buyer, now, now)
		},
		func() error {
			return exec(ctx, tx, `INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, renewals, cancel_reason, cancel_note, created_at, changed_at)
				VALUES (?, ?, ?, ?, 'VPS Small', 'active', 'monthly', 'EUR', 500, '[]', 0, '', '', ?, ?)`, sub, account, order, plan, now, now)
		},
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return uuid.Nil, err
	}
	s, err := hosting.Order(ctx, tx, hosting.New{SubscriptionID: sub, AccountID: account, Type: "vps", SKU: "vps-s", Label: "VPS Small", Name: "good", PlatformID: uuid.New(), Region: "fra",
		Image: "debian-13", Spec: provisioners.Spec{CPU: 2, MemoryMB: 4096, DiskGB: 80}})
	if err != nil {
		return uuid.Nil, err
	}
	sealed, err := ring.Seal("service credentials", []byte("services/"+s.ID.String()), []byte(`{"user":"root","password":"s3cr3t-of-the-box"}`))
	if err != nil {
		return uuid.Nil, err
	}
	return s.ID, exec(ctx, tx, `UPDATE services SET observed = 'active', operation = '', step = '', ref = '7', power = 'on', address = '203.0.113.7', addresses = '["203.0.113.7", "2001:db8::7"]',
		began_at = ?, sealed_credentials = ? WHERE id = ?`, now, sealed, s.ID)
}

func exec(ctx context.Context, tx *tenancy.Tx, sql string, args ...any) error {
	_, err := tx.NewRaw(sql, args...).Exec(ctx)
	return err
}

// TestServicePages walks the customer's and the team's pages: what they show, what they
// ask for first, and what they refuse.
func TestServicePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := e.things[e.A.ID][":service"]
	at, manage := "/client/services/"+id, "/manage/services/"+id
	buyer, owner := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	want := func(what string, a surfacetest.Answer, status int, words ...string) {
		t.Helper()
		if a.Status != status {
			t.Errorf("%s: %d to %q, want %d", what, a.Status, a.Where, status)
		}
		for _, w := range words {
			if !strings.Contains(a.Page+a.Where, w) {
				t.Errorf("%s: %q is missing", what, w)
			}
		}
	}
	page := buyer.Send(t, "GET", at, nil)
	want("the page", page, 200, "203.0.113.7", "Running", "Restart", "2 cores", "4 GB", "80 GB", "every 30s")
	if strings.Contains(page.Page, "s3cr3t") {
		t.Error("the page shows the password unasked")
	}
	want("the list", buyer.Send(t, "GET", "/client/services", nil), 200, "203.0.113.7", at)
	want("the overview", buyer.Send(t, "GET", "/client", nil), 200, "203.0.113.7", at)
	want("billing", buyer.Send(t, "GET", at+"/billing", nil), 200, "5.00")
	seen := page.Page[strings.Index(page.Page, "seen=")+5:]
	want("no news", buyer.Send(t, "GET", at+"/state?tab=overview&seen="+seen[:strings.IndexAny(seen, `"&`)], nil), 204)

	want("reveal", buyer.Send(t, "POST", at+"/reveal", nil), 200, "s3cr3t-of-the-box")
	e.Clock.Advance(11 * time.Minute)
	stale := buyer.Send(t, "POST", at+"/reveal", nil)
	want("reveal without a fresh password", stale, 303, "/client/security/prove?next=")
	if strings.Contains(stale.Page, "s3cr3t") {
		t.Error("shown without asking for the password")
	}
	want("rebuild without a fresh password", buyer.Send(t, "POST", at+"/rebuild", form("image", "debian-13", "confirm", "good")), 303, "/client/security/prove?next=")
	buyer = e.as(t, e.A, identity.CustomerMember)
	want("rebuild without the name", buyer.Send(t, "POST", at+"/rebuild", form("image", "debian-13", "confirm", "x")), 422, "Type the service")
	want("rebuild with another image", buyer.Send(t, "POST", at+"/rebuild", form("image", "temple", "confirm", "good")), 422, "not offered there")
	want("power", buyer.Send(t, "POST", at+"/power", form("action", "restart")), 303, at)
	want("busy", buyer.Send(t, "GET", at, nil), 200, "Restarting", "every 3s", "disabled")

	want("the team's list", owner.Send(t, "GET", "/manage/services?q=203.0", nil), 200, manage)
	want("the team's page", owner.Send(t, "GET", manage, nil), 200, "Timeline", "You pay for it from")
	want("no reason", owner.Send(t, "POST", manage+"/suspend", form("reason", " ")), 422, "Say why")
	want("suspend", owner.Send(t, "POST", manage+"/suspend", form("reason", "Abuse report.")), 303)
	want("the reason", buyer.Send(t, "GET", at, nil), 200, "Abuse report.")
	want("not named", owner.Send(t, "POST", manage+"/terminate", form("reason", "Over.", "confirm", "bad")), 422, "exactly as it is written")
	want("terminate", owner.Send(t, "POST", manage+"/terminate", form("reason", "Over.", "confirm", "good")), 303)
	want("CSV", owner.Send(t, "GET", "/manage/services?format=csv", nil), 200)
}

// form is a form of pairs.
func form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all.Set(pairs[i], pairs[i+1])
	}
	return all
}

// TestServicePagesByHand: what the team delivers has a form for its access data, and no page
// of it offers what only a platform does or calls a licence a server.
func TestServicePagesByHand(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := e.things[e.A.ID][":service"]
	at, manage := "/client/services/"+id, "/manage/services/"+id
	as := func(kind string) {
		t.Helper()
		must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			return exec(t.Context(), tx, `UPDATE services SET type = ?, sku = '', region = '', image = '', spec = '{}', hostname = '', desired = 'active', observed = 'none', operation = 'create', step = 'waiting', operation_key = ?,
				next_at = NULL, began_at = NULL, address = '', addresses = '[]', power = '', ref = '', sealed_credentials = NULL WHERE id = ?`, kind, uuid.New(), id)
		}))
	}
	for kind, words := range map[string][]string{
		"vps": {"Address", "User", "Password", "Running since", "ssh ann@"}, "web_hosting": {"Control panel", "Active since"}, "license": {"Licensed to", "Licence key", "Active since"},
		"vpn_server": {"Configuration"}, "generic": {"Active since"}, "game_server": {"Running since"}, "cloud_desktop": {"Running since"}, "dedicated": {"ssh ann@"},
	} {
		as(kind)
		buyer, owner := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
		says(t, kind+", waiting", buyer.Send(t, "GET", at, nil), 200, "Being prepared", "Our team prepares it", "by hand")
		says(t, kind+", the team", owner.Send(t, "GET", manage, nil), 200, "Mark it as delivered", "deliver it", "Delivered by")
		says(t, kind+", too much", owner.Send(t, "POST", manage+"/deliver", form("user", strings.Repeat("x", 201))), 422, "at most 200")
		says(t, kind+", delivered", owner.Send(t, "POST", manage+"/deliver", form("address", "203.0.113.9", "user", "ann", "password", "k3y", "note", "Read this.")), 303)
		says(t, kind+", once more", owner.Send(t, "POST", manage+"/done", nil), 303) // refused in words
		page := buyer.Send(t, "GET", at, nil).Page + buyer.Send(t, "POST", at+"/reveal", nil).Page
		for _, w := range append(words, "203.0.113.9", "k3y", "Read this.") {
			if !strings.Contains(page, w) {
				t.Errorf("%s: %q is missing", kind, w)
			}
		}
		for _, w := range []string{"Restart", "Install anew", "New password", "Region"} {
			if strings.Contains(page, w) {
				t.Errorf("%s: the page offers %q", kind, w)
			}
		}
		if strings.Contains(page, "ssh ann@") != (kind == "vps" || kind == "dedicated") {
			t.Errorf("%s is reached by SSH, or is not", kind)
		}
		if strings.Contains(owner.Send(t, "GET", manage, nil).Page, "k3y") {
			t.Errorf("%s: the team sees the access data", kind)
		}
	}
	as("license")
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "UPDATE subscriptions SET state = 'pending', anchor_at = NULL, period_from = NULL, period_to = NULL WHERE id = (SELECT subscription_id FROM services WHERE id = ?)", id)
	}))
	says(t, "its subscription", e.as(t, e.A, identity.CustomerMember).Send(t, "GET", "/client/subscriptions", nil), 200, "Being prepared")
	says(t, "another shop's", e.as(t, e.B, identity.ResellerOwner).Send(t, "POST", manage+"/deliver", form("user", "x")), 404)
}
