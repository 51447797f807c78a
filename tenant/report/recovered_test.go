package report_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/report"
)

func TestWhatWasRecovered(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	mustOpen(t, db)
	const account = "00000000-0000-7000-8000-000000000002"
	n := 0
	// paid is an invoice that was paid so many days after it was due, and with what.
	paid := func(key, via, currency string, minor, refunded int, days float64, week bool) {
		t.Helper()
		n++
		invoice := uuid.New()
		must(t, db.Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(`INSERT INTO invoices (id, key, kind, account_id, state, number, currency, net_minor, tax_minor, total_minor, paid_minor, credited_minor, document, hash, issued_at, due_at, week_at, tries, created_at, changed_at)
				VALUES (?, ?, 'invoice', ?, 'paid', ?, ?, ?, 0, ?, ?, 0, '{}', '', ?, ?, ?, 0, ?, ?)`, invoice, fmt.Sprintf("renewal/x/%d", n), account, fmt.Sprint("R", n), currency, minor, minor, minor,
				tx.Now().AddDate(0, 0, -20), tx.Now().AddDate(0, 0, -15), map[bool]any{true: tx.Now().AddDate(0, 0, -14)}[week], tx.Now(), tx.Now()).Exec(t.Context())
			if err != nil {
				return err
			}
			at := tx.Now().AddDate(0, 0, -15).Add(time.Duration(days * float64(24*time.Hour)))
			if key != "" {
				key = "charge/" + invoice.String() + key
			} else {
				key = "pay/" + invoice.String()
			}
			_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, via, created_at, settled_at, changed_at)
				VALUES (?, ?, ?, ?, 'transfer', ?, ?, ?, 'succeeded', '', '', false, nullif(?, ''), ?, ?, ?)`, uuid.New(), key, invoice, account, currency, minor, refunded, via, at, at, at).Exec(t.Context())
			return err
		}))
	}
	paid("/0", "", "EUR", 5000, 0, 0.1, false) // the first charge: nothing was late
	paid("/2", "", "EUR", 1000, 0, 3, false)
	paid("/2", "", "EUR", 1500, 500, 5, true)
	paid("/method/"+uuid.NewString(), "", "EUR", 700, 0, 2, false)
	paid("", "link/failed", "EUR", 300, 0, 1, false)
	paid("", "link/failed", "USD", 900, 0, 1, true)
	paid("", "", "EUR", 200, 0, 4, false)
	paid("", "link/due", "EUR", 400, 0, -1, false) // before it was due
	for _, c := range []struct {
		who  tenancy.Tenant
		want []string
	}{
		{w.A, []string{"try/3 2 20.00 EUR, 10.00 after a week, 4.0 days", "card 1 7.00 EUR, 0.00 after a week, 2.0 days", "link/failed 1 3.00 EUR, 0.00 after a week, 1.0 days", "transfer 1 2.00 EUR, 0.00 after a week, 4.0 days", "link/failed 1 9.00 USD, 9.00 after a week, 1.0 days"}},
		{w.B, nil},
	} {
		var got []string
		must(t, w.DB(c.who).View(t.Context(), func(tx *tenancy.Tx) error {
			all, err := report.Recovered(t.Context(), tx, tx.Now().AddDate(0, 0, -30), tx.Now())
			for _, r := range all {
				got = append(got, fmt.Sprintf("%s %d %s %s, %s after a week, %.1f days", r.Rule, r.Payments, r.Amount.Decimal(), r.Amount.Currency, r.AfterWeek.Decimal(), r.Days))
				if r.Words() == "" {
					t.Errorf("%s has no words", r.Rule)
				}
			}
			return err
		}))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.who.Slug, got)
		}
	}
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		all, err := report.Recovered(t.Context(), tx, tx.Now().AddDate(0, 0, -5), tx.Now())
		if len(all) != 0 {
			t.Errorf("of another time: %v", all)
		}
		return err
	}))
}
