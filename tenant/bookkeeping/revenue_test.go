package bookkeeping_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/recognition"
)

// A quarter of 92.00 from October, seen in November: October is booked, the rest expected.
func TestRevenueByMonth(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(october().From)
	db, ctx, account := w.DB(w.A), t.Context(), uuid.New()
	months := func() (got []string, waiting string) {
		err := db.View(ctx, func(tx *tenancy.Tx) error {
			r, err := bookkeeping.RevenueMonths(ctx, tx, october().From, time.UTC)
			for _, m := range r.Months {
				got = append(got, fmt.Sprint(m.From.Format("01 "), m.Earned.Decimal(), " ", m.Deferred.Decimal(), " ", m.Ahead))
			}
			waiting = fmt.Sprint(r.Waiting)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got, waiting
	}
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, billing) VALUES (?, 'Ida', 'EUR', now(), now(), '{}')`, account).Exec(ctx); err != nil {
			return err
		}
		line := func(awaits bool, minor int64, p billing.Period) billing.Line {
			return billing.Line{Kind: "plan", SubscriptionID: uuid.NewString(), Description: "VPS", Quantity: 1, Unit: eur(minor), Period: p, Awaits: awaits}
		}
		quarter := billing.Quarterly.Period(tx.Now(), 0, time.UTC)
		_, err := invoicing.Issue(ctx, tx, invoicing.Draft{Key: "one", AccountID: account, Currency: "EUR", Lines: []billing.Line{line(false, 9200, quarter), line(true, 500, billing.Period{})}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Set(october().To)
	if err := recognition.Recognise(ctx, db, time.Time{}); err != nil {
		t.Fatal(err)
	}
	got, waiting := months()
	if want := "10 31.00 66.00 false|11 30.00 36.00 true|12 31.00 5.00 true"; strings.Join(got, "|") != want || waiting != "[5.00 EUR]" {
		t.Errorf("%q, and %s waits", got, waiting)
	}
}
