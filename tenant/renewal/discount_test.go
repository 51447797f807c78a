package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// nets are what the renewals of a subscription came to before tax, in order.
func (s *shop) nets(id uuid.UUID) []int64 {
	s.t.Helper()
	return scanAll[int64](s, `SELECT l.net_minor FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
		WHERE l.subscription_id = ? AND l.period_from IS NOT NULL ORDER BY l.period_from`, id)
}

// TestACodeCountsForItsInvoices: the first invoice is that of the order, so a code for
// three is taken off two renewals, and off none after a pass that was made twice.
func TestACodeCountsForItsInvoices(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	three, always, amount, once := s.sell(ida, billing.Monthly, 999), s.sell(ida, billing.Monthly, 999), s.sell(ida, billing.Monthly, 999), s.sell(ida, billing.Monthly, 999)
	for id, d := range map[uuid.UUID]string{
		three:  `{"code":"THREE","ppm":200000,"cycles":3}`,
		always: `{"code":"ALWAYS","ppm":1000000}`,
		amount: `{"code":"FIVE","off":{"Minor":500,"Currency":"EUR"},"cycles":2}`,
		once:   `{"code":"ONCE","ppm":500000,"cycles":1}`,
	} {
		s.exec("UPDATE subscriptions SET discount = ?::jsonb WHERE id = ?", d, id)
	}
	if x := s.get(three); x.NextAmount() != (billing.Money{Minor: 799, Currency: "EUR"}) || x.DiscountLeft() != 2 {
		t.Errorf("next %s, %d left", x.NextAmount(), x.DiscountLeft())
	}
	for s.Clock.Now().Before(january.AddDate(0, 4, 5)) {
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	for id, want := range map[uuid.UUID][]int64{
		three: {799, 799, 999, 999}, always: {0, 0, 0, 0}, amount: {499, 999, 999, 999}, once: {999, 999, 999, 999},
	} {
		if got := s.nets(id); !slices.Equal(got, want) {
			t.Errorf("%s: %d, want %d", s.get(id).Discount.Code, got, want)
		}
	}
	if x := s.get(three); x.NextAmount() != x.Amount || x.DiscountLeft() != 0 {
		t.Errorf("next %s, %d left", x.NextAmount(), x.DiscountLeft())
	}
	if x := s.get(always); !x.NextAmount().IsZero() || x.DiscountLeft() >= 0 || x.State != "active" {
		t.Errorf("next %s, %d left, %s", x.NextAmount(), x.DiscountLeft(), x.State)
	}
	if n := scan[int](s, "SELECT count(*) FROM invoice_lines WHERE description LIKE '%, 20 % off with THREE'"); n != 2 {
		t.Errorf("%d lines say so", n)
	}
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

// TestTwoCodesCountEachForItsInvoices: one is taken off longer than the other.
func TestTwoCodesCountEachForItsInvoices(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	s.exec(`UPDATE subscriptions SET discount = '{"code":"FIFTH","ppm":200000,"cycles":3,"also":[{"code":"FIVE","off":{"Minor":500,"Currency":"EUR"},"cycles":2}]}' WHERE id = ?`, sub)
	if x := s.get(sub); x.NextAmount().Minor != 300 || x.DiscountLeft() != 1 || x.DiscountCodes() != "FIFTH and FIVE" {
		t.Errorf("next %s, %d left of %s", x.NextAmount(), x.DiscountLeft(), x.DiscountCodes())
	}
	for s.Clock.Now().Before(january.AddDate(0, 3, 5)) {
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	if got := s.nets(sub); !slices.Equal(got[:3], []int64{300, 800, 1000}) {
		t.Errorf("%d", got)
	}
}
