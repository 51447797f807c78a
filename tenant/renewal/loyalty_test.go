package renewal_test

import (
	"slices"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func TestLoyaltyIsTakenOffRenewals(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	ida, coupon := s.customer("ida", true), s.customer("cora", true)
	sub, coded := s.runs(ida, 1000), s.runs(coupon, 1000)
	foreign := other.sell(other.customer("eve", true), billing.Monthly, 1000)
	s.exec("UPDATE orders SET paid_at = ?", january)
	other.exec("UPDATE orders SET paid_at = ?", january)
	s.exec(`UPDATE subscriptions SET discount = '{"code": "HALF", "ppm": 500000, "cycles": 3}' WHERE id = ?`, coded)
	s.policy(func(p *renewal.Policy) {
		p.Loyalty = billing.Loyalty{{Months: 1, Ppm: 100_000}, {Months: 3, Ppm: 200_000}}
	})
	var foreseen []int64
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.Upcoming(t.Context(), tx, ida, 4)
		for _, f := range all {
			foreseen = append(foreseen, f.Net.Minor)
		}
		return err
	})
	nets := func(s *scene, sub any) []int64 {
		return scanAll[int64](s.shop, "SELECT i.net_minor FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id WHERE l.subscription_id = ? AND i.key LIKE 'renewal/%' AND i.state <> 'void' ORDER BY l.period_from", sub)
	}
	// The middle of the second month, which was invoiced with a tenth off.
	s.until(january, 45)
	other.tick()
	q := s.quote(sub, "m", "", nil)
	x := s.get(sub)
	old, _ := billing.Rest(billing.Money{Minor: 900, Currency: "EUR"}, x.Period, q.At)
	now, _ := billing.Rest(billing.Money{Minor: 1800, Currency: "EUR"}, x.Period, q.At)
	if q.Net.Minor != now.Minor-old.Minor {
		t.Errorf("a change costs %d, want %d less %d", q.Net.Minor, now.Minor, old.Minor)
	}
	// Paid ahead costs what paying in turn would, as long as it is the same.
	if q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 1}); err != nil || q.Net.Minor != 900 {
		t.Errorf("one ahead: %s, %v", q.Net, err)
	}
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 3}); code(err) != "prepay.code_ends" {
		t.Errorf("over a step: %v", err)
	}
	s.until(january, 125)
	other.tick()
	if got := nets(s, sub); !slices.Equal(got, []int64{900, 900, 800, 800}) || !slices.Equal(got, foreseen) {
		t.Errorf("renewals come to %v, foreseen %v", got, foreseen)
	}
	if got := nets(s, coded); !slices.Equal(got, []int64{500, 500, 800, 800}) {
		t.Errorf("with a code that takes more off: %v", got)
	}
	if got := nets(other, foreign); slices.Contains(got, 900) {
		t.Errorf("the other shop's: %v", got)
	}
	// Switched off, what is paid keeps what it was invoiced with.
	s.policy(func(p *renewal.Policy) { p.Loyalty = nil })
	q = s.quote(sub, "m", "", nil)
	x = s.get(sub)
	paid, _ := billing.Rest(billing.Money{Minor: 800, Currency: "EUR"}, x.Period, q.At)
	if len(q.Price.Lines) < 1 || q.Price.Lines[0].Net.Minor != -paid.Minor {
		t.Errorf("what is not used is worth %v, want %s", q.Price.Lines, paid)
	}
	s.until(x.Period.To, 1)
	if got := nets(s, sub); got[len(got)-1] != 1000 {
		t.Errorf("afterwards: %v", got)
	}
	s.books()
}
