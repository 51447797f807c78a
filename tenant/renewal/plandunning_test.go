package renewal_test

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// hasty is a schedule that is over when the shop's own has hardly begun.
func hasty() billing.Dunning {
	return billing.Dunning{Tries: []time.Duration{0, 2 * day}, SuspendAfter: 3 * day, EndAfter: 6 * day, NoticeBefore: day}
}

// otherPlan is a copy of the shop's plan, and sub is of it from now on.
func (s *shop) otherPlan(sub uuid.UUID) uuid.UUID {
	s.t.Helper()
	other := uuid.New()
	s.exec(`INSERT INTO plans (id, slug, product_id, name, summary, facts, recommended, position, visibility, created_at, changed_at, sku, stock, delivery, upgrade, downgrade, pause_days, trial_days, trial_card, held)
		SELECT ?, ?, product_id, name, summary, facts, recommended, position, visibility, created_at, changed_at, sku, stock, delivery, upgrade, downgrade, pause_days, trial_days, trial_card, held FROM plans WHERE id = ?`, other, "other-"+other.String()[:8], s.plan)
	s.exec("UPDATE subscriptions SET plan_id = ? WHERE id = ?", other, sub)
	return other
}

func (s *shop) policyNow() (p renewal.Policy) {
	s.t.Helper()
	err := s.db.View(s.t.Context(), func(tx *tenancy.Tx) (err error) {
		p, err = renewal.PolicyOf(s.t.Context(), tx)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func TestAPlanHasDaysOfItsOwn(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	fast, slow := s.sell(s.customer("ida", true), billing.Monthly, 1000), s.sell(s.customer("joe", true), billing.Monthly, 1000)
	s.otherPlan(slow)
	s.declines = func(uuid.UUID) bool { return true }
	own := hasty()
	if err := renewal.SavePlanDunning(t.Context(), s.db, s.plan, &own, somebody); err != nil {
		t.Fatal(err)
	}
	due := s.get(fast).Period.To
	for _, c := range []struct {
		after      int
		fast, slow renewal.State
		tries      int
	}{
		{0, renewal.PastDue, renewal.PastDue, 2},
		{2, renewal.PastDue, renewal.PastDue, 3},   // the shop's of day 1, in the morning that follows
		{3, renewal.Suspended, renewal.PastDue, 4}, // and the plan's of day 2
		{5, renewal.Suspended, renewal.PastDue, 0},
		{6, renewal.Ended, renewal.PastDue, 0},
		{8, renewal.Ended, renewal.Suspended, 0},
	} {
		s.turn(due.Add(time.Duration(c.after)*day + 12*time.Hour).Sub(s.Clock.Now()))
		if a, b := s.get(fast).State, s.get(slow).State; a != c.fast || b != c.slow {
			t.Errorf("after %d days: the hasty one is %s, the other %s", c.after, a, b)
		}
		if c.tries > 0 && s.tries() != c.tries {
			t.Errorf("after %d days: %d tries", c.after, s.tries())
		}
	}
	if s.letters("subscription_ending") != 1 || s.wants(fast) != "terminated" || s.wants(slow) != "suspended" {
		t.Errorf("%d notices; %s and %s", s.letters("subscription_ending"), s.wants(fast), s.wants(slow))
	}
}

// An invoice has one schedule: what has days of its own shares with its own kind only.
func TestAPlanWithDaysOfItsOwnIsInvoicedApart(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	one, two, other, other2 := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 500), s.sell(ida, billing.Monthly, 300), s.sell(ida, billing.Monthly, 200)
	s.exec("UPDATE subscriptions SET plan_id = ? WHERE id = ?", s.otherPlan(other), other2)
	s.joins(ida, true)
	own := hasty()
	if err := renewal.SavePlanDunning(t.Context(), s.db, s.plan, &own, somebody); err != nil {
		t.Fatal(err)
	}
	s.turn(29 * day)
	a, n := s.shared(one)
	b, _ := s.shared(two)
	c, m := s.shared(other)
	d, _ := s.shared(other2)
	if a.ID != b.ID || c.ID != d.ID || a.ID == c.ID || n != 2 || m != 2 || a.Total.Minor != 1500 || c.Total.Minor != 500 {
		t.Errorf("%s over %d, %s, %s over %d, %s", a.Key, n, b.Key, c.Key, m, d.Key)
	}
}

// Days that are set while an invoice over several plans is open do not mix on it: it goes by
// the shop's, and what the plan alone is invoiced for by its own.
func TestDaysSetWhileASharedInvoiceIsOpen(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	hurried, other := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 500)
	s.otherPlan(other)
	s.joins(ida, true)
	alone := s.sell(s.customer("joe", true), billing.Monthly, 700)
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(hurried).Period.To
	s.turn(due.Add(-day).Sub(s.Clock.Now()))
	if a, n := s.shared(hurried); n != 2 || s.get(hurried).Renewals == 0 {
		t.Fatalf("%s stands on %d", a.Key, n)
	}
	own := hasty()
	if err := renewal.SavePlanDunning(t.Context(), s.db, s.plan, &own, somebody); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after                  int
		hurried, other, single renewal.State
	}{
		{0, renewal.PastDue, renewal.PastDue, renewal.PastDue},
		{4, renewal.PastDue, renewal.PastDue, renewal.Suspended},
		{7, renewal.PastDue, renewal.PastDue, renewal.Ended},
		{8, renewal.Suspended, renewal.Suspended, renewal.Ended},
		{20, renewal.Suspended, renewal.Suspended, renewal.Ended},
		{22, renewal.Ended, renewal.Ended, renewal.Ended},
	} {
		s.turn(due.Add(time.Duration(c.after)*day + 12*time.Hour).Sub(s.Clock.Now()))
		if x, y, z := s.get(hurried).State, s.get(other).State, s.get(alone).State; x != c.hurried || y != c.other || z != c.single {
			t.Errorf("after %d days: %s and %s share an invoice, and %s has its own", c.after, x, y, z)
		}
	}
}

