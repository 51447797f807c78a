package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/reseller"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/twin"
)

// shopOfTwin is the shop in the fleet whose twin is lived in, and shopOfPreview the one that
// is previewed: no other bench fills them.
const (
	shopOfTwin    = 1
	shopOfPreview = 2
)

// twin lives a year of a shop of monthly customers in its sandbox twin.
func (r *run) twin(ctx context.Context) error {
	customers := r.Customers
	if customers == 0 {
		customers = 1000
	}
	f, err := r.grow(ctx, renewingShops+3)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	id := f.ids[renewingShops+shopOfTwin]
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	if err := customersOf(ctx, owner, id, customers, 1, now); err != nil {
		return err
	}
	house, done, err := r.house(ctx, f, now)
	if err != nil {
		return err
	}
	defer done()
	by := audit.Origin{Actor: audit.System("bench")}
	began := time.Now()
	t, err := house.Desk.Ask(ctx, id, "Bench", twins.Options{Seed: 1, Short: 4, Expired: 1}, uuid.New(), by)
	if err != nil {
		return err
	}
	if err := house.Work(ctx, house.Central, twins.WorkJob{Twin: t.ID}); err != nil {
		return err
	}
	r.report("twin", fmt.Sprintf("a shop with %d customers copied", customers), time.Since(began).Seconds(), "s")
	began = time.Now()
	if err := house.Desk.Advance(ctx, tenancy.ID{}, t.ID, t.NowAt.AddDate(1, 0, 0), by); err != nil {
		return err
	}
	if err := house.Work(ctx, house.Central, twins.WorkJob{Twin: t.ID}); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	if t, err = house.Desk.Get(ctx, t.ID); err != nil {
		return err
	}
	if err := r.lived(ctx, house, t, customers); err != nil {
		return err
	}
	r.promise("twin", fmt.Sprintf("a year of it: %d jobs", t.Jobs), took, "s", atMost, max(60*float64(customers)/1000, 5))
	return nil
}

// lived makes sure that the year was one, and says what came of it.
func (r *run) lived(ctx context.Context, house *twinhouse.House, t twins.Twin, customers int) error {
	tenant, _ := house.Tenants.ByID(t.TenantID)
	report, err := twin.Read(ctx, house.Pool.Bind(tenant), t.BeganAt)
	if err != nil {
		return err
	}
	s := report.Sum
	r.say("  %d invoices, %s received, %d charges refused, %d services turned off, %d subscriptions ended", s.Invoices, s.Received, s.Declined, s.Suspended, s.Ended)
	if t.Failures > 0 || !t.NowAt.Equal(t.BeganAt.AddDate(1, 0, 0)) || s.Invoices < 9*customers || s.Received.Minor == 0 {
		return fmt.Errorf("the year was none: at %s, %d failures (%s), %d invoices", t.NowAt, t.Failures, t.Problem, s.Invoices)
	}
	return nil
}

// house opens what makes and turns twins over the fleet's database.
func (r *run) house(ctx context.Context, f *fleetServer, now time.Time) (*twinhouse.House, func(), error) {
	ring, err := f.ring()
	if err != nil {
		return nil, nil, err
	}
	builder, err := tenancy.NewBuilder(f.dsn)
	if err != nil {
		return nil, nil, err
	}
	cfg := tenancy.Config{DSN: f.dsn, Lanes: f.lanes, ConnsPerLane: 2, Clock: func() time.Time { return now }, Cold: builder}
	pool, err := tenancy.Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	central, err := tenancy.OpenCentral(ctx, cfg, 2)
	if err != nil {
		return nil, nil, err
	}
	river, err := tenancy.OpenQueue(ctx, cfg, 2)
	if err != nil {
		return nil, nil, err
	}
	resolver := tenancy.NewResolver(tenancy.ResolverConfig{Directory: reseller.NewDirectory(central, "bench.test")})
	h := &twinhouse.House{
		Desk: &twins.Desk{Central: central}, Pool: pool, Central: central, Tenants: resolver, River: river, Workers: twinhouse.Works(ring, false), Mail: mail.NewOutbox(ring),
		Owner:   func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, f.dsn) },
		Session: func(ctx context.Context) (*pgx.Conn, error) { return tenancy.OpenSession(ctx, cfg, tenancy.RiverLogin) },
	}
	slack := make([]byte, 64<<20) // as a node has; see gcSlack
	return h, func() { river.Close(); central.Close(); pool.Close(); builder.Close(); runtime.KeepAlive(slack) }, nil
}

