package wholesale_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// A price agreed with one reseller holds for it alone, in its list, in the run and in the
// audit, from its first day to its last.
func TestAPriceAgreedWithOne(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
		use(t, w, who, "start", "service/1", "vps-s", 1, "2026-09-01 00:00")
		use(t, w, who, "quantity", "service/1/traffic", "traffic", 1000, "2026-11-20 12:00")
	}
	w.Clock.Set(on(t, "2026-10-01"))
	mustRun(t, d, "2026-09")
	set := func(n wholesale.NewOverride) error { return d.SetOverride(ctx, w.A.ID, n, anna) }
	good := wholesale.NewOverride{SKU: "vps-s", Price: "3.00", From: on(t, "2026-11-16"), To: on(t, "2026-12-16"), Reason: "a large order"}
	for name, n := range map[string]wholesale.NewOverride{
		"price.closed":     {SKU: "vps-s", Price: "3", From: on(t, "2026-09-30"), Reason: "x"},
		"sku.unknown":      {SKU: "no", Price: "3", From: on(t, "2026-11-01"), Reason: "x"},
		"override.invalid": {SKU: "vps-s", Price: "-3", From: on(t, "2026-11-01"), To: on(t, "2026-11-01"), Reason: " "},
	} {
		if err := set(n); !fault.Is(err, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, set(wholesale.NewOverride{SKU: "vps-s", Price: "9", From: on(t, "2026-10-25"), Reason: "too much"}))
	must(t, set(good))
	must(t, set(good)) // twice is once
	must(t, set(wholesale.NewOverride{SKU: "traffic", Price: "0.001", From: on(t, "2026-11-01"), Reason: "x"}))
	all, err := overridesOf(ctx, d, w.A.ID)
	must(t, err)
	if len(all) != 3 || all[0].Price.Decimal() != "3.00" || !all[1].To.Equal(good.From) || all[0].CreatedBy != "Anna" {
		t.Errorf("agreed: %+v", all)
	}
	if other, err := overridesOf(ctx, d, w.B.ID); err != nil || len(other) != 0 {
		t.Errorf("the other's: %+v, %v", other, err)
	}
	if err := d.EndOverride(ctx, w.B.ID, all[0].ID, on(t, "2026-12-01"), anna); !fault.Is(err, "override.unknown") {
		t.Errorf("ending another's: %v", err)
	}

	w.Clock.Set(on(t, "2026-11-20"))
	for _, c := range []struct {
		who  tenancy.Tenant
		list string
		net  string
		own  bool
	}{{w.A, "3.00", "2.625", true}, {w.B, "4.20", "3.675", false}} {
		listed, err := d.PriceList(ctx, c.who.ID)
		must(t, err)
		if l := listed[0]; l.List.Decimal() != c.list || l.Net.Decimal() != c.net || l.Own != c.own || l.Own && !l.Until.Equal(good.To) {
			t.Errorf("list of %s: %+v", c.who.Slug, l)
		}
		price, err := d.Price(ctx, c.who.ID, "vps-s", w.Clock.Now())
		if err != nil || price.Decimal() != c.net {
			t.Errorf("price for %s: %v, %v", c.who.Slug, price, err)
		}
	}
	w.Clock.Set(on(t, "2026-12-02"))
	mustRun(t, d, "2026-10")
	mustRun(t, d, "2026-11")
	wantLines(t, lines(t, w, w.A, "2026-11"),
		"fee 2026-11 4900 Platform fee, tier Pro",
		"service 2026-11 150 VPS S: 0.5 service months at 3.00 EUR",
		"service 2026-11 450 VPS S: 0.5 service months at 9.00 EUR",
		"metered 2026-11 100 Traffic: 1000 GB at 0.001 EUR",
		"discount 2026-11 -88 12.5 % off services and metered units (Pro)") // of 7.00
	wantLines(t, lines(t, w, w.B, "2026-11"),
		"fee 2026-11 4900 Platform fee, tier Pro",
		"service 2026-11 420 VPS S: 1 service month at 4.20 EUR",
		"metered 2026-11 420 Traffic: 1000 GB at 0.0042 EUR",
		"discount 2026-11 -105 12.5 % off services and metered units (Pro)")
	must(t, d.EndOverride(ctx, w.A.ID, all[0].ID, on(t, "2026-12-03"), anna))
	if err := d.EndOverride(ctx, w.A.ID, all[0].ID, on(t, "2026-11-03"), anna); !fault.Is(err, "price.closed") {
		t.Errorf("ending in a month that was billed: %v", err)
	}
	if found, err := d.Audit(ctx, month(t, "2026-11"), ranHere{}); err != nil || onlyAmounts(found) > 0 {
		t.Errorf("the audit: %+v, %v", found, err)
	}
	if n := count(t, w, "SELECT count(*) FROM audit_entries WHERE action IN ('override.set', 'override.ended')"); n != 5 {
		t.Errorf("%d entries in the trail", n)
	}
}

