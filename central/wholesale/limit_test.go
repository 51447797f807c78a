package wholesale_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestACreditLimit: the running month counts against it; near it the reseller is warned
// once, at it the shop sells nothing new, and a higher limit lifts that. The other reseller,
// and what runs, are not touched.
func TestACreditLimit(t *testing.T) {
	w := tenancytest.New(t)
	ctx, by := t.Context(), audit.Origin{Actor: audit.System("test")}
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	w.Clock.Set(from.Add(36 * time.Hour))
	d := &wholesale.Desk{Central: w.Central}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetLimit(ctx, w.A.ID, "100", by); !fault.Is(err, "limit.no_terms") {
		t.Errorf("without terms: %v", err)
	}
	check(d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "0", From: from}, by))
	for _, of := range []tenancy.Tenant{w.A, w.B} {
		check(d.SetTerms(ctx, of.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: from}, by))
	}
	for _, wrong := range []string{"-5", "0", "many", "1e3"} {
		if err := d.SetLimit(ctx, w.A.ID, wrong, by); !fault.Is(err, "limit.invalid") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	desk := &reseller.Desk{Central: w.Central}
	is := func(what string, stage billing.LimitStage, restriction tenancy.Restriction, alerts int) {
		t.Helper()
		check(d.WatchLimits(ctx, false))
		_, err := desk.EnforceArrears(ctx, reseller.DefaultArrears(), nil)
		check(err)
		a, err := d.AccountOf(ctx, w.A.ID, 1)
		check(err)
		var now, other string
		var told int
		check(w.Owner.QueryRow(ctx, "SELECT a.restriction, b.restriction, (SELECT count(*) FROM central.alerts WHERE kind = 'wholesale.limit') FROM central.tenants a, central.tenants b WHERE a.id = $1 AND b.id = $2", w.A.ID.Number(), w.B.ID.Number()).Scan(&now, &other, &told))
		if a.Limit.Stage != stage || now != string(restriction) || other != "" || told != alerts {
			t.Errorf("%s: %+v, restricted %q and %q, %d alerts", what, a.Limit, now, other, told)
		}
	}
	check(d.SetLimit(ctx, w.A.ID, "100", by))
	is("49 of 100", billing.LimitFine, tenancy.Unrestricted, 0)
	check(d.SetLimit(ctx, w.A.ID, "60", by))
	is("49 of 60", billing.LimitNear, tenancy.Unrestricted, 1)
	is("and again", billing.LimitNear, tenancy.Unrestricted, 1)
	check(d.SetLimit(ctx, w.A.ID, "49.00", by))
	is("49 of 49", billing.LimitReached, tenancy.NoNewSales, 2)
	is("and again", billing.LimitReached, tenancy.NoNewSales, 2)
	check(d.SetLimit(ctx, w.A.ID, "500", by))
	is("49 of 500", billing.LimitFine, tenancy.Unrestricted, 2)
	// An invoice that is not paid counts, too: September's month is October's invoice.
	w.Clock.Set(from.AddDate(0, 1, 1))
	m, err := wholesale.ParseMonth("2026-10")
	check(err)
	_, err = d.Run(ctx, m, by, false)
	check(err)
	check(d.SetLimit(ctx, w.A.ID, "98", by))
	is("49 open and 49 running, of 98", billing.LimitReached, tenancy.NoNewSales, 3)
	check(d.SetLimit(ctx, w.A.ID, "", by))
	is("no limit", billing.LimitFine, tenancy.Unrestricted, 3)
}
