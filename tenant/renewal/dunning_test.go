package renewal_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// tries are the charges that were asked for of an account's renewals.
func (s *shop) tries() (n int) {
	s.t.Helper()
	err := s.Owner.QueryRow(s.t.Context(), "SELECT count(*) FROM river.river_job WHERE kind = 'payment.charge' AND (metadata->>'tenant')::bigint = $1", s.who.ID.Number()).Scan(&n)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestWhatTheBankSaysDecidesWhetherItIsTriedAgain(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	for i, c := range []struct {
		refusal       billing.Refusal
		tries, counts int
		asked         bool
	}{{billing.RefusedHard, 1, 1, false}, {billing.RefusedUnconfirmed, 1, 0, true}} {
		s := open(t, w, []tenancy.Tenant{w.A, w.B}[i])
		sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
		s.declines, s.refusal = func(uuid.UUID) bool { return true }, c.refusal
		due := s.get(sub).Period.To
		until := func(days int) {
			s.t.Helper()
			s.turn(due.Add(time.Duration(days)*day + 12*time.Hour).Sub(s.Clock.Now()))
		}
		until(6)
		counted := scan[int](s, "SELECT tries FROM invoices WHERE key LIKE 'renewal/%'")
		asked := scan[bool](s, "SELECT asked_at IS NOT NULL FROM invoices WHERE key LIKE 'renewal/%'")
		if s.tries() != c.tries || counted != c.counts || asked != c.asked {
			t.Errorf("%s: tried %d times, %d counted, asked %v", c.refusal, s.tries(), counted, asked)
		}
		if s.letters("payment_failed") != 1 || s.letters("invoice_due") != 2 || s.get(sub).State != renewal.PastDue {
			t.Errorf("%s: %d and %d letters, %s", c.refusal, s.letters("payment_failed"), s.letters("invoice_due"), s.get(sub).State)
		}
		until(7)
		if x := s.get(sub); x.State != renewal.Suspended || s.wants(sub) != "suspended" {
			t.Errorf("%s, after a week: %s", c.refusal, x.State)
		}
		s.pay(scan[uuid.UUID](s, "SELECT id FROM invoices WHERE state = 'open'"))
		if x := s.get(sub); x.State != renewal.Active || s.wants(sub) != "active" {
			t.Errorf("%s, paid: %s", c.refusal, x.State)
		}
		w.Clock.Set(january)
	}
}

func TestATryWithANewCardLeavesTheScheduleAsItIs(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(sub).Period.To
	s.turn(due.Add(6 * time.Hour).Sub(s.Clock.Now()))
	inv := scan[uuid.UUID](s, "SELECT id FROM invoices WHERE state = 'open'")
	extra := payment.FailedTry{InvoiceID: inv, MethodID: uuid.New(), Decline: billing.RefusedSoft, Code: "insufficient_funds"}
	for range 2 {
		if err := s.desk.TryFailed(t.Context(), s.db, extra); err != nil {
			t.Fatal(err)
		}
	}
	if n := scan[int](s, "SELECT tries FROM invoices WHERE id = ?", inv); n != 1 || s.letters("payment_failed") != 2 {
		t.Errorf("%d tries are counted, %d letters", n, s.letters("payment_failed"))
	}
	extra.MethodID, extra.Decline = uuid.New(), billing.RefusedUnconfirmed
	if err := s.desk.TryFailed(t.Context(), s.db, extra); err != nil {
		t.Fatal(err)
	}
	s.turn(3 * day)
	if n := s.tries(); n != 1 || s.letters("payment_failed") != 3 || s.get(sub).State != renewal.PastDue {
		t.Errorf("what the customer must confirm was tried %d times, %d letters, %s", n, s.letters("payment_failed"), s.get(sub).State)
	}
}

// TestFailedTriesTogether: what one try changes the next one of the same invoice sees, also
// where all were read together.
func TestFailedTriesTogether(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(s.sell(s.customer("ida", true), billing.Monthly, 1000)).Period.To
	s.sell(s.customer("ben", true), billing.Monthly, 1000)
	s.turn(due.Add(6 * time.Hour).Sub(s.Clock.Now()))
	of := func(name string) uuid.UUID {
		return scan[uuid.UUID](s, "SELECT i.id FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.state = 'open' AND a.name ILIKE ?", name+"%")
	}
	ida, ben := of("ida"), of("ben")
	failed := func(inv uuid.UUID, try int) payment.FailedTry {
		return payment.FailedTry{InvoiceID: inv, PaymentID: uuid.New(), Try: try, Decline: billing.RefusedSoft, Code: "card_declined"}
	}
	for range 2 {
		err := s.desk.TryFailedMany(t.Context(), s.db, []payment.FailedTry{failed(ida, 1), failed(ben, 1), failed(ida, 1), failed(ida, 2), failed(uuid.New(), 1)})
		if err != nil {
			t.Fatal(err)
		}
	}
	tries := func(inv uuid.UUID) int { return scan[int](s, "SELECT tries FROM invoices WHERE id = ?", inv) }
	if tries(ida) != 3 || tries(ben) != 2 || s.letters("payment_failed") != 5 {
		t.Errorf("%d and %d tries are counted, %d letters", tries(ida), tries(ben), s.letters("payment_failed"))
	}
	if n := scan[int](s, "SELECT count(*) FROM subscriptions WHERE state = 'past_due'"); n != 2 {
		t.Errorf("%d are past due", n)
	}
}
