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

func (s *shop) offers(months int, all map[string]billing.StayOffer) {
	s.t.Helper()
	if err := renewal.SaveStayPolicy(s.t.Context(), s.db, renewal.StayPolicy{Months: months, Offers: all}, somebody); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) offer(sub, account uuid.UUID, reason string) bool {
	s.t.Helper()
	_, ok, err := s.desk.Offer(s.t.Context(), s.db, sub, account, reason)
	if err != nil {
		s.t.Fatal(err)
	}
	return ok
}

// TestAShareOffForStaying: it comes off as many invoices as it said, from the next one on
// even where that is made already, once in a time, and never costs more than the code the
// customer has.
func TestAShareOffForStaying(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ida := s.customer("ida", true)
	sub, coded := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 1000)
	s.exec(`UPDATE subscriptions SET discount = '{"code":"HALF","ppm":500000}' WHERE id = ?`, coded)
	s.offers(6, map[string]billing.StayOffer{"too_expensive": {Kind: billing.StayDiscount, Ppm: 300_000, Cycles: 2}})
	if s.offer(sub, ida, "support") || s.offer(coded, ida, "too_expensive") {
		t.Error("an offer for nothing, or one that is worth nothing")
	}
	if _, err := s.desk.Stay(t.Context(), s.db, sub, ida, "too_expensive", somebody); !fault.Is(err, "stay.none") {
		t.Errorf("before it was made: %v", err)
	}
	for s.Clock.Now().Before(january.AddDate(0, 0, 26)) { // the next invoice is made
		s.turn(24 * time.Hour)
		s.tick()
	}
	for range 3 { // looked at again it is one offer
		if !s.offer(sub, ida, "too_expensive") {
			t.Fatal("no offer")
		}
	}
	if _, _, err := other.desk.Offer(t.Context(), other.db, sub, uuid.Nil, "too_expensive"); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another shop's: %v", err)
	}
	if _, err := s.desk.Stay(t.Context(), s.db, sub, uuid.New(), "too_expensive", somebody); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another's: %v", err)
	}
	out, err := s.desk.Stay(t.Context(), s.db, sub, ida, "too_expensive", somebody)
	if off := out.Subscription.StayOff(); err != nil || off != "30 % off the next 2 invoices" || s.letters("subscription_stayed") != 1 {
		t.Fatalf("%v: %s", err, off)
	}
	if _, err := s.desk.Stay(t.Context(), s.db, sub, ida, "too_expensive", somebody); !fault.Is(err, "stay.none") {
		t.Errorf("twice: %v", err)
	}
	for s.Clock.Now().Before(january.AddDate(0, 4, 5)) {
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	if got := s.nets(sub); !slices.Equal(got[len(got)-4:], []int64{700, 700, 1000, 1000}) {
		t.Errorf("%d", got)
	}
	if s.offer(sub, ida, "too_expensive") {
		t.Error("once more within the time")
	}
	for s.Clock.Now().Before(january.AddDate(0, 7, 5)) {
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	if !s.offer(sub, ida, "too_expensive") {
		t.Error("none after the time")
	}
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.StayReport(t.Context(), tx)
		if len(all) != 1 || all[0] != (renewal.StayLine{Reason: "too_expensive", Offered: 2, Taken: 1, Old: 1, Stayed: 1}) {
			t.Errorf("%+v", all)
		}
		return err
	})
}

// TestAPauseOrAnotherPlanForStaying: a pause begins at once and is its customer's, where
// the plan allows none by itself, too; a change to another plan is quoted, and counts as
// taken once it is agreed to.
func TestAPauseOrAnotherPlanForStaying(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	ida := s.customer("ida", true)
	small := scan[string](s.shop, "SELECT id::text FROM plans WHERE slug = 's'")
	paused, changed, cheap := s.runs(ida, 1000), s.runs(ida, 4000), s.runs(ida, 900)
	s.exec("UPDATE subscriptions SET plan_id = (SELECT id FROM plans WHERE slug = 'l') WHERE id IN (?, ?)", changed, cheap)
	s.offers(0, map[string]billing.StayOffer{"not_needed": {Kind: billing.StayPause, Days: 20}, "too_expensive": {Kind: billing.StayDowngrade, PlanID: small}})
	if s.offer(cheap, ida, "too_expensive") || s.offer(paused, ida, "too_expensive") {
		t.Error("a plan that costs more, or that they have")
	}
	take := func(sub uuid.UUID, reason string) renewal.StayTaken {
		t.Helper()
		if !s.offer(sub, ida, reason) {
			t.Fatal("no offer")
		}
		out, err := s.desk.Stay(t.Context(), s.db, sub, ida, reason, somebody)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	take(paused, "not_needed")
	if x := s.get(paused); x.State != renewal.Paused || x.Pause.Team || !x.Pause.Until.Equal(s.Clock.Now().AddDate(0, 0, 20)) {
		t.Errorf("%s %+v", x.State, x.Pause)
	}
	out := take(changed, "too_expensive")
	if out.Quote == uuid.Nil || s.get(changed).Amount.Minor != 4000 {
		t.Fatalf("%+v", out)
	}
	report := func(want renewal.StayLine) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) error {
			all, err := renewal.StayReport(t.Context(), tx)
			if !slices.Contains(all, want) {
				t.Errorf("%+v, want %+v", all, want)
			}
			return err
		})
	}
	report(renewal.StayLine{Reason: "too_expensive", Offered: 1})
	if _, err := s.desk.AcceptChange(t.Context(), s.db, out.Quote, ida, somebody); err != nil {
		t.Fatal(err)
	}
	s.work()
	report(renewal.StayLine{Reason: "too_expensive", Offered: 1, Taken: 1})
	if s.offer(changed, ida, "not_needed") {
		t.Error("once, and never again")
	}
	for field, p := range map[string]renewal.StayPolicy{
		"months": {Months: -1}, "offer.support": {Offers: map[string]billing.StayOffer{"support": {Kind: "gift"}}}, "offer.other": {Offers: map[string]billing.StayOffer{"other": {Kind: billing.StayDowngrade, PlanID: uuid.NewString()}}},
	} {
		if err := renewal.SaveStayPolicy(t.Context(), s.db, p, somebody); err == nil || fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestAnOfferOutlivesAPause: what is left of it counts for the periods that are
// counted anew.
func TestAnOfferOutlivesAPause(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	sub := s.sell(ida, billing.Monthly, 1000)
	s.offers(0, map[string]billing.StayOffer{"other": {Kind: billing.StayDiscount, Ppm: 100_000, Cycles: 3}})
	if !s.offer(sub, ida, "other") {
		t.Fatal("no offer")
	}
	if _, err := s.desk.Stay(t.Context(), s.db, sub, ida, "other", somebody); err != nil {
		t.Fatal(err)
	}
	for s.Clock.Now().Before(january.AddDate(0, 1, 5)) { // one invoice of the three
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	if _, err := s.pause(sub, uuid.Nil, 10); err != nil {
		t.Fatal(err)
	}
	for s.Clock.Now().Before(january.AddDate(0, 5, 5)) {
		s.turn(5 * 24 * time.Hour)
		s.tick()
	}
	if got := s.nets(sub); !slices.Equal(got[:4], []int64{900, 900, 900, 1000}) {
		t.Errorf("%d", got)
	}
}