func overridesOf(ctx context.Context, d *wholesale.Desk, of tenancy.ID) ([]wholesale.Override, error) {
	a, err := d.AgreedWith(ctx, of)
	return a.Prices, err
}

func byHandOf(ctx context.Context, d *wholesale.Desk, of tenancy.ID) ([]wholesale.ByHandLine, error) {
	a, err := d.AgreedWith(ctx, of)
	return a.Lines, err
}

// onlyAmounts counts the differences that are about money: these resellers have no services
// of their own to compare with.
func onlyAmounts(a wholesale.Audit) (n int) {
	for _, x := range a.Differences {
		if x.Kind == "amount" {
			n++
		}
	}
	return n
}

// An amount by hand stands on the next invoice, once, beside the minimum and not under it.
func TestAmountsByHand(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "least", Currency: "EUR", Name: "Least", Fee: "0", Percent: "10", Minimum: "50.00", From: on(t, "2026-01-01")}, anna))
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "least", Currency: "EUR", From: on(t, "2026-10-01")}, anna))
	}
	w.Clock.Set(on(t, "2026-10-20"))
	for _, n := range []wholesale.NewLineByHand{{Key: "k", Amount: "0", Reason: "x"}, {Key: "k", Amount: "1e9", Reason: "x"}, {Key: "k", Amount: "1"}} {
		if err := d.AddLine(ctx, w.A.ID, n, anna); !fault.Is(err, "byhand.invalid") {
			t.Errorf("%+v: %v", n, err)
		}
	}
	for range 2 { // two clicks
		must(t, d.AddLine(ctx, w.A.ID, wholesale.NewLineByHand{Key: "a", Amount: "-12.34", Reason: "An outage in September"}, anna))
	}
	must(t, d.AddLine(ctx, w.A.ID, wholesale.NewLineByHand{Key: "b", Amount: "5", Reason: "Help with a migration"}, anna))
	must(t, d.AddLine(ctx, w.A.ID, wholesale.NewLineByHand{Key: "c", Amount: "7", Reason: "A mistake"}, anna))
	all, err := byHandOf(ctx, d, w.A.ID)
	must(t, err)
	if len(all) != 3 || !all[0].Waits() {
		t.Fatalf("waiting: %+v", all)
	}
	if err := d.WithdrawLine(ctx, w.B.ID, all[0].ID, anna); !fault.Is(err, "byhand.unknown") {
		t.Errorf("withdrawing another's: %v", err)
	}
	for _, l := range all {
		for range 2 {
			if l.Reason == "A mistake" {
				must(t, d.WithdrawLine(ctx, w.A.ID, l.ID, anna))
			}
		}
	}
	want := []string{
		"minimum 2026-10 5000 To the agreed minimum of 50.00 EUR (Least)",
		"manual  -1234 An outage in September",
		"manual  500 Help with a migration",
	}
	seen, err := d.Preview(ctx, w.A.ID)
	must(t, err)
	if seen.Net.String() != "42.66 EUR" {
		t.Errorf("previewed as %v", seen.Net)
	}
	w.Clock.Set(on(t, "2026-11-02"))
	if dry, err := d.Run(ctx, month(t, "2026-10"), anna, true); err != nil || dry.Rows[0].NetMinor != 4266 || dry.Rows[0].Adjustments != 2 {
		t.Errorf("a dry run: %+v, %v", dry.Rows, err)
	}
	mustRun(t, d, "2026-10")
	wantLines(t, lines(t, w, w.A, "2026-10"), want...)
	wantLines(t, lines(t, w, w.B, "2026-10"), want[0])
	all, err = byHandOf(ctx, d, w.A.ID)
	must(t, err)
	for _, l := range all {
		if (l.Number == "") != (l.Reason == "A mistake") {
			t.Errorf("%s stands on %q", l.Reason, l.Number)
		}
		if l.InvoiceID == uuid.Nil {
			continue
		}
		if err := d.WithdrawLine(ctx, w.A.ID, l.ID, anna); !fault.Is(err, "byhand.billed") {
			t.Errorf("withdrawing what is billed: %v", err)
		}
	}
	w.Clock.Set(on(t, "2026-12-02"))
	mustRun(t, d, "2026-11")
	if got := lines(t, w, w.A, "2026-11"); len(got) != 1 {
		t.Errorf("once more: %q", got)
	}
	for _, m := range []string{"2026-10", "2026-11"} {
		if found, err := d.Audit(ctx, month(t, m), ranHere{}); err != nil || len(found.Differences)+found.Pending > 0 {
			t.Errorf("the audit of %s: %+v, %v", m, found, err)
		}
	}
	if _, err := w.Owner.Exec(ctx, "UPDATE central.wholesale_adjustments SET amount_minor = 501 WHERE amount_minor = 500"); err != nil {
		t.Fatal(err)
	}
	if found, err := d.Audit(ctx, month(t, "2026-10"), ranHere{}); err != nil || len(found.Differences) != 1 {
		t.Errorf("the audit of an amount that was changed: %+v, %v", found, err)
	}
	booksBalance(t, w)
}
