package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

const (
	meteredAccounts = 1_000
	tellers         = 4 // programs that tell at once
	perBatch        = 1_000
	againShare      = 10 // every so many batches is told a second time
)

// onlyShop answers for every host.
type onlyShop struct{ t tenancy.Tenant }

// Lookup finds the shop.
func (o onlyShop) Lookup(string) (tenancy.Tenant, bool) { return o.t, true }

// usage has programs tell what a thousand accounts used through the API, and invoices the
// month.
func (r *run) usage(ctx context.Context) error {
	f, err := r.grow(ctx, 1)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	id := f.ids[0]
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC) // when the month ends
	if err := meteredShop(ctx, owner, id, now); err != nil {
		return err
	}
	clock := &atomic.Int64{}
	clock.Store(now.Add(-time.Hour).UnixNano())
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: f.dsn, Lanes: f.lanes, ConnsPerLane: tellers + 2, Clock: func() time.Time { return time.Unix(0, clock.Load()).UTC() }})
	if err != nil {
		return err
	}
	defer pool.Close()
	who := tenancy.Tenant{ID: id, Status: tenancy.Active, Currency: "EUR", TimeZone: "UTC", Locale: "en"}
	if err := r.tellUsage(ctx, pool, who, now); err != nil {
		return err
	}
	events := 1_000_000
	if r.Full {
		events = 10_000_000
	}
	r.say("  a month of %d events of %d accounts", events, meteredAccounts)
	began := time.Now()
	if err := monthOfUsage(ctx, owner, id, now, events); err != nil {
		return err
	}
	r.report("usage", "events of the month made up", float64(events)/time.Since(began).Seconds(), "events/s")
	return r.invoiceUsage(ctx, pool, owner, who, clock, now, events)
}

// tellUsage measures the API's batch form over HTTP.
func (r *run) tellUsage(ctx context.Context, pool *tenancy.Pool, who tenancy.Tenant, now time.Time) error {
	ring, err := r.fleet.ring()
	if err != nil {
		return err
	}
	db := pool.Bind(who)
	var person access.New
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM people WHERE world = 'reseller' AND role = 'owner' ORDER BY id LIMIT 1").Scan(ctx, &person.PersonID)
	})
	if err != nil {
		return fmt.Errorf("find the owner: %w", err)
	}
	person.Name, person.Scopes = "bench", []access.Scope{access.UsageWrite}
	_, token, err := access.Create(ctx, db, person, audit.Origin{Actor: audit.System("bench")})
	if err != nil {
		return err
	}
	a := &api.API{Slices: api.Slices{Metering: &metering.Desk{Mail: mail.NewOutbox(ring)}}}
	s, err := surface.New(surface.Config{
		Name: "tenant", Areas: []surface.Area{{Name: "api", Prefix: "/api", World: identity.Customer, Machines: true}},
		Routes: a.Routes(), Log: slog.New(slog.DiscardHandler), Clock: time.Now, FormKey: bytes.Repeat([]byte("k"), 32), BodyLimit: 8 << 20,
	})
	if err != nil {
		return err
	}
	front := &surface.Front{Hosts: onlyShop{who}, Pool: pool, Tenants: s, Log: slog.New(slog.DiscardHandler)}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &fasthttp.Server{Handler: front.Handler(), NoDefaultServerHeader: true, MaxRequestBodySize: 8 << 20}
	go func() { _ = server.Serve(ln) }()
	defer server.Shutdown() //nolint:errcheck // it only served this
	return r.hammerUsage(ctx, "http://"+ln.Addr().String()+api.Prefix+"/usage-events", token, now)
}

