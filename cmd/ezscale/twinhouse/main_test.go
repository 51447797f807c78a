package twinhouse_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/reseller"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// estate is two shops with customers who pay by card, and a house that makes twins.
type estate struct {
	*tenancytest.World
	t     testing.TB
	house *twinhouse.House
	ring  *secrets.Keyring
	by    audit.Origin
}

func open(t testing.TB, customers int) *estate {
	t.Helper()
	w := tenancytest.New(t)
	ctx := context.Background()
	key, err := secrets.NewKey("test")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	cfg := tenancy.Config{DSN: w.DSN, Lanes: tenancytest.Lanes, Clock: w.Clock.Now}
	river, err := tenancy.OpenQueue(ctx, cfg, 2)
	must(t, err)
	t.Cleanup(river.Close)
	builder, err := tenancy.NewBuilder(w.DSN)
	must(t, err)
	t.Cleanup(builder.Close)
	cfg.Cold, cfg.ConnsPerLane = builder, 2
	pool, err := tenancy.Open(ctx, cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	resolver := tenancy.NewResolver(tenancy.ResolverConfig{Directory: reseller.NewDirectory(w.Central, "example.test")})
	must(t, resolver.Refresh(ctx))
	e := &estate{World: w, t: t, ring: ring, by: audit.Origin{Actor: audit.Actor{Kind: "system", ID: "test", Name: "Test"}}}
	e.house = &twinhouse.House{
		Desk: &twins.Desk{Central: w.Central}, Pool: pool, Central: w.Central, Tenants: resolver, River: river, Workers: twinhouse.Works(ring, false), Mail: mail.NewOutbox(ring),
		Owner:   func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, w.DSN) },
		Session: func(ctx context.Context) (*pgx.Conn, error) { return tenancy.OpenSession(ctx, cfg, tenancy.RiverLogin) },
	}
	e.trade(w.A, customers, "alpha")
	e.trade(w.B, customers, "beta")
	return e
}

