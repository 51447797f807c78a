package bench

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/renewal"
)

const (
	renewingShops = 100
	duePerShop    = 200
	dueOfFull     = 1_000
	renewingAt    = 8 // shops at once, as the queue works on them
)

// renewals makes the invoices of twenty thousand subscriptions that are due in a hundred
// shops (full: of a hundred thousand), with their postings and the charges of the cards that
// are kept.
func (r *run) renewals(ctx context.Context) error {
	f, err := r.grow(ctx, renewingShops)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	due, word := duePerShop, ""
	if r.Full {
		due, word = dueOfFull, ", full"
	}
	r.say("  %d subscriptions of %d shops", renewingShops*due, renewingShops)
	for _, id := range f.ids[:renewingShops] {
		if err := subscribed(ctx, owner, id, now, due); err != nil {
			return err
		}
	}
	ring, err := f.ring()
	if err != nil {
		return err
	}
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: f.dsn, Lanes: f.lanes, ConnsPerLane: 2, Clock: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer pool.Close()
	desk := &renewal.Desk{Mail: mail.NewOutbox(ring)}
	if err := forgetPeak(); err != nil {
		return err
	}
	began := time.Now()
	if err := r.renewAll(ctx, pool, desk, f.ids[:renewingShops], now); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	if err := renewed(ctx, owner, f.ids[:renewingShops], due); err != nil {
		return err
	}
	r.promise("renewals", "invoices finalised, posted, charge queued"+word, float64(renewingShops*due)/took, "invoices/s", atLeast, 500)
	peak, err := memoryOf(os.Getpid(), "VmHWM")
	if err != nil {
		return err
	}
	r.report("renewals", "memory of the program, at most"+word, float64(peak)/(1<<20), "MiB")
	began = time.Now()
	if err := r.renewAll(ctx, pool, desk, f.ids[:renewingShops], now); err != nil {
		return err
	}
	r.report("renewals", "a second pass, which finds nothing"+word, time.Since(began).Seconds(), "s")
	return renewed(ctx, owner, f.ids[:renewingShops], due)
}

func (r *run) renewAll(ctx context.Context, pool *tenancy.Pool, desk *renewal.Desk, ids []tenancy.ID, now time.Time) error {
	shops, failed := make(chan tenancy.ID), make(chan error, renewingAt)
	var all sync.WaitGroup
	for range renewingAt {
		all.Go(func() {
			for id := range shops {
				t := tenancy.Tenant{ID: id, Status: tenancy.Active, Currency: "EUR", TimeZone: "UTC", Locale: "en"}
				if err := desk.Renew(ctx, pool.Bind(t), now); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, id := range ids {
		shops <- id
	}
	close(shops)
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// subscribed gives a shop customers with a card each, whose month ends now.
func subscribed(ctx context.Context, owner *pgx.Conn, id tenancy.ID, now time.Time, due int) error {
	at := now.Format(time.RFC3339)
	_, err := owner.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp;
		INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('stripe', 'on', '{}', '', 1, now());
		INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at)
			VALUES ('00000000-0000-7000-8000-000000000001', 'customer', 'ada@customer.test', 'ada@customer.test', 'Ada', 'member', now(), now());
		INSERT INTO accounts (id, name, currency, country, created_at, changed_at)
			SELECT ('00000000-0000-7000-8000-0001' || lpad(n::text, 8, '0'))::uuid, 'Customer ' || n, 'EUR', 'DE', now(), now() FROM generate_series(1, %[2]d) n;
		INSERT INTO memberships (account_id, person_id, role, created_at) SELECT id, '00000000-0000-7000-8000-000000000001', 'owner', now() FROM accounts;
		INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			SELECT gen_random_uuid(), id, 'stripe', 'cus_' || id, 'pm_' || id, 'card', 'Visa', 'active', now(), now() FROM accounts;
		UPDATE accounts SET default_method_id = (SELECT id FROM payment_methods m WHERE m.account_id = accounts.id);
		INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
			SELECT id, 'checkout', id, 'EUR', 998, 0, 998, '{"items":[]}', now(), now() FROM accounts;
		INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
			SELECT id, row_number() OVER (), id, id, '00000000-0000-7000-8000-000000000001', 'fulfilled', 'EUR', 998, '', now(), now() FROM accounts;
		INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at,
				cancel_reason, cancel_note, created_at, changed_at)
			SELECT a.id, a.id, a.id, p.id, 'Cloud server', 'active', 'monthly', 'EUR', 998,
				'[{"kind":"plan","code":"plan-2","label":"Cloud server","quantity":1,"amount_minor":998}]',
				timestamptz '%[3]s' - interval '1 month', timestamptz '%[3]s' - interval '1 month', timestamptz '%[3]s', 0, timestamptz '%[3]s' - interval '3 days', '', '', now(), now()
			FROM accounts a, (SELECT id FROM plans WHERE slug = 'plan-2') p;
		COMMIT; ANALYZE %[1]s.subscriptions, %[1]s.accounts, %[1]s.payment_methods`, id.Schema(), due, at)).ReadAll()
	if err != nil {
		return fmt.Errorf("give %s subscriptions: %w", id.Schema(), err)
	}
	return nil
}

// renewed makes sure that each subscription has one invoice, posted, and one charge.
func renewed(ctx context.Context, owner *pgx.Conn, ids []tenancy.ID, due int) error {
	for _, id := range ids {
		var invoices, posted, charges int
		err := owner.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT count(*) FROM %[1]s.invoices WHERE state = 'open'),
			(SELECT count(DISTINCT source_id) FROM %[1]s.ledger_postings WHERE source_kind = 'invoice'),
			(SELECT count(*) FROM river.river_job WHERE kind = 'payment.charge' AND (metadata->>'tenant')::bigint = $1)`, id.Schema()), id.Number()).Scan(&invoices, &posted, &charges)
		if err != nil {
			return err
		}
		if invoices != due || posted != due || charges != due {
			return fmt.Errorf("%s has %d invoices, %d of them posted, and %d charges, want %d each", id.Schema(), invoices, posted, charges, due)
		}
	}
	return nil
}
