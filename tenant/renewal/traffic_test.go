package renewal_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
)

const gb = 1_000_000_000

// A platform's count of its own months becomes usage of the customer's: told in any order
// and again, once; across the platform's turn of the month, without a gap.
func TestTrafficIsCountedOnceInWhateverOrderItIsTold(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "traffic", Name: "Traffic", Aggregation: "sum", Feed: catalog.FeedTraffic, Included: "100", Tiers: map[string]string{"EUR": "0.10"}})
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	service, desk := s.get(sub).ServiceID, s.meters()
	first := s.Clock.Now().Truncate(24 * time.Hour) // the platform's months begin with a day
	second := first.Add(10 * day)
	tell := func(seen time.Time, all ...metering.Traffic) {
		t.Helper()
		if err := desk.Carried(t.Context(), s.db, sub, service, all, seen); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Advance(12 * day)
	type telling struct {
		seen time.Time
		all  []metering.Traffic
	}
	var story []telling
	for n := range 12 {
		all := []metering.Traffic{{From: first, To: second, Used: min(int64(n), 10) * 15 * gb}}
		if n >= 10 {
			all = append([]metering.Traffic{{From: second, To: second.Add(28 * day), Used: int64(n-9) * 5 * gb}}, all...)
		}
		story = append(story, telling{first.Add(time.Duration(n)*day + time.Hour), all})
	}
	story = append(story, story...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(story), func(i, j int) { story[i], story[j] = story[j], story[i] })
	for _, x := range story {
		tell(x.seen, x.all...)
	}
	// 150 GB of the first month, 10 of the second; 100 are included.
	if u := s.usage(sub); u.Net.Minor != 600 || len(u.Meters) != 1 {
		t.Errorf("%v, %+v", u.Net, u.Meters)
	}
	if got := s.tell(used(sub, "x", "traffic", "5", s.Clock.Now())); got[0] != metering.Refused {
		t.Errorf("a program tells what the platform does: %s", got)
	}
	tell(s.Clock.Now(), metering.Traffic{From: second, To: second.Add(28 * day), Used: 1 * gb}) // fewer than before: a platform that forgot
	s.turn(17 * day)
	if got := s.lines(sub); !slices.Equal(got, []string{"VPS Small: Traffic, 160 GB, 100 GB included = 600"}) {
		t.Errorf("%q", got)
	}
	// What comes after the month's invoice about the month is settled on the next.
	tell(s.Clock.Now(), metering.Traffic{From: first, To: second, Used: 170 * gb})
	s.honest()
	if err := desk.Carried(t.Context(), s.db, uuid.New(), service, []metering.Traffic{{From: first, To: second, Used: gb}}, s.Clock.Now()); err != nil {
		t.Errorf("a subscription that is no more: %v", err)
	}
}

// A plan that begins to count traffic in the middle of the platform's month counts from there.
func TestTrafficOfBeforeTheMeterIsNotCounted(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "traffic", Name: "Traffic", Aggregation: "sum", Feed: catalog.FeedTraffic, Tiers: map[string]string{"EUR": "0.10"}})
	sub := s.sell(s.customer("ida", true), billing.Monthly, 1000)
	service, from := s.get(sub).ServiceID, s.Clock.Now().Add(-20*day)
	s.Clock.Advance(3 * day)
	for i, used := range []int64{900, 950} {
		if err := s.meters().Carried(t.Context(), s.db, sub, service, []metering.Traffic{{From: from, To: from.Add(30 * day), Used: used * gb}, {From: from.Add(-30 * day), To: from, Used: 5000 * gb}}, s.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		if u := s.usage(sub); u.Net.Minor != int64(i)*500 {
			t.Errorf("telling %d: %v", i+1, u.Net)
		}
	}
	s.honest()
}

// What is used in a trial is free, told by programs or by the platform.
func TestUseInATrialIsFree(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "traffic", Name: "Traffic", Aggregation: "sum", Feed: catalog.FeedTraffic, Tiers: map[string]string{"EUR": "0.10"}})
	s.meter(catalog.MeterForm{Code: "calls", Name: "Calls", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.10"}})
	sub := s.try(s.customer("ida", true))
	service, from := s.get(sub).ServiceID, s.Clock.Now()
	carried := func(gigabytes int64) {
		t.Helper()
		if err := s.meters().Carried(t.Context(), s.db, sub, service, []metering.Traffic{{From: from, To: from.Add(31 * day), Used: gigabytes * gb}}, s.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Advance(day)
	carried(50)
	call := used(sub, "1", "calls", "70", s.Clock.Now())
	if got := s.tell(call, call); !slices.Equal(got, []metering.Status{metering.Free, metering.Free}) {
		t.Errorf("%q", got)
	}
	for s.Clock.Now().Before(january.AddDate(0, 0, 16)) {
		s.turn(day)
	}
	if got := s.tell(call, used(sub, "2", "calls", "5", s.Clock.Now())); !slices.Equal(got, []metering.Status{metering.Refused, metering.Accepted}) {
		t.Errorf("after the trial: %q", got)
	}
	carried(60)
	carried(62)
	if u := s.usage(sub); u.Net.Minor != 70 { // 5 calls, and 2 GB since it was looked at first
		t.Errorf("%v, %+v", u.Net, u.Meters)
	}
	s.honest()
}