func newID() uuid.UUID { return uuid.New() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trade fills a shop: customers by name, with a card at a real gateway, a subscription each
// and a server at a real platform.
func (e *estate) trade(who tenancy.Tenant, customers int, name string) {
	e.t.Helper()
	ctx := context.Background()
	_, err := e.Owner.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp;
		INSERT INTO gateways (code, state, sealed_settings, public_settings, check_error, position, changed_at) VALUES ('stripe', 'on', 'sealed', '{"publishable_key": "pk_live"}', '', 1, now());
		INSERT INTO people (id, world, email, email_key, name, role, password_hash, totp_secret, created_at, changed_at)
			VALUES ('00000000-0000-7000-8000-00000000ffff', 'reseller', 'team@%[2]s.test', 'team@%[2]s.test', 'Team', 'owner', 'hash', 'secret', now(), now());
		INSERT INTO people (id, world, email, email_key, name, role, password_hash, created_at, changed_at)
			SELECT ('00000000-0000-7000-8000-0000' || lpad(n::text, 8, '0'))::uuid, 'customer', 'real' || n || '@%[2]s-customers.test', 'real' || n || '@%[2]s-customers.test', 'Real Person ' || n, 'member', 'hash', now(), now()
			FROM generate_series(1, %[3]d) n;
		INSERT INTO accounts (id, name, currency, country, billing, created_at, changed_at)
			SELECT id, name, 'EUR', 'DE', jsonb_build_object('name', name, 'email', email, 'country', 'DE', 'line1', 'Real Road 1', 'city', 'Realtown', 'phone', '+49 30 123'), now(), now() FROM people WHERE world = 'customer';
		INSERT INTO memberships (account_id, person_id, role, created_at) SELECT id, id, 'owner', now() FROM people WHERE world = 'customer';
		INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			SELECT id, id, 'stripe', 'cus_' || id, 'pm_' || id, 'card', 'Visa 4242', 'active', now(), now() FROM accounts;
		UPDATE accounts SET default_method_id = id;
		INSERT INTO products (id, slug, type, name, summary, visibility, position, created_at, changed_at) VALUES ('00000000-0000-7000-8000-0000000000aa', 'vps', 'vps', 'VPS', '', 'public', 1, now(), now());
		INSERT INTO plans (id, product_id, slug, name, summary, facts, visibility, position, created_at, changed_at) VALUES ('00000000-0000-7000-8000-0000000000bb', '00000000-0000-7000-8000-0000000000aa', 's', 'Small', '', '[]', 'public', 1, now(), now());
		INSERT INTO prices (plan_id, currency, cycle, amount_minor) VALUES ('00000000-0000-7000-8000-0000000000bb', 'EUR', 'monthly', 999);
		INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at, accepted_at)
			SELECT id, 'checkout', id, 'EUR', 999, 0, 999, '{"items":[]}', now(), now(), now() FROM accounts;
		INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
			SELECT id, row_number() OVER (), id, id, id, 'fulfilled', 'EUR', 999, '203.0.113.9', now(), now() FROM accounts;
		INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at, cancel_reason, cancel_note, created_at, changed_at)
			SELECT a.id, a.id, a.id, '00000000-0000-7000-8000-0000000000bb', 'VPS Small', 'active', 'monthly', 'EUR', 999,
				'[{"kind":"plan","code":"s","label":"VPS Small","quantity":1,"amount_minor":999}]', x.since, x.since, x.since + interval '1 month', 0, x.since + interval '1 month' - interval '3 days', '', '', now(), now()
			FROM accounts a, LATERAL (SELECT timestamptz '%[4]s' - interval '1 month' + (abs(hashtext(a.id::text)) %% 28) * interval '1 day' + interval '5 minutes' AS since) x;
		INSERT INTO services (id, subscription_id, account_id, type, sku, label, name, platform_id, region, image, spec, hostname, ssh_keys, desired, observed, operation, step, operation_args,
				progress, problem, attempts, ref, address, addresses, power, sealed_credentials, holds, began_at, next_at, created_at, changed_at)
			SELECT id, id, account_id, 'vps', 'vps-s', 'VPS Small', 'shop of ' || a.name, '00000000-0000-7000-8000-0000000000cc', 'ams', 'debian', '{}', 'real-host', '["ssh-ed25519 AAAA real"]', 'active', 'active', '', '', '{}',
				0, '', 0, 'vf-' || s.id, '198.51.100.7', '["198.51.100.7"]', 'on', 'sealed', '{}', s.period_from, s.period_from, now(), now() FROM subscriptions s JOIN (SELECT id AS aid, name FROM accounts) a ON a.aid = s.account_id;
		COMMIT`, who.ID.Schema(), name, customers, tenancytest.Start.Format(time.RFC3339))).ReadAll()
	must(e.t, err)
	_, err = e.Owner.Exec(ctx, fmt.Sprintf(`INSERT INTO central.usage_events (tenant_id, key, subject, sku, kind, quantity, at) SELECT $1, 'service/' || id || '/start', 'service/' || id, sku, 'start', 1, began_at FROM %s.services`, who.ID.Schema()), who.ID.Number())
	must(e.t, err)
}

// twin makes one and waits for it.
func (e *estate) twin(of tenancy.Tenant, o twins.Options) (twins.Twin, tenancy.Tenant) {
	e.t.Helper()
	id := uuid.New()
	if _, err := e.house.Desk.Ask(context.Background(), of.ID, "Trial", o, id, e.by); err != nil {
		e.t.Fatal(err)
	}
	e.work(id)
	return e.get(id)
}

func (e *estate) get(id uuid.UUID) (twins.Twin, tenancy.Tenant) {
	e.t.Helper()
	t, err := e.house.Desk.Get(context.Background(), id)
	must(e.t, err)
	tenant, _ := e.house.Tenants.ByID(t.TenantID)
	return t, tenant
}

func (e *estate) work(id uuid.UUID) {
	e.t.Helper()
	must(e.t, e.house.Work(context.Background(), e.Central, twins.WorkJob{Twin: id}))
}

func (e *estate) advance(id uuid.UUID, d time.Duration) twins.Twin {
	e.t.Helper()
	t, _ := e.get(id)
	must(e.t, e.house.Desk.Advance(context.Background(), tenancy.ID{}, id, t.NowAt.Add(d), e.by))
	e.work(id)
	t, _ = e.get(id)
	return t
}

// scan reads one value as the owner of the database.
func scan[T any](e *estate, query string, args ...any) (v T) {
	e.t.Helper()
	if err := e.Owner.QueryRow(context.Background(), query, args...).Scan(&v); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		e.t.Fatalf("%s: %v", query, err)
	}
	return v
}
