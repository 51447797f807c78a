package renewal_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// days gives an account days to pay.
func (s *shop) days(account uuid.UUID, n int) {
	s.t.Helper()
	if err := renewal.SetTerms(s.t.Context(), s.db, account, n, staff); err != nil {
		s.t.Fatal(err)
	}
}

// renewals are the invoices of a subscription's renewals, the oldest first.
func (s *shop) renewals(sub uuid.UUID) (all []invoicing.Invoice) {
	s.t.Helper()
	for _, id := range scanAll[uuid.UUID](s, `SELECT DISTINCT ON (i.issued_at, i.id) i.id FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
		WHERE l.subscription_id = ? AND i.kind = 'invoice' AND i.key LIKE 'renewal/%' ORDER BY i.issued_at, i.id`, sub) {
		s.update(func(tx *tenancy.Tx) error {
			inv, err := invoicing.Get(s.t.Context(), tx, id)
			all = append(all, inv)
			return err
		})
	}
	return all
}

func (s *shop) upcoming(account uuid.UUID, n int) (all []renewal.Foreseen) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		all, err = renewal.Upcoming(s.t.Context(), tx, account, n)
		return err
	})
	return all
}

// TestDaysToPay: an account with 30 days has a month before it pays for it, is asked,
// charged and reminded from the due day on, and turned off as long after it as anybody.
func TestDaysToPay(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	ida, otto, carl := s.customer("ida", false), s.customer("otto", false), s.customer("carl", true)
	s.days(ida, 30)
	s.days(carl, 30)
	sub, usual, card := s.sell(ida, billing.Monthly, 1000), s.sell(otto, billing.Monthly, 1000), s.sell(carl, billing.Monthly, 1000)
	foreseen := s.upcoming(ida, 1)[0]
	end := s.get(sub).Period.To

	s.turn(end.Sub(s.Clock.Now()) - 2*day)
	first := s.renewals(sub)[0]
	if want := first.IssuedAt.AddDate(0, 0, 30); !first.DueAt.Equal(want) || first.Overdue(end.Add(day)) {
		t.Errorf("issued %s, due %s", first.IssuedAt, first.DueAt)
	}
	if d := first.DueAt.Sub(foreseen.DueAt); d < 0 || d > 6*time.Hour { // the agenda is looked at every six hours here
		t.Errorf("foreseen to be due on %s, due on %s", foreseen.DueAt, first.DueAt)
	}
	if inv := s.renewals(usual)[0]; !inv.DueAt.Equal(s.get(usual).Period.To) {
		t.Errorf("without days to pay: due %s", inv.DueAt)
	}

	// The period begins: whoever has days has it, and may do what others may who have paid.
	s.turn(3 * day)
	x := s.get(sub)
	if x.State != renewal.Active || !x.Period.From.Equal(end) || x.Changeable(s.Clock.Now()) != nil {
		t.Errorf("on terms: %s, %v, %v", x.State, x.Period, x.Changeable(s.Clock.Now()))
	}
	if got := s.get(usual); got.State != renewal.PastDue || !got.Period.To.Equal(end) {
		t.Errorf("without: %s, %v", got.State, got.Period)
	}
	if n := s.letters("invoice_due"); n != 1 { // otto's
		t.Errorf("%d letters", n)
	}
	if inv := s.renewals(card)[0]; inv.State != invoicing.Open || inv.Tries != 0 {
		t.Errorf("the card was charged before it is due: %+v", inv)
	}
	if _, err := s.desk.Pause(t.Context(), s.db, renewal.PauseRequest{SubscriptionID: sub, Days: 3}, staff); !fault.Is(err, "pause.unpaid") {
		t.Errorf("paused on credit: %v", err)
	}

	// The next month is invoiced while the first is not due, and the card is charged at the due day.
	s.turn(first.DueAt.Sub(s.Clock.Now()) + day)
	all := s.renewals(sub)
	if x = s.get(sub); len(all) != 2 || x.State != renewal.PastDue {
		t.Fatalf("%d invoices, %s", len(all), x.State)
	}
	if inv := s.renewals(card)[0]; inv.State != invoicing.Paid || inv.PaidAt.Before(inv.DueAt) {
		t.Errorf("the card on the due day: %s, paid %s, due %s", inv.State, inv.PaidAt, inv.DueAt)
	}
	if n := s.letters("invoice_due"); n < 2 {
		t.Errorf("nobody told ida that it is due: %d letters", n)
	}
	s.turn(7*day + 12*time.Hour)
	if s.wants(sub) != "suspended" || s.wants(card) != "active" {
		t.Errorf("a week after the due day: %s, with a card %s", s.wants(sub), s.wants(card))
	}
	begun := s.get(sub).Period
	s.pay(all[0].ID)
	if x = s.get(sub); x.State != renewal.Active || !x.Period.From.Equal(begun.To) || s.wants(sub) != "active" {
		t.Errorf("paid, with the next month under way: %s, %v after %v", x.State, x.Period, begun)
	}
	s.pay(all[1].ID)
	if got := s.get(sub).Period; got != x.Period {
		t.Errorf("what was had already is given again: %v, %v", got, x.Period)
	}
	n := scan[int](s, "SELECT count(*) FROM timeline WHERE kind = 'subscription.renewed' AND subject_id = ?", sub)
	if n != 2 {
		t.Errorf("two months are told %d times", n)
	}
	s.hold()
}

