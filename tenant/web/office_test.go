package web_test

import (
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/taxservice"
	"github.com/ezscale/ezscale/tenant/web"
	"github.com/ezscale/ezscale/tenant/webhook"
	"github.com/ezscale/ezscale/themes"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// estate is the whole site of two tenants that hold one of everything: every route,
// the real front, real Postgres.
type estate struct {
	ring *secrets.Keyring
	*tenancytest.World
	site     *web.Site
	front    *surface.Front
	sessions *identity.Sessions
	people   map[tenancy.ID]map[identity.Role]identity.Person
	things   map[tenancy.ID]map[string]string // ids by the route's parameter
}

func newEstate(t testing.TB, w *tenancytest.World) *estate {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	passwords, err := identity.NewPasswords(2)
	must(t, err)
	names := []string{"base", "aurora", "forge"}
	pages, err := branding.LoadThemes(themes.Files, names, branding.Funcs(branding.FuncOptions{Now: w.Clock.Now, Assets: mustAssets(t)}))
	must(t, err)
	dir, err := media.OpenDir(t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	box := mail.NewOutbox(ring)
	e := &estate{World: w, ring: ring, sessions: identity.NewSessions(rdb, w.Clock.Now),
		people: map[tenancy.ID]map[identity.Role]identity.Person{}, things: map[tenancy.ID]map[string]string{}}
	e.site = &web.Site{DailyRates: true, TaxDesk: &taxservice.Desk{},
		Brands: branding.NewDesk(names), Media: media.NewLibrary(dir, 0),
		Domains: &domain.Desk{Central: w.Central, Zone: "localhost", HTTPSPort: 443, Names: domain.NamePolicy{PlatformZones: []string{"localhost"}},
			Preflight: &domain.Preflight{Edge: domain.Edge{Zone: "edge.example.net"}}, Wake: func() {}},
		SignIn:   signin.Parts{Passwords: passwords, Sessions: e.sessions, Keys: ring, Clock: w.Clock.Now, Mail: box, Throttle: identity.NewThrottle(rdb, ring.DeriveKey("devices"), w.Clock.Now)},
		Services: servicesOf(ring),
		Selling:  sellingOf(box),
		Webhooks: &webhook.Desk{Sealer: ring},
		Payments: &payment.Desk{Gateways: byTransfer{}, Keys: ring, Connect: connects{new(bool)}, Collector: takesFor{&w.A.ID}},
		Letters:  account.NewLetterLinks(ring.DeriveKey(account.LetterLinkPurpose)),
		Links:    payment.NewLinks(ring.DeriveKey(payment.LinkKeyPurpose)),
		Office:   &web.Office{Wholesale: oneMonth{}, Twins: twinShelf{w.Pool, map[tenancy.ID]tenancy.Tenant{w.A.ID: w.A, w.B.ID: w.B}}, Hosts: func(tenancy.ID) []string { return []string{"one"} }, MailAgain: box.Again, Letters: mustLetters(t), Sender: (&mail.House{Desk: branding.NewDesk(names), Sites: func(h string) string { return "https://" + h }, Host: func(x tenancy.Tenant) string { return x.PrimaryHost }}).Tenant},
	}
	tenants, err := surface.New(surface.Config{
		Name: "tenant", Themes: pages, Assets: dist(t), Sessions: e.sessions, Central: w.Central, Log: slog.New(slog.DiscardHandler), Clock: w.Clock.Now,
		FormKey: ring.DeriveKey("forms"), BodyLimit: 8 << 20, Routes: e.site.Routes(), Site: e.site.Shown,
		Areas: []surface.Area{
			{Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in", Nav: web.Nav},
			{Name: "hooks", Prefix: "/hooks", World: identity.Customer, Machines: true},
			{Name: "client", Prefix: "/client", World: identity.Customer, SignIn: "/sign-in", Themed: true, Nav: web.ClientNav},
			{Name: "shop", World: identity.Customer, SignIn: "/sign-in", Themed: true},
		},
	})
	must(t, err)
	hosts := street{w.A.PrimaryHost: w.A, w.B.PrimaryHost: w.B}
	e.front = &surface.Front{Hosts: hosts, Pool: w.Pool, Tenants: tenants, Themes: pages, Log: slog.New(slog.DiscardHandler)}
	e.furnish(t, w.A, aurora())
	e.furnish(t, w.B, forge())
	return e
}

// furnish gives a tenant people of every role and one of each thing.
func (e *estate) furnish(t testing.TB, of tenancy.Tenant, brand branding.Content) {
	t.Helper()
	ctx := t.Context()
	open(t, e.DB(of), brand)
	people, things := map[identity.Role]identity.Person{}, map[string]string{":product": of.Slug + "-cloud", ":plan": "large", ":twin": twinOf(of.ID).String(), ":letter": twinOf(of.ID).String()}
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		add := func(world identity.World, role identity.Role, name string) (identity.Person, error) {
			return identity.People{World: world}.Add(ctx, tx, identity.NewPerson{Email: name + "@" + of.Slug + ".test", Name: name, Role: role, Verified: true}, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
		}
		for i, role := range identity.Roles(identity.Reseller) {
			p, err := add(identity.Reseller, role, fmt.Sprintf("member%d", i))
			if err != nil {
				return err
			}
			people[role] = p
		}
		spare, err := add(identity.Reseller, identity.ResellerAgent, "spare")
		if err != nil {
			return err
		}
		buyer, err := add(identity.Customer, identity.CustomerMember, "buyer")
		if err != nil {
			return err
		}
		people[identity.CustomerMember] = buyer
		things[":member"] = buyer.ID.String()
		things[":person"], things[":customer"], things[":mail"] = spare.ID.String(), buyer.ID.String(), uuid.Must(uuid.NewV7()).String()
		service, err := furnishService(ctx, tx, e.ring, buyer.ID)
		if err != nil {
			return err
		}
		things[":service"] = service.String()
		_, err = tx.NewRaw("INSERT INTO mails (id, key, template, to_address, subject, state, created_at) VALUES (?, 'k', 'verify', 'x@y.test', 'Hello', 'failed', ?)", things[":mail"], tx.Now()).Exec(ctx)
		return err
	}))
	things[":id"] = uuid.Must(uuid.NewV7()).String()
	_, err := e.Owner.Exec(ctx, `INSERT INTO central.domains (id, tenant_id, host, state, verify_token, edge_label, created_by, created_at, changed_at, pending_since)
		VALUES ($1, $2, $3, 'pending', 'tok', 'edge', '', now(), now(), now())`, things[":id"], of.ID.Number(), "www."+of.Slug+".example.com")
	must(t, err)
	e.sell(t, of, things, people[identity.CustomerMember])
	e.furnishMoney(t, of, things, people[identity.CustomerMember].ID)
	e.people[of.ID], e.things[of.ID] = people, things
	e.subscribe(t, of)
	e.furnishPrograms(t, of)
	e.furnishShelf(t, of)
	e.furnishUsage(t, of)
}

// as is a client at the tenant's host, signed in with a full session that has just
// shown its password; the zero role is a visitor.
func (e *estate) as(t testing.TB, of tenancy.Tenant, role identity.Role) *surfacetest.Client {
	t.Helper()
	c := &surfacetest.Client{Front: e.front, Host: of.PrimaryHost, Cookies: map[string]string{}}
	if role == "" {
		return c
	}
	world := identity.Reseller
	if role == identity.CustomerMember {
		world = identity.Customer
	}
	p := e.people[of.ID][role]
	token, session, err := e.sessions.Start(t.Context(), identity.Binding{World: world, Tenant: of.ID, Host: of.PrimaryHost},
		identity.Session{PersonID: p.ID, Stage: identity.StageFull, Epoch: p.Epoch, ProvenAt: e.Clock.Now()})
	must(t, err)
	c.Cookies["ez_"+string(world)], c.CSRF = token, session.CSRF
	return c
}

// state is a fingerprint of everything a tenant has, in its schema and beside it.
func (e *estate) state(t testing.TB, of tenancy.Tenant) map[string]string {
	t.Helper()
	ctx, all := t.Context(), map[string]string{}
	rows, err := e.Owner.Query(ctx, "SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'", of.ID.Schema())
	must(t, err)
	var tables []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	must(t, rows.Err())
	for _, name := range tables {
		var sum string
		must(t, e.Owner.QueryRow(ctx, "SELECT count(*) || ' ' || md5(coalesce(string_agg(x::text, E'\n' ORDER BY x::text), '')) FROM "+of.ID.Schema()+"."+name+" x").Scan(&sum))
		all[name] = sum
	}
	for name, q := range map[string]string{
		"central.tenants": "SELECT md5(x::text) FROM central.tenants x WHERE id = $1",
		"central.domains": "SELECT count(*) || md5(coalesce(string_agg(x::text, E'\n' ORDER BY x::text), '')) FROM central.domains x WHERE tenant_id = $1",
	} {
		var sum string
		must(t, e.Owner.QueryRow(ctx, q, of.ID.Number()).Scan(&sum))
		all[name] = sum
	}
	return all
}

func unchanged(t testing.TB, what string, before, after map[string]string) {
	t.Helper()
	if len(before) < 10 {
		t.Fatalf("%s: a fingerprint of %d tables", what, len(before))
	}
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s: %s changed from %s to %s", what, name, was, after[name])
		}
	}
}

