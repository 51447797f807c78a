package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// firstBilled is the number of the first made-up reseller: none of the fleet's.
const firstBilled = 3_000_000

// perReseller is how many services each of them runs.
const perReseller = 100

// wholesale bills a month of made-up resellers: central's tables alone, as the run reads
// nothing else.
func (r *run) wholesale(ctx context.Context) error {
	if err := r.billMonth(ctx, min(2_000, r.Tenants), "", 15); err != nil {
		return err
	}
	if !r.Full {
		return nil
	}
	return r.billMonth(ctx, 10_000, ", full", 90)
}

func (r *run) billMonth(ctx context.Context, resellers int, word string, limit float64) error {
	f, err := r.grow(ctx, 1)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	r.say("  %d resellers with %d services each", resellers, perReseller)
	if err := madeUp(ctx, owner, resellers); err != nil {
		return err
	}
	central, err := tenancy.OpenCentral(ctx, tenancy.Config{DSN: f.dsn, Clock: func() time.Time { return time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC) }}, 2)
	if err != nil {
		return err
	}
	defer central.Close()
	d, by := &wholesale.Desk{Central: central}, audit.Origin{Actor: audit.System("bench")}
	m, err := wholesale.ParseMonth("2026-10")
	if err != nil {
		return err
	}
	if err := forgetPeak(); err != nil {
		return err
	}
	began := time.Now()
	done, err := d.Run(ctx, m, by, false)
	if err != nil {
		return err
	}
	r.promise("wholesale", "a month billed"+word, time.Since(began).Seconds(), "s", atMost, limit)
	if done.Invoices != resellers {
		return fmt.Errorf("%d invoices for %d resellers", done.Invoices, resellers)
	}
	r.report("wholesale", "lines with evidence"+word, float64(done.Lines), "lines")
	began = time.Now()
	if again, err := d.Run(ctx, m, by, false); err != nil || !again.Again {
		return fmt.Errorf("the second run did something: %+v, %w", again, err)
	}
	r.promise("wholesale", "a second run"+word, time.Since(began).Seconds(), "s", atMost, 1)
	peak, err := memoryOf(os.Getpid(), "VmHWM")
	if err != nil {
		return err
	}
	r.promise("wholesale", "memory of the program, at most"+word, float64(peak)/(1<<20), "MiB", atMost, 256)
	began = time.Now()
	found, err := d.Audit(ctx, m, shownServices{central})
	if err != nil {
		return err
	}
	r.promise("wholesale", "audit: differences"+word, float64(len(found.Differences)+found.Pending), "", atMost, 0)
	r.report("wholesale", "audit"+word, time.Since(began).Seconds(), "s")
	return nil
}