// hammerUsage tells batches for the duration, each tenth of them twice.
func (r *run) hammerUsage(ctx context.Context, url, token string, now time.Time) error {
	var told, known, next atomic.Int64
	failed := make(chan error, tellers)
	until := time.Now().Add(r.Duration)
	began := time.Now()
	var all sync.WaitGroup
	for range tellers {
		all.Go(func() {
			for time.Now().Before(until) {
				n := next.Add(1)
				body, err := batch(n, now)
				for i := 0; err == nil && i < 1+int((againShare-n%againShare)/againShare); i++ {
					var fresh, dup int64
					if fresh, dup, err = post(ctx, url, token, body); err == nil {
						told.Add(fresh)
						known.Add(dup)
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began).Seconds()
	select {
	case err := <-failed:
		return err
	default:
	}
	if told.Load() != next.Load()*perBatch {
		return fmt.Errorf("%d of %d events were taken", told.Load(), next.Load()*perBatch)
	}
	r.report("usage", "of them told a second time and found", float64(known.Load()), "events")
	r.promise("usage", "events ingested and deduplicated through the API", float64(told.Load()+known.Load())/took, "events/s", atLeast, 20_000)
	return nil
}

// batch is a thousand events of a hundred accounts.
func batch(n int64, now time.Time) ([]byte, error) {
	type event struct {
		Source string `json:"source"`
		ID     string `json:"id"`
		Sub    string `json:"subscription_id"`
		Meter  string `json:"meter"`
		At     string `json:"at"`
		Value  string `json:"value"`
	}
	all := make([]event, perBatch)
	for i := range all {
		at := now.Add(-2*time.Hour - time.Duration(i)*time.Second)
		all[i] = event{"bench", fmt.Sprintf("%d/%d", n, i), meteredID((n*100 + int64(i)%100) % meteredAccounts), "traffic", at.Format(time.RFC3339), "1.5"}
	}
	return json.Marshal(map[string]any{"events": all})
}

func meteredID(n int64) string { return fmt.Sprintf("00000000-0000-7000-8000-0002%08d", n+1) }

func post(ctx context.Context, url, token string, body []byte) (told, known int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.Host = "bench.test"
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, 0, err
	}
	var out struct{ Accepted, Duplicate, Refused int64 }
	if err := json.Unmarshal(text, &out); err != nil || res.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("told usage: %d %.300s", res.StatusCode, text)
	}
	return out.Accepted, out.Duplicate, nil
}

// invoiceUsage renews the accounts whose month has ended and looks at what they are asked for.
func (r *run) invoiceUsage(ctx context.Context, pool *tenancy.Pool, owner *pgx.Conn, who tenancy.Tenant, clock *atomic.Int64, now time.Time, events int) error {
	ring, err := r.fleet.ring()
	if err != nil {
		return err
	}
	clock.Store(now.UnixNano())
	word := fmt.Sprintf("a month of %d million events of 1,000 accounts", events/1_000_000)
	began := time.Now()
	desk := &renewal.Desk{Mail: mail.NewOutbox(ring)}
	if err := desk.Renew(ctx, pool.Bind(who), now); err != nil {
		return err
	}
	r.promise("usage", word+" invoiced", time.Since(began).Seconds(), "s", atMost, 20)
	var lines, settled int
	err = owner.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT count(*) FROM %[1]s.invoice_lines WHERE kind = 'usage' AND net_minor > 0), (SELECT count(*) FROM %[1]s.usage_totals WHERE rounds = 1)`, who.ID.Schema())).Scan(&lines, &settled)
	if err != nil {
		return err
	}
	if lines != meteredAccounts || settled != meteredAccounts {
		return fmt.Errorf("%d lines and %d settled totals of %d accounts", lines, settled, meteredAccounts)
	}
	began = time.Now()
	var found metering.Report
	err = pool.Bind(who).View(ctx, func(tx *tenancy.Tx) (err error) {
		found, err = metering.Audit(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if !found.Holds() {
		return fmt.Errorf("the totals are not what the events say: %s", found.Problems[0])
	}
	r.report("usage", "its totals made again from the events and compared", time.Since(began).Seconds(), "s")
	return nil
}

// meteredShop gives a shop customers whose month of traffic ends at a time.
func meteredShop(ctx context.Context, owner *pgx.Conn, id tenancy.ID, now time.Time) error {
	at := now.Format(time.RFC3339)
	_, err := owner.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp;
		INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES
			('00000000-0000-7000-8000-0002ffffffff', 'customer', 'metered@customer.test', 'metered@customer.test', 'Ada', 'member', now(), now()),
			('00000000-0000-7000-8000-0003ffffffff', 'reseller', 'meter@shop.test', 'meter@shop.test', 'Tom', 'owner', now(), now());
		INSERT INTO accounts (id, name, currency, country, created_at, changed_at)
			SELECT ('00000000-0000-7000-8000-0002' || lpad(n::text, 8, '0'))::uuid, 'Metered ' || n, 'EUR', 'DE', now(), now() FROM generate_series(1, %[2]d) n;
		INSERT INTO memberships (account_id, person_id, role, created_at) SELECT id, '00000000-0000-7000-8000-0002ffffffff', 'owner', now() FROM accounts WHERE name LIKE 'Metered %%';
		INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
			SELECT id, 'checkout', id, 'EUR', 0, 0, 0, '{"items":[]}', now(), now() FROM accounts WHERE name LIKE 'Metered %%';
		INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
			SELECT id, 1000000 + row_number() OVER (), id, id, '00000000-0000-7000-8000-0002ffffffff', 'fulfilled', 'EUR', 0, '', now(), now() FROM accounts WHERE name LIKE 'Metered %%';
		INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, included, capped, tiers, position, created_at)
			SELECT '00000000-0000-7000-8000-0004ffffffff', p.id, 'traffic', 'Traffic', 'GB', 'sum', '', 0, 'api', 'graduated', 100, false,
				'[{"up_to": "1000", "prices": {"EUR": {"unit": "10"}}}, {"prices": {"EUR": {"unit": "0.42"}}}]', 1, timestamptz '%[3]s' - interval '2 months' FROM plans p WHERE p.slug = 'plan-2';
		INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at, metered_to,
				cancel_reason, cancel_note, created_at, changed_at)
			SELECT a.id, a.id, a.id, p.id, 'Cloud server', 'active', 'monthly', 'EUR', 0, '[]', timestamptz '%[3]s' - interval '1 month', timestamptz '%[3]s' - interval '1 month', timestamptz '%[3]s', 0,
				timestamptz '%[3]s', timestamptz '%[3]s', '', '', timestamptz '%[3]s' - interval '1 month', now()
			FROM (SELECT id FROM accounts WHERE name LIKE 'Metered %%') a, (SELECT id FROM plans WHERE slug = 'plan-2') p;
		COMMIT; ANALYZE %[1]s.subscriptions, %[1]s.accounts`, id.Schema(), meteredAccounts, at)).ReadAll()
	if err != nil {
		return fmt.Errorf("give %s accounts that are metered: %w", id.Schema(), err)
	}
	return nil
}