// good is a form every route finds nothing wrong with, as far as one can be.
func good() url.Values {
	return url.Values{"role": {string(identity.ResellerAgent)}, "typed": {"spare@beta.test"}, "confirm": {"www.beta.example.com"}, "name": {"Name"}, "email": {"new@example.com"}}
}

var wanting = regexp.MustCompile(`(?s)(\d+) (service|transfer|payment|refund|invoice)s? [^<]*<.{0,400}?href="(/manage/[^"]+)"`)

// TestWhatWantsAPersonLeadsThere follows each line of the dashboard that wants somebody:
// the list it leads to holds as many rows as it said.
func TestWhatWantsAPersonLeadsThere(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	err := e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`UPDATE services SET problem = 'The platform is full.' WHERE desired = 'active'`,
			`UPDATE invoices SET tries = 1, due_at = (issued_at AT TIME ZONE 'UTC' - interval '1 day') AT TIME ZONE 'UTC' WHERE state = 'open' AND kind = 'invoice'`,
			`UPDATE payments SET disputes = '[{"ref": "d1", "state": "needs_response"}]' WHERE state = 'succeeded'`,
			`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
				SELECT gen_random_uuid(), s || i.id::text, i.id, i.account_id, 'transfer', i.currency, 1, 0, s, '', '', true, '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM (SELECT * FROM invoices WHERE kind = 'invoice' LIMIT 1) i, (VALUES ('processing'), ('succeeded')) AS v(s)`,
			`INSERT INTO refunds (id, key, payment_id, amount_minor, state, reason, problem, created_by, created_at, changed_at)
				SELECT gen_random_uuid(), 'x' || id::text, id, 1, 'processing', '', '', '', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM payments WHERE gateway = 'transfer' AND state = 'succeeded'`,
		} {
			if _, err := tx.NewRaw(q).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := e.as(t, e.A, identity.ResellerOwner)
	_, todo, _ := strings.Cut(c.Send(t, "GET", "/manage", nil).Page, `id="h-todo"`)
	found := wanting.FindAllStringSubmatch(todo, -1)
	if len(found) != 5 {
		t.Errorf("the dashboard asks for %q", found)
	}
	for _, f := range found {
		page := c.Send(t, "GET", html.UnescapeString(f[3]), nil).Page
		if rows := strings.Count(page, "<tr>") - strings.Count(page, "<thead>"); strconv.Itoa(rows) != f[1] {
			t.Errorf("%s says %s %ss and shows %d", f[3], f[1], f[2], rows)
		}
	}
}
