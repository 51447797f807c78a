package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func (s *shop) pause(sub, account uuid.UUID, days int) (renewal.Subscription, error) {
	return s.desk.Pause(s.t.Context(), s.db, renewal.PauseRequest{SubscriptionID: sub, AccountID: account, Days: days}, somebody)
}

func TestAPauseLosesNothing(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	s.listen()
	ida := s.customer("ida", true)
	sub := s.sell(ida, billing.Monthly, 1000)
	end := s.get(sub).Period.To // 28 February
	s.until(january, 10)
	for what, err := range map[string]error{
		"another's": second(s.pause(sub, uuid.New(), 5)), "another shop's": second(other.pause(sub, uuid.Nil, 5)),
	} {
		if !fault.Is(err, "subscription.not_found") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.pause(sub, ida, 5); !fault.Is(err, "pause.not_offered") {
		t.Errorf("the plan does not allow it: %v", err)
	}
	if _, err := s.pause(sub, uuid.Nil, 366); !fault.Is(err, "pause.bad_days") {
		t.Errorf("too long: %v", err)
	}
	x, err := s.pause(sub, uuid.Nil, 40)
	if err != nil || x.State != renewal.Paused || s.wants(sub) != "suspended" {
		t.Fatalf("%v: %s, its service is to be %s", err, x.State, s.wants(sub))
	}
	if _, err := s.pause(sub, uuid.Nil, 1); !fault.Is(err, "pause.paused_before") {
		t.Errorf("twice: %v", err)
	}
	if _, err := s.desk.Continue(t.Context(), s.db, sub, ida, somebody); !fault.Is(err, "pause.by_team") {
		t.Errorf("the customer ends the team's: %v", err)
	}
	s.update(func(tx *tenancy.Tx) error { // what is foreseen is what happens
		all, err := renewal.Upcoming(t.Context(), tx, ida, 2)
		if len(all) != 2 || !all[0].Period.From.Equal(end.Add(40*day)) {
			t.Errorf("foreseen: %+v", all)
		}
		return err
	})
	if mrr := s.figure("mrr"); mrr != 0 {
		t.Errorf("paused, it is worth %d a month", mrr)
	}
	s.until(january, 49)
	if got := s.periods(sub); len(got) != 0 || s.get(sub).State != renewal.Paused {
		t.Errorf("while it is paused: %q", got)
	}
	s.until(january, 50.5) // it continues by itself
	x = s.get(sub)
	if late := x.Period.To.Sub(end.Add(40 * day)); x.State != renewal.Active || s.wants(sub) != "active" || late < 0 || late > 12*time.Hour {
		t.Fatalf("continued: %s, paid until %s", x.State, x.Period.To)
	}
	if mrr := s.figure("mrr"); mrr != 1000 {
		t.Errorf("afterwards it is worth %d a month", mrr)
	}
	paid := x.Period.To
	s.until(paid, 40)
	if got := s.periods(sub); len(got) != 2 || !s.get(sub).Period.From.Equal(billing.Monthly.Period(paid, 1, time.UTC).From) {
		t.Errorf("renewed: %q", got)
	}
	if got := s.heard("subscription."); !slices.Equal(got, []string{"subscription.started active", "subscription.paused paused", "subscription.continued active", "subscription.renewed active", "subscription.renewed active"}) {
		t.Errorf("programs heard %q", got)
	}
	if s.letters("subscription_paused") != 1 || s.letters("subscription_continued") != 1 || s.letters("service_suspended") != 0 {
		t.Errorf("%d and %d letters", s.letters("subscription_paused"), s.letters("subscription_continued"))
	}
}

// figure is what the platform sees of a shop.
func (s *shop) figure(name string) (n int64) {
	s.t.Helper()
	if err := s.Owner.QueryRow(s.t.Context(), "SELECT coalesce(sum(value), 0)::bigint FROM central.tenant_figures WHERE tenant_id = $1 AND name = $2", s.who.ID.Number(), name).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestACustomerPausesAsThePlanAllows(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec("UPDATE plans SET pause_days = 20")
	ida := s.customer("ida", true)
	sub := s.runs(ida, 1000)
	s.exec(`UPDATE subscriptions SET discount = '{"code": "HALF", "ppm": 500000, "cycles": 1}'`)
	end := s.get(sub).Period.To
	s.until(end, -2) // the next invoice is made; unpaid, it is withdrawn
	if got := s.periods(sub); len(got) != 1 {
		t.Fatalf("ahead: %q", got)
	}
	if _, err := s.pause(sub, ida, 15); err != nil {
		t.Fatal(err)
	}
	if got := scan[string](s.shop, "SELECT state FROM invoices WHERE key LIKE 'renewal/%'"); got != "void" {
		t.Errorf("the invoice ahead is %s", got)
	}
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Plan: "m"}); !fault.Is(err, "change.paused") {
		t.Errorf("a change: %v", err)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, AccountID: ida, Reason: "other"}, somebody); !fault.Is(err, "subscription.paused") {
		t.Errorf("cancelled at the end: %v", err)
	}
	s.turn(15 * day)
	s.Clock.Advance(time.Minute)
	s.tick()
	x := s.get(sub)
	if x.State != renewal.Active {
		t.Fatalf("continued: %s", x.State)
	}
	// Two days of the moved month are left, paid at half the price; the code is used up.
	s.work()
	q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Plan: "m"})
	if err != nil {
		t.Fatal(err)
	}
	give, take := int64(0), int64(0)
	for _, l := range q.Price.Lines {
		give, take = give+min(l.Net.Minor, 0), take+max(l.Net.Minor, 0)
	}
	month := billing.Period{From: january, To: end}
	moved := month.Later(x.Period.To.Sub(end))
	old, _ := billing.Rest(billing.Money{Minor: 500, Currency: "EUR"}, moved, q.At)
	now, _ := billing.Rest(billing.Money{Minor: 1000, Currency: "EUR"}, moved, q.At)
	if -give != old.Minor || take != now.Minor || give == 0 {
		t.Errorf("a change gives %d and takes %d, want %d and %d", -give, take, old.Minor, now.Minor)
	}
	if _, err := s.pause(sub, ida, 6); !fault.Is(err, "pause.bad_days") {
		t.Errorf("five of twenty days are left: %v", err)
	}
	if _, err := s.desk.Continue(t.Context(), s.db, sub, ida, somebody); !fault.Is(err, "pause.not_paused") {
		t.Errorf("nothing to continue: %v", err)
	}
	if _, err := s.pause(sub, ida, 5); err != nil {
		t.Errorf("five: %v", err)
	}
	s.Clock.Advance(day)
	if x, err := s.desk.Continue(t.Context(), s.db, sub, ida, somebody); err != nil || x.State != renewal.Active {
		t.Errorf("continued by hand: %v", err)
	}
	// A paused one can be ended now.
	if _, err := s.pause(sub, uuid.Nil, 5); err != nil {
		t.Fatal(err)
	}
	if x, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, AccountID: ida, Now: true, Reason: "other"}, somebody); err != nil || x.State != renewal.Ended {
		t.Errorf("ended: %v", err)
	}
}