// TestCancelledOnTerms: the end of what somebody with days to pay has is the end of the
// month under way, and the month is owed.
func TestCancelledOnTerms(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.days(ida, 60)
	sub := s.sell(ida, billing.Monthly, 1000)
	s.turn(33 * day)
	at := s.get(sub).Period.To
	x, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Reason: "not_needed"}, staff)
	if err != nil || !x.CancelAt.Equal(at) || !at.After(s.Clock.Now()) {
		t.Fatalf("%s, %v", x.CancelAt, err)
	}
	s.turn(at.Sub(s.Clock.Now()) + day)
	all := s.renewals(sub)
	if x := s.get(sub); x.State != renewal.Ended || len(all) != 1 || all[0].State != invoicing.Open {
		t.Errorf("%s, %+v", x.State, all)
	}
	s.turn(all[0].DueAt.Sub(s.Clock.Now()) + 2*day)
	if n := s.letters("invoice_due"); n != 1 {
		t.Errorf("%d letters about what is owed", n)
	}
	s.pay(all[0].ID)
	if n := scan[int](s, "SELECT count(*) FROM timeline WHERE kind = 'subscription.paid_late'"); n != 0 {
		t.Error("the team is asked to give back what was paid for a month that was had")
	}
	s.hold()
}

// TestEndedOnTerms: who never pays loses the service after the usual days, counted from the
// due day, and everything is given up.
func TestEndedOnTerms(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.days(ida, 90)
	sub := s.sell(ida, billing.Monthly, 1000)
	s.turn((30 + 90 + 21 + 3) * day)
	if x := s.get(sub); x.State != renewal.Ended {
		t.Fatalf("%s", x.State)
	}
	for _, inv := range s.renewals(sub) {
		if inv.State != invoicing.Uncollectible && inv.State != invoicing.Void {
			t.Errorf("%s of %s is %s", inv.Number, inv.IssuedAt, inv.State)
		}
	}
	s.hold()
}

// TestOneInvoiceOnTerms: what shares an invoice is due together; a trial's first invoice and
// hours are due after the days, too; orders are not.
func TestOneInvoiceOnTerms(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Date(2027, 2, 3, 6, 0, 0, 0, time.UTC))
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.days(ida, 14)
	a, b := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 2000)
	s.joins(ida, true)
	foreseen := s.upcoming(ida, 2)
	s.turn(28 * day)
	inv, on := s.shared(a)
	if on != 2 || !inv.DueAt.Equal(inv.IssuedAt.AddDate(0, 0, 14)) {
		t.Errorf("%d on it, issued %s, due %s", on, inv.IssuedAt, inv.DueAt)
	}
	if got := foreseen[0]; len(got.With) != 1 || inv.DueAt.Sub(got.DueAt).Abs() > 6*time.Hour {
		t.Errorf("foreseen: due %s, %d more", got.DueAt, len(got.With))
	}
	s.turn(2 * day)
	for _, id := range []uuid.UUID{a, b} {
		if x := s.get(id); x.State != renewal.Active || x.Period.To.Before(s.Clock.Now()) {
			t.Errorf("%s %v", x.State, x.Period)
		}
	}
	order := scan[time.Duration](s, "SELECT extract(epoch FROM max(due_at - issued_at))::bigint * 1000000000 FROM invoices WHERE key LIKE 'order/%'")
	if order != 7*day {
		t.Errorf("an order is due after %s", order)
	}
	var doc string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT document->>'term_days' FROM invoices WHERE id = ?", inv.ID).Scan(t.Context(), &doc)
	})
	if doc != "14" {
		t.Errorf("the document names %q days", doc)
	}
}