// monthOfUsage makes up the rest of a month's events, with the totals their telling would
// have kept.
func monthOfUsage(ctx context.Context, owner *pgx.Conn, id tenancy.ID, now time.Time, events int) error {
	at := now.Format(time.RFC3339)
	_, err := owner.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp; SET LOCAL synchronous_commit = off;
		INSERT INTO usage_events (source, id, subscription_id, meter_id, at, period_from, value, phase, mark, round, recorded_at)
			SELECT 'month', lpad(n::text, 9, '0'), ('00000000-0000-7000-8000-0002' || lpad((1 + n / %[4]d)::text, 8, '0'))::uuid, '00000000-0000-7000-8000-0004ffffffff',
				timestamptz '%[3]s' - interval '30 days' + (n %% %[4]d) * interval '30 days' / %[4]d, timestamptz '%[3]s' - interval '1 month', 0.25, '', '', 0, now()
			FROM generate_series(0, %[2]d - 1) n;
		INSERT INTO usage_totals AS t (subscription_id, meter_id, period_from, period_to, events, quantity, last_key, last_value, rounds, late, billed_minor)
			SELECT subscription_id, meter_id, period_from, timestamptz '%[3]s', count(*), sum(value), '', 0, 0, 0, 0 FROM usage_events WHERE source = 'month' GROUP BY 1, 2, 3
			ON CONFLICT (subscription_id, meter_id, period_from) DO UPDATE SET events = t.events + excluded.events, quantity = t.quantity + excluded.quantity;
		COMMIT; ANALYZE %[1]s.usage_events, %[1]s.usage_totals`, id.Schema(), events, at, events/meteredAccounts)).ReadAll()
	if err != nil {
		return fmt.Errorf("make up a month of usage: %w", err)
	}
	return nil
}
