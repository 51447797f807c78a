package wholesale_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestABillDay: from the day on, one reseller's months run from the 15th; the change makes a
// short month by its time, a tier's new fee waits for its month, facts told late are adjusted
// in its own next month, and the clock bills each month once. The other keeps calendar months.
func TestABillDay(t *testing.T) {
	w := tenancytest.New(t)
	d, ctx := book(t, w), t.Context()
	d.Mail = outbox(t)
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-08-01")}, anna))
	}
	w.Clock.Set(on(t, "2026-09-20"))
	if err := d.SetBillDay(ctx, w.A.ID, 29, anna); !fault.Is(err, "terms.bad_day") {
		t.Errorf("day 29: %v", err)
	}
	must(t, d.SetBillDay(ctx, w.A.ID, 10, anna))
	must(t, d.SetBillDay(ctx, w.A.ID, 16, anna)) // in its place
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "62.00", Percent: "10", From: on(t, "2026-11-01")}, anna))
	ran := ranHere{}
	serve(t, w, ran, w.A, 1, "vps-m", "2026-09-01", "")
	billed := func(who tenancy.Tenant) (all []string) {
		t.Helper()
		rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: who.ID, Sort: "number"})
		must(t, err)
		for _, r := range rows {
			all = append(all, r.Period+" "+r.Net().Decimal())
		}
		return all
	}
	day := func(s string) {
		t.Helper()
		w.Clock.Set(on(t, s).Add(7 * time.Hour))
		must(t, d.Due(ctx))
	}
	day("2026-09-20")
	day("2026-10-01")
	day("2026-10-16")
	serve(t, w, ran, w.B, 2, "vps-m", "2026-10-02", "") // told on the 16th: B's October is open
	day("2026-11-01")
	serve(t, w, ran, w.A, 3, "vps-m", "2026-10-01", "") // late for the short month, in time for the one under way
	p, err := d.Preview(ctx, w.A.ID)
	must(t, err)
	if p.Month.Name != "2026-10-16" || p.Month.Title() != "16 Oct to 15 Nov 2026" {
		t.Errorf("the month under way is %+v", p.Month)
	}
	day("2026-11-16")
	day("2026-12-16")
	// 49.00 and 7.35; 15 of 31 days; 49.00 and twice 7.35 and what the short month lacked; the new fee and 10 % off.
	want := []string{"2026-08 49.00", "2026-09 56.35", "2026-10-01..2026-10-16 27.26", "2026-10-16 67.26", "2026-11-16 77.12"}
	if got := billed(w.A); !slices.Equal(got, want) {
		t.Errorf("A was billed %q, want %q", got, want)
	}
	want = []string{"2026-08 49.00", "2026-09 49.00", "2026-10 56.11", "2026-11 69.56"} // 30 of 31 days of 8.40; 62.00 and 8.40 less 10 %
	if got := billed(w.B); !slices.Equal(got, want) {
		t.Errorf("B was billed %q, want %q", got, want)
	}
	for _, name := range []string{"2026-09", "2026-10", "2026-10-01..2026-10-16", "2026-10-16", "2026-11-16"} {
		m, err := wholesale.ParseMonth(name)
		must(t, err)
		if a, err := d.Audit(ctx, m, ran); err != nil || len(a.Differences)+a.Pending > 0 || a.Tenants == 0 {
			t.Errorf("audit of %s: %+v, %v", name, a, err)
		}
	}
	m, err := wholesale.ParseMonth("2026-10")
	must(t, err)
	r, err := d.Run(ctx, m, anna, false)
	if err != nil || !r.Again || r.Invoices != 1 || len(r.Others) != 2 || !r.Others[0].Billed || r.Others[1].Period != "2026-10-16" || r.Others[1].Resellers != 1 {
		t.Errorf("October again: %+v, %v", r, err)
	}
	if m, err = wholesale.ParseMonth("2026-10-07"); err == nil {
		_, err = d.Run(ctx, m, anna, false)
	}
	if !fault.Is(err, "wholesale.nobodys_month") {
		t.Errorf("a month that nobody has: %v", err)
	}
	for _, wrong := range []string{"2026-10-01", "2026-10-30", "2026-10-05..2026-12-01", "2026-10-05..2026-11-05", "2026-10-05..2026-10-05", "2026-10-05..", "..", "2026-10-5"} {
		if _, err := wholesale.ParseMonth(wrong); !fault.Is(err, "wholesale.bad_period") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	// Who is billed from this month on has the day at once.
	must(t, d.SetBillDay(ctx, w.B.ID, 1, anna))
	b, err := d.BillingOf(ctx, w.A.ID, 1)
	if err != nil || b.Days.Day != 16 || b.Days.Months[0].Name != "2026-12-16" {
		t.Errorf("A's days: %+v, %v", b.Days, err)
	}
	// Terms of A alone may still change where its own months are open.
	if err := d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-12-10")}, anna); !fault.Is(err, "price.closed") {
		t.Errorf("within A's billed month: %v", err)
	}
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-12-10")}, anna))
}