// madeUp fills central with resellers whose services ran all of October, part of it, or
// changed; prices change on the 11th.
func madeUp(ctx context.Context, owner *pgx.Conn, resellers int) error {
	for _, sql := range []string{
		`TRUNCATE balance_movements, wholesale_credits, wholesale_question_notes, wholesale_questions, wholesale_adjustments, wholesale_overrides, wholesale_evidence, wholesale_lines, wholesale_refunds, wholesale_payments, wholesale_invoices, wholesale_runs, usage_events, revenue_events, services, tenant_terms, wholesale_prices, tiers, offers, skus, holds, ledger_postings`,
		fmt.Sprintf(`DELETE FROM tenants WHERE id >= %d`, firstBilled),
		fmt.Sprintf(`INSERT INTO tenants (id, key, slug, name, status, owner_email, schema_version, created_at, changed_at)
			SELECT %[1]d + n, 'bench ' || n, 'bench-' || n, 'Bench ' || n, 'active', 'a@b.test', 0, now(), now() FROM generate_series(1, %[2]d) n`, firstBilled, resellers),
		`INSERT INTO skus SELECT 'vps-' || n, 'vps', 'VPS ' || n, '', 'service', 'month', '{}', 'active', n, now() FROM generate_series(1, 8) n`,
		`INSERT INTO skus VALUES ('traffic', 'traffic', 'Traffic', '', 'metered', 'GB', '{}', 'active', 9, now())`,
		`INSERT INTO wholesale_prices SELECT gen_random_uuid(), sku, '', 'EUR', 400.5 * position, '2026-01-01', '2026-10-11', '', now() FROM skus`,
		`INSERT INTO wholesale_prices SELECT gen_random_uuid(), sku, '', 'EUR', 420.42 * position, '2026-10-11', NULL, '', now() FROM skus`,
		`INSERT INTO tiers (tier, currency, name, fee_minor, discount_percent, commission_percent, minimum_minor, valid_from) VALUES
			('pro', 'EUR', 'Pro', 4900, 12.5, 0, 250000, '2026-01-01'), ('share', 'EUR', 'Share', 1900, 0, 7.5, 100000, '2026-01-01')`,
		fmt.Sprintf(`INSERT INTO tenant_terms SELECT id, '2026-01-01', CASE WHEN id %% 4 = 0 THEN 'share' ELSE 'pro' END, 'EUR', '', now() FROM tenants WHERE id >= %d`, firstBilled),
		fmt.Sprintf(`INSERT INTO services (tenant_id, service_id, sku, label, platform_id, region, ref, desired, observed, problem, address, began_at, ended_at, changed_at)
			SELECT t.id, gen_random_uuid(), 'vps-' || 1 + (t.id + n) %% 8, '', gen_random_uuid(), '', '', 'active', 'active', '', '',
				timestamptz '2026-09-10' + (n * 1234567 %% 4000000) * interval '1 second', CASE WHEN n %% 5 = 0 THEN timestamptz '2026-10-27 12:00' END, now()
			FROM tenants t, generate_series(1, %d) n WHERE t.id >= %d`, perReseller, firstBilled),
		`INSERT INTO usage_events (tenant_id, key, subject, sku, kind, quantity, at)
			SELECT tenant_id, 'service/' || service_id || '/start', 'service/' || service_id, sku, 'start', 1, began_at FROM services`,
		`INSERT INTO usage_events (tenant_id, key, subject, sku, kind, quantity, at)
			SELECT tenant_id, 'service/' || service_id || '/stop', 'service/' || service_id, sku, 'stop', 1, ended_at FROM services WHERE ended_at IS NOT NULL`,
		// A quarter share their revenue: an invoice a service, one in twenty credited.
		`INSERT INTO revenue_events (tenant_id, key, kind, currency, amount_minor, at)
			SELECT tenant_id, 'invoice/' || service_id, 'invoiced', 'EUR', 999, timestamptz '2026-10-01' + (abs(hashtext(service_id::text)) % 2600000) * interval '1 second' FROM services
			UNION ALL SELECT tenant_id, 'credit/' || service_id, 'credited', 'EUR', 500, timestamptz '2026-10-30' FROM services WHERE hashtext(service_id::text) % 20 = 0`,
		`VACUUM ANALYZE usage_events`,
		// By name: the fleet in the same database has a hundred thousand tables.
		`ANALYZE tenants, services, revenue_events, tenant_terms, wholesale_prices, tiers, skus`,
	} {
		if _, err := owner.Exec(ctx, "SET search_path TO central"); err != nil {
			return err
		}
		if _, err := owner.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make up resellers: %w", err)
		}
	}
	_, err := owner.Exec(ctx, "RESET search_path")
	return err
}

// shownServices tells of the made-up services; their resellers have no schemas.
type shownServices struct{ central *tenancy.Central }

// Ran are the services that ran at some time within [from, to).
func (s shownServices) Ran(ctx context.Context, id tenancy.ID, from, to time.Time) (all []wholesale.Ran, err error) {
	var rows []struct {
		ID      uuid.UUID
		SKU     string `bun:"sku"`
		BeganAt time.Time
		EndedAt time.Time

		RetailMinor    int64
		RetailCurrency string
		RetailCycle    string
	}
	err = s.central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT service_id AS id, sku, began_at, ended_at FROM services WHERE tenant_id = ? AND began_at < ? AND (ended_at IS NULL OR ended_at > ?)", id, to, from).Scan(ctx, &rows)
	})
	for _, r := range rows {
		all = append(all, wholesale.Ran{ID: r.ID, SKU: r.SKU, BeganAt: r.BeganAt, EndedAt: r.EndedAt, RetailMinor: r.RetailMinor, RetailCurrency: r.RetailCurrency, RetailCycle: r.RetailCycle})
	}
	return all, err
}
