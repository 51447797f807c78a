package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// hourly sells the shop's plan for nothing a month and 0.02 an hour, at most 600 of them.
func (s *shop) hourly() {
	s.t.Helper()
	s.meter(catalog.MeterForm{Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedLife, Tiers: map[string]string{"EUR": "600 | 0.02\n0"}})
}

// TestHoursOfALife: what is sold by the hour is billed by the hours of its subscription, each
// that is begun, at most so many a month; not while it is paused, and at its end at once.
func TestHoursOfALife(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.hourly()
	whole, short, idle := s.sell(s.customer("ida", true), billing.Monthly, 0), s.sell(s.customer("otto", true), billing.Monthly, 0), s.sell(s.customer("pia", true), billing.Monthly, 0)
	if words := scan[string](s, "SELECT code FROM meters"); words != "hours" {
		t.Fatal(words)
	}
	s.Clock.Advance(90 * time.Minute)
	if u := s.usage(short); u.Net.Minor != 4 || u.Meters[0].Running != 1 || u.Meters[0].Meter.Words("EUR", "en") != "€0.02 an hour, at most €12.00 a month, each hour that is begun" {
		t.Errorf("%v %+v %q", u.Net, u.Meters, u.Meters[0].Meter.Words("EUR", "en"))
	}
	for range 2 { // it may be repeated
		s.update(func(tx *tenancy.Tx) error { return metering.Live(t.Context(), tx, short) })
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: short, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(short); len(got) != 1 || got[0][len(got[0])-4:] != " = 4" {
		t.Errorf("what ended after an hour and a half: %q", got)
	}
	s.Clock.Advance(24 * time.Hour) // 25.5 hours
	if _, err := s.desk.Pause(t.Context(), s.db, renewal.PauseRequest{SubscriptionID: idle, Days: 5}, somebody); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(3 * 24 * time.Hour)
	if _, err := s.desk.Continue(t.Context(), s.db, idle, uuid.Nil, somebody); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(30 * time.Minute)
	if u := s.usage(idle); u.Net.Minor != 54 { // the 26 begun hours before are of the same month
		t.Errorf("after a pause: %v", u.Net)
	}
	for s.Clock.Now().Before(january.AddDate(0, 1, 1)) {
		s.turn(12 * time.Hour)
		s.tick()
	}
	if got := s.lines(whole); len(got) != 1 || got[0][len(got[0])-7:] != " = 1200" {
		t.Errorf("a whole month: %q", got)
	}
	for s.Clock.Now().Before(january.AddDate(0, 2, 2)) {
		s.turn(12 * time.Hour)
		s.tick()
	}
	if got := s.lines(idle); len(got) != 1 || got[0][len(got[0])-7:] != " = 1200" {
		t.Errorf("a month with a pause: %q", got)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: whole, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(whole); len(got) != 3 || got[1][len(got[1])-7:] != " = 1200" || got[2][len(got[2])-7:] == " = 1200" {
		t.Errorf("its end, months later: %q", got)
	}
	if cycle := scan[string](s, "SELECT "+hosting.RetailCycle+" FROM subscriptions b WHERE b.id = ?", idle); cycle != "hourly" {
		t.Errorf("the platform hears that it is paid %s", cycle)
	}
	s.honest()
}

// TestHoursStopAtALimit: turned off for its spend limit it costs nothing more, and with the
// next month its hours go on.
func TestHoursStopAtALimit(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.hourly()
	sub := s.sell(s.customer("ida", true), billing.Monthly, 0)
	desk := s.meters()
	if err := desk.SetLimit(t.Context(), s.db, sub, uuid.Nil, &metering.Limit{Minor: 100, Stop: true}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		if err := desk.Look(t.Context(), s.db, s.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Advance(49*time.Hour + time.Minute)
	look()
	if u := s.usage(sub); u.Net.Minor != 100 || s.wants(sub) != "suspended" || u.Meters[0].Running != 0 {
		t.Fatalf("%v, %s, %+v", u.Net, s.wants(sub), u.Meters)
	}
	s.turn(10 * 24 * time.Hour)
	look()
	if u := s.usage(sub); u.Net.Minor != 100 {
		t.Errorf("hours go on: %v", u.Net)
	}
	for s.Clock.Now().Before(january.AddDate(0, 1, 1)) {
		s.turn(12 * time.Hour)
		s.tick()
	}
	if u := s.usage(sub); s.wants(sub) != "active" || u.Meters[0].Running != 1 {
		t.Errorf("in the next month: %s, %+v", s.wants(sub), u.Meters)
	}
	if !slices.ContainsFunc(s.lines(sub), func(l string) bool { return l[len(l)-6:] == " = 100" }) {
		t.Errorf("%q", s.lines(sub))
	}
	s.honest()
}
