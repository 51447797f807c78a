package renewal_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
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
// What a plan grants and no more holds in its trial, too: it is counted, begins anew with the
// first month that is paid for, and stands on no invoice.
func TestQuotasHoldInATrial(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "calls", Name: "Calls", Aggregation: "sum", Included: "100", Capped: true, Tiers: map[string]string{"EUR": "0"}})
	s.meter(catalog.MeterForm{Code: "mails", Name: "Mails", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.10"}})
	sub := s.try(s.customer("ida", true))
	s.Clock.Advance(day)
	told := []metering.Event{used(sub, "1", "calls", "80", s.Clock.Now()), used(sub, "2", "calls", "30", s.Clock.Now()), used(sub, "1", "calls", "80", s.Clock.Now()), used(sub, "m", "mails", "5", s.Clock.Now())}
	if got := s.tell(told...); !slices.Equal(got, []metering.Status{metering.Accepted, metering.Refused, metering.Duplicate, metering.Free}) {
		t.Errorf("in the trial: %q", got)
	}
	out, err := s.meters().Record(t.Context(), s.db, []metering.Event{used(sub, "3", "calls", "21", s.Clock.Now())})
	if err != nil || out[0].Reason != metering.QuotaUsedUp || out[0].More != "/client/subscriptions/"+sub.String() {
		t.Errorf("%+v %v", out, err)
	}
	ask := func(value string) error {
		return s.db.View(t.Context(), func(tx *tenancy.Tx) error {
			_, err := metering.Ask(t.Context(), tx, metering.Question{SubscriptionID: sub, Meter: "calls", Value: value}, uuid.Nil)
			return err
		})
	}
	if err := ask("20"); err != nil {
		t.Error(err)
	}
	if err := ask("21"); !fault.Is(err, "usage.quota_used_up") {
		t.Errorf("asked for more than is left: %v", err)
	}
	if u := s.usage(sub); len(u.Meters) != 1 || u.Net.Minor != 0 || u.Meters[0].Left.FloatString(0) != "20" {
		t.Errorf("%+v", u)
	}
	s.honest()
	for s.Clock.Now().Before(january.AddDate(0, 0, 16)) {
		s.turn(day)
	}
	if got := s.tell(used(sub, "4", "calls", "100", s.Clock.Now()), used(sub, "5", "calls", "1", s.Clock.Now())); !slices.Equal(got, []metering.Status{metering.Accepted, metering.Refused}) {
		t.Errorf("after the trial: %q", got)
	}
	for s.Clock.Now().Before(january.AddDate(0, 1, 20)) {
		s.turn(day)
	}
	if n := scan[int](s, "SELECT count(*) FROM invoice_lines l JOIN usage_totals t ON t.meter_id = l.meter_id AND t.period_from = l.period_from JOIN subscriptions s ON s.id = t.subscription_id WHERE t.period_from < (s.trial->>'until')::timestamptz"); n != 0 {
		t.Errorf("%d lines are for what was used in the trial", n)
	}
	if n := scan[int](s, "SELECT count(*) FROM usage_totals WHERE rounds > 0"); n != 1 {
		t.Errorf("%d months of use are invoiced", n)
	}
	s.honest()
}

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
