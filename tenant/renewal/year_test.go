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
	"github.com/ezscale/ezscale/tenant/renewal"
)

const day = 24 * time.Hour

// january begins the year on the anchor that is hardest to keep.
var january = time.Date(2027, 1, 31, 9, 30, 0, 0, time.UTC)

func TestAYear(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ida, otto := s.customer("ida", true), s.customer("otto", false)
	monthly, quarterly, annual := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Quarterly, 2700), s.sell(ida, billing.Annual, 9900)
	byHand := s.sell(otto, billing.Monthly, 500)
	foreign := other.sell(other.customer("eve", true), billing.Monthly, 100)
	for s.Clock.Now().Before(january.AddDate(1, 0, -1)) {
		s.turn(day)
		other.tick()
		// Otto sends the money himself, two days after it is due.
		for _, id := range scanAll[uuid.UUID](s, "SELECT id FROM invoices WHERE state = 'open' AND account_id = ? AND due_at <= ?", otto, s.Clock.Now().Add(-2*day)) {
			s.pay(id)
		}
	}
	want := []string{
		"02-28–03-31 paid", "03-31–04-30 paid", "04-30–05-31 paid", "05-31–06-30 paid", "06-30–07-31 paid", "07-31–08-31 paid",
		"08-31–09-30 paid", "09-30–10-31 paid", "10-31–11-30 paid", "11-30–12-31 paid", "12-31–01-31 paid", "01-31–02-28 open",
	}
	want[11] = "01-31–02-29 open"
	for _, id := range []uuid.UUID{monthly, byHand} {
		if got := s.periods(id); !slices.Equal(got, want) {
			t.Errorf("monthly: %q", got)
		}
	}
	if got := s.periods(quarterly); !slices.Equal(got, []string{"04-30–07-31 paid", "07-31–10-31 paid", "10-31–01-31 paid", "01-31–04-30 open"}) {
		t.Errorf("quarterly: %q", got)
	}
	if got := s.periods(annual); !slices.Equal(got, []string{"01-31–01-31 open"}) || s.letters("renewal_upcoming") != 2 {
		t.Errorf("annual: %q, %d letters", got, s.letters("renewal_upcoming"))
	}
	if got := other.periods(foreign); len(got) != 12 {
		t.Errorf("the other shop: %q", got)
	}
	for _, id := range []uuid.UUID{monthly, quarterly, annual, byHand} {
		if x := s.get(id); x.State != renewal.Active || s.wants(id) != "active" {
			t.Errorf("%s is %s, its service %s", x.Label, x.State, s.wants(id))
		}
	}
	if n := s.letters("invoice_due"); n != 11 {
		t.Errorf("Otto was written to %d times", n)
	}
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

func scanAll[T any](s *shop, query string, args ...any) (v []T) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { return tx.NewRaw(query, args...).Scan(s.t.Context(), &v) })
	return v
}

func TestADeclinedCard(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.listen()
	ida := s.customer("ida", true)
	sub := s.sell(ida, billing.Monthly, 1000)
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(sub).Period.To
	until := func(days int) {
		s.t.Helper()
		s.turn(due.Add(time.Duration(days)*day + 12*time.Hour).Sub(s.Clock.Now()))
	}

	until(0)
	if x := s.get(sub); x.State != renewal.PastDue || s.wants(sub) != "active" || s.letters("payment_failed") != 1 {
		t.Errorf("on the first day: %s, %s, %d letters", x.State, s.wants(sub), s.letters("payment_failed"))
	}
	until(6)
	if x := s.get(sub); x.State != renewal.PastDue || s.letters("payment_failed") != 4 {
		t.Errorf("after six days: %s, %d letters", x.State, s.letters("payment_failed"))
	}
	until(8) // the last try is in the morning after the seventh day
	if x := s.get(sub); x.State != renewal.Suspended || s.wants(sub) != "suspended" || s.letters("service_suspended_unpaid") != 1 || s.letters("payment_failed") != 5 {
		t.Errorf("after the last: %s, %s, %d letters", x.State, s.wants(sub), s.letters("payment_failed"))
	}
	until(9)
	s.pay(scan[uuid.UUID](s, "SELECT id FROM invoices WHERE state = 'open'"))
	if x := s.get(sub); x.State != renewal.Active || s.wants(sub) != "active" || !x.Period.From.Equal(due) {
		t.Errorf("paid: %s, %s, %v", x.State, s.wants(sub), x.Period)
	}

	// The next one is never paid.
	due = s.get(sub).Period.To
	until(20)
	if x := s.get(sub); x.State != renewal.Suspended {
		t.Errorf("after twenty days: %s", x.State)
	}
	until(22)
	if x := s.get(sub); x.State != renewal.Ended || s.wants(sub) != "terminated" || s.letters("subscription_ended") != 1 {
		t.Errorf("in the end: %s, %s", x.State, s.wants(sub))
	}
	if got := s.periods(sub); !slices.Equal(got, []string{"02-28–03-31 paid", "03-31–04-30 uncollectible"}) {
		t.Errorf("%q", got)
	}
	s.turn(60 * day)
	if got := s.periods(sub); len(got) != 2 {
		t.Errorf("after the end: %q", got)
	}
	told := []string{"started active", "past_due past_due", "renewed active", "past_due past_due", "ended ended"}
	for i := range told {
		told[i] = "subscription." + told[i]
	}
	if got := s.heard("subscription."); !slices.Equal(got, told) {
		t.Errorf("programs heard %q", got)
	}
	if got := s.heard("invoice."); !slices.Equal(got, []string{"invoice.issued open", "invoice.paid paid", "invoice.issued open", "invoice.paid paid", "invoice.issued open"}) {
		t.Errorf("and of invoices %q", got)
	}
}

func TestNobodyIsSuspendedForOurOwnOutage(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	due := s.get(sub).Period.To
	s.down = true
	s.turn(due.Add(9 * day).Sub(s.Clock.Now()))
	if x := s.get(sub); x.State != renewal.Active || s.wants(sub) != "active" {
		t.Fatalf("with the gateway down: %s, %s", x.State, s.wants(sub))
	}
	s.down = false
	s.turn(day)
	if x := s.get(sub); x.State != renewal.Active || !x.Period.From.Equal(due) {
		t.Errorf("afterwards: %s, %v", x.State, x.Period)
	}
	if n := scan[int](s, "SELECT count(*) FROM invoices WHERE key LIKE 'renewal/%'"); n != 1 {
		t.Errorf("%d invoices", n)
	}

	// Nor is anybody whom no letter reached.
	otto := s.sell(s.customer("otto", false), billing.Monthly, 500)
	s.mailsOut = false
	due = s.get(otto).Period.To
	s.turn(due.Add(15 * day).Sub(s.Clock.Now()))
	if x := s.get(otto); x.State != renewal.PastDue || s.wants(otto) != "active" {
		t.Errorf("without letters: %s, %s", x.State, s.wants(otto))
	}
	s.mailsOut = true
	s.turn(2 * day)
	if x := s.get(otto); x.State != renewal.Suspended {
		t.Errorf("with letters: %s", x.State)
	}
	s.turn(11 * day)
	if x := s.get(otto); x.State != renewal.Suspended {
		t.Errorf("a late suspension leaves as much time: %s", x.State)
	}
	s.turn(5 * day)
	if x := s.get(otto); x.State != renewal.Ended {
		t.Errorf("in the end: %s", x.State)
	}
}
