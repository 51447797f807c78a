package wholesale_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// use records usage the way tenants do.
func use(t testing.TB, w *tenancytest.World, who tenancy.Tenant, kind, subject, sku string, quantity int64, at string) {
	t.Helper()
	when, err := time.Parse("2006-01-02 15:04", at)
	must(t, err)
	must(t, w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.RecordUsage(t.Context(), tenancy.Usage{Key: subject + "/" + kind + "/" + at, Subject: subject, SKU: sku, Kind: kind, Quantity: quantity, At: when})
		return err
	}))
}

func month(t testing.TB, name string) wholesale.Month {
	t.Helper()
	m, err := wholesale.ParseMonth(name)
	must(t, err)
	return m
}

func mustRun(t testing.TB, d *wholesale.Desk, name string) wholesale.Report {
	t.Helper()
	r, err := d.Run(t.Context(), month(t, name), anna, false)
	must(t, err)
	return r
}

// lines are an invoice's, in words.
func lines(t testing.TB, w *tenancytest.World, who tenancy.Tenant, period string) (all []string) {
	t.Helper()
	must(t, w.Central.View(t.Context(), func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT l.kind || ' ' || l.period || ' ' || l.net_minor || ' ' || l.description FROM wholesale_invoices i
			JOIN wholesale_runs r ON r.id = i.run_id JOIN wholesale_lines l ON l.invoice_id = i.id
			WHERE i.tenant_id = ? AND r.period = ? ORDER BY l.position`, who.ID, period).Scan(t.Context(), &all)
	}))
	return all
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("lines:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// November has 30 days; the world begins in October 2026 and ends up in December.
func TestAMonthOfOneReseller(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-11-01")}, anna))
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "pro", Currency: "USD", From: on(t, "2026-11-16")}, anna))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-m", Currency: "EUR", Price: "9.00", From: on(t, "2026-11-11")}, anna))

	use(t, w, w.A, "start", "service/1", "vps-s", 1, "2026-09-01 10:00") // the whole month
	use(t, w, w.A, "start", "service/2", "vps-s", 1, "2026-11-16 00:00") // half of it
	use(t, w, w.A, "start", "service/3", "vps-m", 1, "2026-11-01 00:00") // across the price's change
	use(t, w, w.A, "stop", "service/3", "vps-m", 1, "2026-11-21 00:00")
	use(t, w, w.A, "start", "service/4", "vps-s", 1, "2026-11-01 00:00") // becomes another
	use(t, w, w.A, "change", "service/4", "vps-m", 1, "2026-11-26 00:00")
	use(t, w, w.A, "start", "service/5", "vps-s", 1, "2026-10-01 00:00") // over before
	use(t, w, w.A, "stop", "service/5", "vps-s", 1, "2026-10-31 00:00")
	use(t, w, w.A, "quantity", "service/1/traffic", "traffic", 1234, "2026-11-30 23:59")
	use(t, w, w.A, "quantity", "service/1/traffic", "traffic", 99, "2026-12-01 00:00") // next month's
	use(t, w, w.B, "start", "service/1", "vps-s", 2, "2026-11-01 00:00")               // its trial ends on the 16th

	w.Clock.Set(on(t, "2026-11-30"))
	if _, err := d.Run(ctx, month(t, "2026-11"), anna, false); !fault.Is(err, "wholesale.not_over") {
		t.Fatalf("a month under way: %v", err)
	}
	dry, err := d.Run(ctx, month(t, "2026-11"), anna, true)
	must(t, err)
	seen, err := d.Preview(ctx, w.A.ID)
	must(t, err)
	said := []string{}
	for _, l := range seen.Lines {
		said = append(said, fmt.Sprintf("%s %s %d %s", l.Kind, seen.Month.Name, l.Net.Minor, l.Description))
	}
	if got := count(t, w, "SELECT (SELECT count(*) FROM wholesale_evidence) + (SELECT count(*) FROM wholesale_runs)"); got != 0 {
		t.Errorf("the preview left %d rows", got)
	}
	w.Clock.Set(on(t, "2026-12-02"))
	real := mustRun(t, d, "2026-11")
	wantLines(t, said, lines(t, w, w.A, "2026-11")...) // what the reseller was shown is what it is billed
	if want := (billing.Money{Minor: real.Rows[0].NetMinor, Currency: "EUR"}); seen.Net != want {
		t.Errorf("the preview came to %v, the invoice to %v", seen.Net, want)
	}
	real.Dry, real.CutOff = true, dry.CutOff
	if a, b := jsonOf(t, real), jsonOf(t, dry); a != b {
		t.Errorf("the preview differs:\n%s\n%s", b, a)
	}
	wantLines(t, lines(t, w, w.A, "2026-11"),
		"fee 2026-11 4900 Platform fee, tier Pro",
		"service 2026-11 980 VPS S: 2.3333 service months at 4.20 EUR",      // (30 + 15 + 25 days) of 30 at 4.20
		"service 2026-11 280 VPS M: 0.3333 service months at 8.40 EUR",      // 10 days
		"service 2026-11 450 VPS M: 0.5 service months at 9.00 EUR",         // 10 and 5 days
		"metered 2026-11 518 Traffic: 1234 GB at 0.0042 EUR",                // 5.1828
		"discount 2026-11 -279 12.5 % off services and metered units (Pro)", // of 22.28: 2.785
	)
	wantLines(t, lines(t, w, w.B, "2026-11"),
		"fee 2026-11 2450 Platform fee, tier Pro (0.5 of the month at 49.00 USD)",
		"service 2026-11 420 VPS S: 1 service month at 4.20 USD",
		"discount 2026-11 -53 12.5 % off services and metered units (Pro)", // 52.5, away from zero
	)
	if again := mustRun(t, d, "2026-11"); !again.Again || again.Invoices != 2 || again.Total["EUR"] != 6849 {
		t.Errorf("again: %+v", again)
	}
	if got := count(t, w, "SELECT count(*) FROM wholesale_invoices"); got != 2 {
		t.Errorf("%d invoices", got)
	}
	booksBalance(t, w)
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func count(t testing.TB, w *tenancytest.World, sql string, args ...any) (n int64) {
	t.Helper()
	must(t, w.Central.View(t.Context(), func(tx *tenancy.CentralTx) error { return tx.NewRaw(sql, args...).Scan(t.Context(), &n) }))
	return n
}

// booksBalance compares the books with the invoices: what is receivable is what is open.
func booksBalance(t testing.TB, w *tenancytest.World) {
	t.Helper()
	open := count(t, w, "SELECT coalesce(sum(total_minor - paid_minor), 0) FROM wholesale_invoices")
	owed := count(t, w, `SELECT coalesce(sum(CASE WHEN debit = 'receivable' THEN amount_minor ELSE 0 END - CASE WHEN credit = 'receivable' THEN amount_minor ELSE 0 END), 0) FROM ledger_postings`)
	if open != owed {
		t.Errorf("the books say %d is owed, the invoices %d", owed, open)
	}
}

func TestLateFactsAreAdjustedOnce(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	use(t, w, w.A, "start", "service/1", "vps-s", 1, "2026-09-01 00:00")
	use(t, w, w.A, "start", "service/2", "vps-s", 1, "2026-09-01 00:00")
	use(t, w, w.B, "start", "service/1", "vps-s", 1, "2026-09-01 00:00")
	w.Clock.Set(on(t, "2026-10-01"))
	mustRun(t, d, "2026-09")
	wantLines(t, lines(t, w, w.A, "2026-09"), "fee 2026-09 4900 Platform fee, tier Pro", "service 2026-09 840 VPS S: 2 service months at 4.20 EUR",
		"discount 2026-09 -105 12.5 % off services and metered units (Pro)")

	// Told only in October: service 1 had stopped in the middle of September, and a third ran.
	use(t, w, w.A, "stop", "service/1", "vps-s", 1, "2026-09-16 00:00")
	use(t, w, w.A, "start", "service/3", "vps-m", 1, "2026-09-28 00:00")
	use(t, w, w.A, "stop", "service/3", "vps-m", 1, "2026-10-01 00:00")
	w.Clock.Set(on(t, "2026-11-01"))
	mustRun(t, d, "2026-10")
	wantLines(t, lines(t, w, w.A, "2026-10"),
		"fee 2026-10 4900 Platform fee, tier Pro",
		"service 2026-10 420 VPS S: 1 service month at 4.20 EUR",
		"discount 2026-10 -53 12.5 % off services and metered units (Pro)",
		"adjustment 2026-09 -210 Adjustment of 2026-09: VPS S: -0.5 service months at 4.20 EUR",
		"adjustment 2026-09 84 Adjustment of 2026-09: VPS M: 0.1 service months at 8.40 EUR",
		"adjustment 2026-09 16 Adjustment of 2026-09: 12.5 % off services and metered units (Pro)", // 89.25 off in place of 105
	)
	wantLines(t, lines(t, w, w.B, "2026-10"), "service 2026-10 420 VPS S: 1 service month at 4.20 EUR")

	// An adjustment is adjusted: the stop was a day later after all, said by a second start.
	use(t, w, w.A, "start", "service/1", "vps-s", 1, "2026-09-16 00:01")
	use(t, w, w.A, "stop", "service/1", "vps-s", 1, "2026-09-17 00:01")
	w.Clock.Set(on(t, "2026-12-01"))
	mustRun(t, d, "2026-11")
	wantLines(t, lines(t, w, w.A, "2026-11")[3:],
		"adjustment 2026-09 14 Adjustment of 2026-09: VPS S: 0.0333 service months at 4.20 EUR",
		"adjustment 2026-09 -2 Adjustment of 2026-09: 12.5 % off services and metered units (Pro)")
	w.Clock.Set(on(t, "2027-01-01"))
	mustRun(t, d, "2026-12")
	if got := lines(t, w, w.A, "2026-12"); len(got) != 3 {
		t.Errorf("nothing new was told, and yet: %v", got)
	}
	booksBalance(t, w)
}

func TestWhatHasNoPriceIsNotBilledAway(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SaveSKU(ctx, wholesale.SKU{Code: "vps-l", Type: "vps", Name: "VPS L", Kind: wholesale.Service, State: "active"}, anna))
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	}
	use(t, w, w.A, "start", "service/1", "vps-s", 1, "2026-09-01 00:00")
	use(t, w, w.B, "start", "service/1", "vps-l", 1, "2026-09-10 00:00")
	dry, err := d.Run(ctx, month(t, "2026-09"), anna, true)
	if err != nil || len(dry.Missing) != 1 || dry.Missing[0].Tenant != w.B.ID || dry.Missing[0].SKU != "vps-l" {
		t.Errorf("preview: %+v, %v", dry.Missing, err)
	}
	if _, err := d.Run(ctx, month(t, "2026-09"), anna, false); !fault.Is(err, "wholesale.unpriced") || !strings.Contains(err.Error(), "vps-l for tier start in EUR since 2026-09-10") {
		t.Errorf("run: %v", err)
	}
	if n := count(t, w, "SELECT (SELECT count(*) FROM wholesale_runs) + (SELECT count(*) FROM wholesale_evidence)"); n != 0 {
		t.Errorf("%d rows are left of a run that was refused", n)
	}
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-l", Currency: "EUR", Price: "30", From: on(t, "2026-09-01")}, anna))
	mustRun(t, d, "2026-09")
	wantLines(t, lines(t, w, w.B, "2026-09"), "service 2026-09 2100 VPS L: 0.7 service months at 30.00 EUR")
	// The month is closed now.
	if err := d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-l", Currency: "EUR", Price: "31", From: on(t, "2026-09-30")}, anna); !fault.Is(err, "price.closed") {
		t.Errorf("a price of a month that was billed: %v", err)
	}
	if err := d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-30")}, anna); !fault.Is(err, "price.closed") {
		t.Errorf("terms of a month that was billed: %v", err)
	}
}

// Two runs at once, and one that is cut off, bill a month once and without gaps.
func TestRunsAtOnce(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-07-01")}, anna))
		use(t, w, who, "start", "service/1", "vps-s", 1, "2026-07-01 00:00")
	}
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := d.Run(cut, month(t, "2026-07"), anna, false); err == nil {
		t.Error("a run without time succeeds")
	}
	done := make(chan error)
	for i := range 6 {
		go func() {
			_, err := d.Run(ctx, wholesale.Month{Name: fmt.Sprintf("2026-0%d", 7+i/3), From: on(t, fmt.Sprintf("2026-0%d-01", 7+i/3)), To: on(t, fmt.Sprintf("2026-0%d-01", 8+i/3))}, anna, false)
			done <- err
		}()
	}
	for range 6 {
		must(t, <-done)
	}
	if n := count(t, w, "SELECT count(*) FROM wholesale_invoices"); n != 6 {
		t.Errorf("%d invoices, want 6", n)
	}
	if n := count(t, w, "SELECT max(sequence) FROM wholesale_invoices"); n != 6 {
		t.Errorf("the last number is %d", n)
	}
	if broken, err := d.VerifyChain(ctx); err != nil || broken != "" {
		t.Errorf("chain: %q, %v", broken, err)
	}
	_, err := w.Owner.Exec(ctx, `UPDATE central.wholesale_invoices SET document = jsonb_set(document, '{total_minor}', '1') WHERE sequence = 3`)
	must(t, err)
	if broken, err := d.VerifyChain(ctx); err != nil || !strings.Contains(broken, "WS-000003") {
		t.Errorf("a changed document: %q, %v", broken, err)
	}
	booksBalance(t, w)
}

// A tier that shares revenue: what the shop told of its invoices is on the line, a trial is
// free of it and of the minimum, and what is told late moves both.
func TestAShareOfRevenueAndAMinimum(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "partner", Currency: "EUR", Name: "Partner", Fee: "0", Percent: "0", Share: "7.5", Minimum: "100.00", From: on(t, "2026-01-01")}, anna))
	both := wholesale.NewTier{Tier: "both", Currency: "EUR", Name: "Both", Fee: "0", Percent: "1", Share: "1", Minimum: "-1", From: on(t, "2026-01-01")}
	if err := d.SetTier(ctx, both, anna); !fault.Is(err, "tier.invalid") {
		t.Errorf("a discount and a share: %v", err)
	}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "partner", Currency: "EUR", From: on(t, "2026-11-16")}, anna)) // its trial ends
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "partner", Currency: "EUR", From: on(t, "2026-11-01")}, anna))
	sold := func(who tenancy.Tenant, key, kind, currency string, minor int64, at string) {
		t.Helper()
		must(t, w.DB(who).Update(ctx, func(tx *tenancy.Tx) error {
			return tx.RecordRevenue(ctx, tenancy.Revenue{Key: key, Kind: kind, Currency: currency, Minor: minor, At: on(t, at)})
		}))
	}
	sold(w.A, "invoice/1", "invoiced", "EUR", 500_00, "2026-11-10") // in the trial
	sold(w.A, "invoice/2", "invoiced", "EUR", 300_00, "2026-11-20")
	sold(w.A, "credit/2", "credited", "EUR", 100_01, "2026-11-21")
	sold(w.A, "invoice/3", "invoiced", "USD", 70_00, "2026-11-22")
	sold(w.B, "invoice/1", "invoiced", "EUR", 2000_00, "2026-11-20") // more than the minimum
	w.Clock.Set(on(t, "2026-12-02"))
	if r := mustRun(t, d, "2026-11"); len(r.Foreign) != 1 || r.Foreign[0].Net().String() != "70.00 USD" {
		t.Errorf("in another currency: %+v", r.Foreign)
	}
	wantLines(t, lines(t, w, w.A, "2026-11"),
		"commission 2026-11 1500 7.5 % of 199.99 EUR invoiced (Partner)",    // 14.99925
		"minimum 2026-11 3500 To the agreed minimum of 50.00 EUR (Partner)") // half a month of it
	wantLines(t, lines(t, w, w.B, "2026-11"), "commission 2026-11 15000 7.5 % of 2000.00 EUR invoiced (Partner)")
	rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	_, l, behind, err := d.Line(ctx, rows[0].ID, 900_001, w.A.ID, 0, 10)
	must(t, err)
	if !l.Shared() || len(behind) != 2 || behind[0].StartKey != "credit/2" || behind[0].Base(l).String() != "-100.01 EUR" || behind[1].StartTold.IsZero() || behind[1].Percent() != "7.50 %" {
		t.Errorf("behind the share: %+v, %+v", l, behind)
	}
	if found, err := d.Audit(ctx, month(t, "2026-11"), ranHere{}); err != nil || len(found.Differences)+found.Pending > 0 {
		t.Errorf("the audit: %+v, %v", found, err)
	}

	// Told late: the share grows by it, and the minimum gives way.
	sold(w.A, "invoice/4", "invoiced", "EUR", 100_00, "2026-11-30")
	if found, err := d.Audit(ctx, month(t, "2026-11"), ranHere{}); err != nil || len(found.Differences) > 0 || found.Pending != 1 {
		t.Errorf("the audit before the adjustment: %+v, %v", found, err)
	}
	w.Clock.Set(on(t, "2027-01-02"))
	mustRun(t, d, "2026-12")
	wantLines(t, lines(t, w, w.A, "2026-12"),
		"minimum 2026-12 10000 To the agreed minimum of 100.00 EUR (Partner)",
		"adjustment 2026-11 750 Adjustment of 2026-11: 7.5 % of 100.00 EUR invoiced (Partner)",
		"adjustment 2026-11 -750 Adjustment of 2026-11: To the agreed minimum of 50.00 EUR (Partner)")
	for _, m := range []string{"2026-11", "2026-12"} {
		if found, err := d.Audit(ctx, month(t, m), ranHere{}); err != nil || len(found.Differences)+found.Pending > 0 {
			t.Errorf("the audit of %s: %+v, %v", m, found, err)
		}
	}
	if _, err := w.Owner.Exec(ctx, "UPDATE central.wholesale_lines SET net_minor = net_minor + 1 WHERE kind = 'commission'"); err != nil {
		t.Fatal(err)
	}
	if found, err := d.Audit(ctx, month(t, "2026-11"), ranHere{}); err != nil || len(found.Differences) < 2 {
		t.Errorf("the audit of a share that is not right: %+v, %v", found, err)
	}
	booksBalance(t, w)
}
