package renewal_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func TestPayingAheadIsOneInvoice(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	s.listen()
	ida := s.customer("ida", true)
	sub := s.runs(ida, 1000)
	end := s.get(sub).Period.To
	s.until(end, -2) // the next invoice is made
	ahead := func(n int) (renewal.ChangeQuote, error) {
		return s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Prepay: n})
	}
	for _, n := range []int{-1, 25} {
		if _, err := ahead(n); !fault.Is(err, "prepay.bad_cycles") {
			t.Errorf("%d cycles: %v", n, err)
		}
	}
	if _, err := other.desk.QuoteChange(t.Context(), other.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 3}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another shop's: %v", err)
	}
	q, err := ahead(12)
	if err != nil || q.Net.Minor != 12_000 || len(q.Price.Lines) != 12 || !q.Price.Lines[0].Period.From.Equal(end) {
		t.Fatalf("twelve months come to %s from %v: %v", q.Net, q.Price.From, err)
	}
	s.accept(q)
	s.work()
	x := s.get(sub)
	if x.Change != nil || !x.Period.To.Equal(billing.Monthly.Period(january, 12, x.Zone()).To) || x.Renewals != 12 {
		t.Fatalf("paid until %s, %d renewals", x.Period.To, x.Renewals)
	}
	if got := scan[string](s.shop, "SELECT state FROM invoices WHERE key LIKE 'renewal/%'"); got != "void" {
		t.Errorf("the invoice that was made ahead is %s", got)
	}
	if got := s.heard("subscription."); !slices.Equal(got, []string{"subscription.started active", "subscription.change_ordered active", "subscription.renewed active"}) {
		t.Errorf("programs heard %q", got)
	}
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.Upcoming(t.Context(), tx, ida, 1)
		if len(all) != 1 || !all[0].Period.From.Equal(x.Period.To) {
			t.Errorf("foreseen: %+v", all)
		}
		return err
	})
	s.until(january, 200)
	if n := scan[int](s.shop, "SELECT count(*) FROM invoices WHERE key LIKE 'renewal/%'"); n != 1 {
		t.Errorf("%d invoices while it is paid ahead", n)
	}
	// An upgrade is for all that is paid ahead: the rest of the month, and six months.
	up := s.quote(sub, "m", "", nil)
	if paid := len(up.Price.Lines); paid != 2*7 {
		t.Errorf("an upgrade has %d lines", paid)
	}
	s.until(x.Period.To, 1)
	if got := s.get(sub); got.State != renewal.Active || !got.Period.From.Equal(x.Period.To) {
		t.Errorf("afterwards it renews: %s, from %s", got.State, got.Period.From)
	}
	s.books()
}

func TestPayingAheadThatNobodyPaysLapses(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	otto := s.customer("otto", false)
	sub := s.runs(otto, 1000)
	s.declines = func(uuid.UUID) bool { return true }
	s.exec(`UPDATE subscriptions SET discount = '{"code": "HALF", "ppm": 500000, "cycles": 3}'`)
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 3}); !fault.Is(err, "prepay.code_ends") {
		t.Errorf("a code ends in between: %v", err)
	}
	q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 2})
	if err != nil || q.Net.Minor != 1000 {
		t.Fatalf("two at half the price: %s, %v", q.Net, err)
	}
	s.accept(q)
	if x := s.get(sub); x.Change == nil || x.Change.Cycles != 2 {
		t.Fatalf("it waits for its payment: %+v", x.Change)
	}
	s.turn(2 * day)
	if x := s.get(sub); x.Change != nil || x.Renewals != 0 || scan[string](s.shop, "SELECT state FROM invoices WHERE key LIKE 'change/%'") != "void" {
		t.Errorf("lapsed: %+v, %d renewals", x.Change, x.Renewals)
	}
	s.books()
}