func TestSetTerms(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ida := s.customer("ida", false)
	for _, n := range []int{-1, 91} {
		if err := renewal.SetTerms(t.Context(), s.db, ida, n, staff); !fault.Is(err, "terms.invalid") {
			t.Errorf("%d days: %v", n, err)
		}
	}
	if err := renewal.SetTerms(t.Context(), other.db, ida, 30, staff); !fault.Is(err, "account.not_found") {
		t.Errorf("the neighbour's: %v", err)
	}
	s.days(ida, 30)
	s.days(ida, 30)
	yes := true
	if err := renewal.SetRhythm(t.Context(), s.db, ida, renewal.Rhythm{Together: &yes}, staff); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](s, "SELECT term_days FROM accounts WHERE id = ?", ida); n != 30 {
		t.Errorf("another setting made it %d", n)
	}
	w.Clock.Advance(time.Hour)
	s.days(ida, 0)
	told := scanAll[string](s, "SELECT text FROM timeline WHERE kind = 'account.terms_changed' ORDER BY at, key")
	if len(told) != 2 || !slices.ContainsFunc(told, func(x string) bool { return strings.Contains(x, "30 days") }) {
		t.Errorf("told: %q", told)
	}
}

// TestCancelledBeforeAnybodyLooked: whoever has days to pay and cancels when the period has
// begun, and the agenda was not looked at yet, has the period as anybody else who cancels; also
// when the days were taken back meanwhile, for an invoice that is made keeps its own.
func TestCancelledBeforeAnybodyLooked(t *testing.T) {
	for _, taken := range []bool{false, true} {
		w := tenancytest.New(t)
		s := open(t, w, w.A)
		ida := s.customer("ida", false)
		s.days(ida, 30)
		sub := s.sell(ida, billing.Monthly, 1000)
		end := s.get(sub).Period.To
		s.turn(end.Sub(s.Clock.Now()) - day)
		inv := s.renewals(sub)[0]
		if taken {
			s.days(ida, 0)
		}
		s.Clock.Set(end.Add(time.Minute))
		x, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Reason: "not_needed"}, staff)
		if err != nil || x.State != renewal.Active || !x.CancelAt.After(end.Add(27*day)) {
			t.Fatalf("days taken back %t: %s, ends %s: %v", taken, x.State, x.CancelAt, err)
		}
		if got := s.renewals(sub); len(got) != 1 || got[0].State != invoicing.Open || got[0].ID != inv.ID {
			t.Errorf("%+v", got)
		}
		s.turn(33 * day)
		if got := s.get(sub); got.State != renewal.Ended {
			t.Errorf("%s", got.State)
		}
		s.hold()
	}
}

// TestAShorterCycleOnTerms: a year that is owed is not changed to months, nor moved to a bill day
// that comes sooner: paid later, it would be there again beside its rest, which is credit then.
// Once it is paid both can be had; so can what ends no sooner, also while it is owed.
func TestAShorterCycleOnTerms(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	s.exec("UPDATE plans SET downgrade = 'credit'")
	s.policy(func(p *renewal.Policy) { p.Shorten = true })
	ida := s.customer("ida", false)
	s.days(ida, 60)
	s.billDay(ida, 1)
	sub := s.sell(ida, billing.Annual, 10000)
	s.work()
	s.turn(s.get(sub).Period.To.Sub(s.Clock.Now()) + 2*day)
	year := s.get(sub).Period
	if year.To.Before(s.Clock.Now()) {
		t.Fatalf("the year does not run: %v", year)
	}
	months := renewal.ChangeAsk{SubscriptionID: sub, Cycle: billing.Monthly}
	sooner := renewal.ChangeAsk{SubscriptionID: sub, ToBillDay: true}
	for _, ask := range []renewal.ChangeAsk{months, sooner} {
		if q, err := s.desk.QuoteChange(t.Context(), s.db, ask); !fault.Is(err, "change.unpaid") {
			t.Errorf("%+v while it is owed: back %s, %v", ask, q.Back, err)
		}
	}
	if q := s.quote(sub, "m", "", nil); q.Price.AtRenewal || !q.Price.NextAt.Equal(year.To) {
		t.Errorf("a larger plan for the same year: %+v", q.Price)
	}
	s.days(ida, 0) // what is owed is owed all the same
	if _, err := s.desk.QuoteChange(t.Context(), s.db, months); !fault.Is(err, "change.unpaid") {
		t.Errorf("without days to pay any more: %v", err)
	}
	s.settle(s.renewals(sub)[0].ID)
	for _, ask := range []renewal.ChangeAsk{months, sooner} {
		q, err := s.desk.QuoteChange(t.Context(), s.db, ask)
		if err != nil || q.Back.Minor < 1000 || !q.Price.NextAt.Before(year.To) {
			t.Errorf("%+v once it is paid: back %s, until %s, %v", ask, q.Back, q.Price.NextAt, err)
		}
	}
	s.accept(s.quote(sub, "", billing.Monthly, nil))
	s.work()
	if x := s.get(sub); x.Cycle != billing.Monthly || x.Period.To.After(s.Clock.Now().Add(32*day)) {
		t.Errorf("%s, %v", x.Cycle, x.Period)
	}
	s.books()
}
