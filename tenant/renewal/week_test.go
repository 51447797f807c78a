package renewal_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

var somebody = audit.Origin{Actor: audit.System("test")}

// until lets time pass to a moment so many days after another.
func (s *shop) until(from time.Time, days float64) {
	s.t.Helper()
	s.turn(from.Add(time.Duration(days * float64(day))).Sub(s.Clock.Now()))
}

func (s *shop) week(invoice, account uuid.UUID) (time.Time, error) {
	return s.desk.GiveWeek(s.t.Context(), s.db, invoice, account, somebody)
}

// policy changes the shop's.
func (s *shop) policy(change func(p *renewal.Policy)) {
	s.t.Helper()
	p := renewal.DefaultPolicy()
	change(&p)
	if err := renewal.SavePolicy(s.t.Context(), s.db, p, somebody); err != nil {
		s.t.Fatal(err)
	}
}

const openRenewal = "SELECT id FROM invoices WHERE state = 'open' AND key LIKE 'renewal/%'"

func TestAWeekMore(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ida := s.customer("ida", true)
	sub := s.sell(ida, billing.Monthly, 1000)
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(sub).Period.To
	s.until(due, 2.5) // two tries failed
	inv := scan[uuid.UUID](s, openRenewal)
	if n := s.tries(); n != 2 {
		t.Fatalf("%d tries", n)
	}
	for what, err := range map[string]error{
		"another's": second(s.week(inv, uuid.New())), "another shop's": second(other.week(inv, uuid.Nil)), "unknown": second(s.week(uuid.New(), ida)),
	} {
		if !fault.Is(err, "invoice.not_found") {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := scan[uuid.UUID](s, "SELECT id FROM invoices WHERE key LIKE 'order/%'")
	if _, err := s.week(first, ida); !fault.Is(err, "week.nothing_due") {
		t.Errorf("what is paid: %v", err)
	}

	// Eight clicks at once are one week.
	var clicks sync.WaitGroup
	for range 8 {
		clicks.Go(func() {
			if off, err := s.week(inv, ida); err != nil || !off.Equal(due.Add(14*day)) {
				t.Errorf("clicked: %s, %v", off, err)
			}
		})
	}
	clicks.Wait()
	asked := scan[time.Time](s, "SELECT week_at FROM invoices WHERE id = ?", inv)
	if n := scan[int](s, "SELECT count(*) FROM audit_entries WHERE action = 'invoice.week_given'"); n != 1 || s.letters("more_time") != 1 {
		t.Errorf("%d entries, %d letters", n, s.letters("more_time"))
	}
	s.until(due, 9)
	if x := s.get(sub); s.tries() != 2 || x.State != renewal.PastDue || s.wants(sub) != "active" {
		t.Errorf("within the week: %d tries, %s", s.tries(), x.State)
	}
	if _, err := s.week(inv, ida); err != nil || !scan[time.Time](s, "SELECT week_at FROM invoices WHERE id = ?", inv).Equal(asked) {
		t.Errorf("once more: %v", err)
	}
	s.until(due, 13.5)
	if n := s.tries(); n != 4 { // on the tenth and the twelfth day
		t.Errorf("afterwards %d tries", n)
	}
	if x := s.get(sub); x.State != renewal.PastDue {
		t.Errorf("before the week is over: %s", x.State)
	}
	s.until(due, 15.5)
	if x := s.get(sub); x.State != renewal.Suspended {
		t.Errorf("a week later: %s", x.State)
	}
	s.until(due, 24.5)
	if n := s.letters("subscription_ending"); n != 0 {
		t.Errorf("announced too early: %d letters", n)
	}
	s.until(due, 27)
	if x := s.get(sub); x.State != renewal.Suspended || s.letters("subscription_ending") != 1 {
		t.Errorf("before the end: %s, announced by %d letters", x.State, s.letters("subscription_ending"))
	}
	s.until(due, 31)
	if x := s.get(sub); x.State != renewal.Ended {
		t.Errorf("in the end: %s", x.State)
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestAWeekIsGivenOnceAPeriodAndNotTooLate(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida, otto := s.customer("ida", false), s.customer("otto", false)
	sub, late := s.sell(ida, billing.Monthly, 1000), s.sell(otto, billing.Monthly, 1000)
	due := s.get(sub).Period.To
	s.until(due, -2)
	of := func(account uuid.UUID) uuid.UUID {
		t.Helper()
		return scan[uuid.UUID](s, openRenewal+" AND account_id = ?", account)
	}
	// Before it is due, and then the invoice is withdrawn and made again.
	if _, err := s.week(of(ida), ida); err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Reason: "other"}, somebody); err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.Resume(t.Context(), s.db, sub, uuid.Nil, somebody); err != nil {
		t.Fatal(err)
	}
	s.until(due, -1)
	if _, err := s.week(of(ida), ida); !fault.Is(err, "week.given_before") {
		t.Errorf("a second week for one period: %v", err)
	}
	s.until(due, 8)
	if _, err := s.week(of(otto), otto); !fault.Is(err, "week.too_late") || s.get(late).State != renewal.Suspended {
		t.Errorf("after the suspension: %v, %s", err, s.get(late).State)
	}
	s.pay(of(otto))
	due = s.get(late).Period.To
	s.policy(func(p *renewal.Policy) { p.Week = false })
	s.until(due, 1)
	if _, err := s.week(of(otto), otto); !fault.Is(err, "week.not_offered") {
		t.Errorf("switched off: %v", err)
	}
	s.update(func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(t.Context(), tx, of(otto))
		if err != nil {
			return err
		}
		v, err := renewal.WeekOf(t.Context(), tx, inv)
		if v.May {
			t.Error("it is offered")
		}
		return err
	})
}

func TestALateFeeIsAskedForOnce(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	sub := s.sell(ida, billing.Monthly, 1000)
	due := s.get(sub).Period.To
	s.until(due, -1) // the first invoice is made before fees are switched on
	s.policy(func(p *renewal.Policy) {
		p.Fee = billing.LateFee{After: 10 * day, Ppm: 50_000, Amounts: []billing.Money{{Minor: 250, Currency: "EUR"}}}
	})
	fees := func() []string {
		return scanAll[string](s, "SELECT state || ' ' || total_minor || ' ' || tax_minor FROM invoices WHERE key LIKE 'late_fee/%' ORDER BY issued_at")
	}
	s.until(due, 12)
	if got := fees(); len(got) != 0 {
		t.Errorf("for an invoice from before: %q", got)
	}
	s.pay(scan[uuid.UUID](s, openRenewal))
	due = s.get(sub).Period.To
	s.until(due, 1)
	if _, err := s.week(scan[uuid.UUID](s, openRenewal), ida); err != nil {
		t.Fatal(err)
	}
	s.until(due, 16.5)
	if got := fees(); len(got) != 0 {
		t.Errorf("a week more moves the fee: %q", got)
	}
	s.until(due, 20)
	if got := fees(); len(got) != 1 || got[0] != "open 250 0" {
		t.Fatalf("the fee: %q", got)
	}
	s.pay(scan[uuid.UUID](s, openRenewal))
	if x := s.get(sub); x.State != renewal.Active || s.wants(sub) != "active" {
		t.Errorf("the fee keeps it off: %s", x.State)
	}
	// What is never paid is given up with its fee.
	due = s.get(sub).Period.To
	s.until(due, 25)
	if got := fees(); len(got) != 2 || got[1] != "uncollectible 250 0" || s.get(sub).State != renewal.Ended {
		t.Errorf("in the end: %q, %s", got, s.get(sub).State)
	}
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}