// preview foresees the next invoices of a customer with many subscriptions.
func (r *run) preview(ctx context.Context) error {
	const subscriptions, invoices = 20, 12
	f, err := r.grow(ctx, renewingShops+3)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	id := f.ids[renewingShops+shopOfPreview]
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	if err := customersOf(ctx, owner, id, 50, subscriptions, now); err != nil {
		return err
	}
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: f.dsn, Lanes: f.lanes, ConnsPerLane: 2, Clock: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer pool.Close()
	db := pool.Bind(tenancy.Tenant{ID: id, Status: tenancy.Active, Currency: "EUR", TimeZone: "UTC", Locale: "en"})
	var took []time.Duration
	for n := range 40 {
		account := uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-0001%08d", n+1))
		began := time.Now()
		err := db.View(ctx, func(tx *tenancy.Tx) error {
			found, err := renewal.Upcoming(ctx, tx, account, invoices)
			if err == nil && len(found) != invoices {
				err = fmt.Errorf("%d invoices are foreseen, want %d", len(found), invoices)
			}
			return err
		})
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	r.promise("preview", fmt.Sprintf("the next %d invoices of a customer with %d subscriptions, p95", invoices, subscriptions), millis(quantile(took, 95)), "ms", atMost, 300)
	return nil
}

// customersOf gives a shop customers with a card and so many subscriptions each, whose
// months begin on all days.
func customersOf(ctx context.Context, owner *pgx.Conn, id tenancy.ID, customers, each int, now time.Time) error {
	_, err := owner.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp;
		INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('stripe', 'on', '{}', '', 1, now()) ON CONFLICT DO NOTHING;
		INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at)
			SELECT ('00000000-0000-7000-8000-0001' || lpad(n::text, 8, '0'))::uuid, 'customer', n || '@customer.test', n || '@customer.test', 'Customer ' || n, 'member', now(), now() FROM generate_series(1, %[2]d) n;
		INSERT INTO accounts (id, name, currency, country, billing, created_at, changed_at)
			SELECT id, name, 'EUR', 'DE', jsonb_build_object('name', name, 'email', email, 'country', 'DE'), now(), now() FROM people WHERE world = 'customer' AND email LIKE '%%@customer.test';
		INSERT INTO memberships (account_id, person_id, role, created_at) SELECT id, id, 'owner', now() FROM accounts;
		INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			SELECT id, id, 'stripe', 'cus_' || id, 'pm_' || id, 'card', 'Visa', 'active', now(), now() FROM accounts;
		UPDATE accounts SET default_method_id = id;
		INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at, accepted_at)
			SELECT md5(a.id || '/' || n)::uuid, 'checkout', a.id, 'EUR', 998, 0, 998, '{"items":[]}', now(), now(), now() FROM accounts a, generate_series(1, %[3]d) n;
		INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
			SELECT id, row_number() OVER (), id, account_id, account_id, 'fulfilled', 'EUR', 998, '', now(), now() FROM quotes;
		INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at,
				cancel_reason, cancel_note, created_at, changed_at)
			SELECT s.id, s.account_id, s.id, p.id, 'Cloud server', 'active', 'monthly', 'EUR', 998,
				'[{"kind":"plan","code":"plan-2","label":"Cloud server","quantity":1,"amount_minor":998}]', since, since, since + interval '1 month', 0, since + interval '1 month' - interval '3 days', '', '', now(), now()
			FROM quotes s, (SELECT id FROM plans WHERE slug = 'plan-2') p,
				LATERAL (SELECT timestamptz '%[4]s' - interval '1 month' + (abs(hashtext(s.id::text)) %% 28) * interval '1 day' + (abs(hashtext('at ' || s.id)) %% 86000) * interval '1 second' AS since) x;
		INSERT INTO services (id, subscription_id, account_id, type, sku, label, name, platform_id, region, image, spec, hostname, ssh_keys, desired, observed, operation, step, operation_args,
				progress, problem, attempts, ref, address, addresses, power, holds, began_at, next_at, created_at, changed_at)
			SELECT id, id, account_id, 'vps', 'vps-s', 'Cloud server', 'web', '00000000-0000-7000-8000-0000000000cc', 'ams', 'debian', '{}', 'web', '[]', 'active', 'active', '', '', '{}',
				0, '', 0, 'ref-' || id, '192.0.2.1', '[]', 'on', '{}', period_from, now(), now(), now() FROM subscriptions;
		COMMIT; ANALYZE %[1]s.subscriptions, %[1]s.accounts, %[1]s.payment_methods`, id.Schema(), customers, each, now.Format(time.RFC3339))).ReadAll()
	if err != nil {
		return fmt.Errorf("give %s customers: %w", id.Schema(), err)
	}
	return nil
}