func TestDaysOfPlansAreKept(t *testing.T) {
	w := tenancytest.New(t)
	s, foreign := open(t, w, w.A), open(t, w, w.B)
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	other := s.otherPlan(sub)
	var both sync.WaitGroup
	plans := []uuid.UUID{s.plan, other}
	for range 10 {
		plans = append(plans, s.otherPlan(sub))
	}
	for _, plan := range plans { // at once: none takes another's away, and none is refused for it
		both.Add(1)
		go func() {
			defer both.Done()
			own := hasty()
			if err := renewal.SavePlanDunning(t.Context(), s.db, plan, &own, somebody); err != nil {
				t.Error(err)
			}
		}()
	}
	both.Wait()
	p := s.policyNow()
	if len(p.Plans) != len(plans) || !reflect.DeepEqual(p.Plans[s.plan], hasty()) || !reflect.DeepEqual(p.Plans[other], hasty()) {
		t.Fatalf("kept: %v", p.Plans)
	}
	p.Plans, p.LeadDays = nil, 5 // as the shop's form sends it
	if err := renewal.SavePolicy(t.Context(), s.db, p, somebody); err != nil {
		t.Fatal(err)
	}
	if err := renewal.SavePlanDunning(t.Context(), s.db, other, nil, somebody); err != nil {
		t.Fatal(err)
	}
	if p := s.policyNow(); len(p.Plans) != len(plans)-1 || p.LeadDays != 5 || p.DunningOf(renewal.Subscription{PlanID: other}).EndAfter != p.Dunning.EndAfter {
		t.Errorf("after the shop's were saved and one plan's taken away: %+v", p)
	}
	if n := scan[int](s, "SELECT count(*) FROM audit_entries WHERE action = 'plan.dunning_changed'"); n != len(plans)+1 {
		t.Errorf("%d audit entries", n)
	}
	bad := billing.Dunning{Tries: []time.Duration{0, 0}, SuspendAfter: 9 * day, EndAfter: 9 * day, NoticeBefore: 99 * day}
	if err := renewal.SavePlanDunning(t.Context(), s.db, s.plan, &bad, somebody); !fault.Is(err, "renewal_settings.invalid") {
		t.Errorf("nonsense: %v", err)
	}
	for name, plan := range map[string]uuid.UUID{"of another shop": foreign.plan, "of nobody": uuid.New()} {
		own := hasty()
		if err := renewal.SavePlanDunning(t.Context(), s.db, plan, &own, somebody); !fault.Is(err, "plan.not_found") {
			t.Errorf("a plan %s: %v", name, err)
		}
	}
}
