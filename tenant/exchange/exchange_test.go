package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/exchange"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, db *tenancy.DB) (k exchange.Kept) {
	t.Helper()
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) (err error) {
		k, err = exchange.Of(t.Context(), tx)
		return err
	}))
	return k
}

// source answers as it is told, after what happens meanwhile.
type source struct {
	mu        sync.Mutex
	rates     []billing.ExchangeRate
	err       error
	asked     int
	meanwhile func()
}

func (s *source) Latest(context.Context) ([]billing.ExchangeRate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return s.rates, s.err
}

func rate(value string, day time.Time) billing.ExchangeRate {
	return billing.ExchangeRate{From: "EUR", Into: "SEK", Value: value, Day: day, Source: "test"}
}

// due is when the shop's rates are asked for next; zero: never.
func due(t *testing.T, w *tenancytest.World, of tenancy.Tenant) (at time.Time) {
	t.Helper()
	err := w.Owner.QueryRow(t.Context(), "SELECT coalesce(min(due_at), '0001-01-01') FROM central.agenda WHERE tenant_id = $1 AND kind = $2", of.ID.Number(), exchange.Agenda).Scan(&at)
	must(t, err)
	return at.UTC()
}

// TestDailyRatesAreAskedForOnceADay: after the bank has published, every hour while there is
// no answer, and nothing known is lost meanwhile.
func TestDailyRatesAreAskedForOnceADay(t *testing.T) {
	w := tenancytest.New(t)
	db, s := w.DB(w.A), &source{}
	d := &exchange.Desk{Daily: s}
	at := func(hour, minute int) time.Time {
		day := w.Clock.Now().UTC().AddDate(0, 0, 1)
		then := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, time.UTC)
		w.Clock.Advance(then.Sub(w.Clock.Now()))
		return then
	}
	tick := func() { t.Helper(); must(t, d.Tick(t.Context(), db, w.Clock.Now())) }
	tick()
	if s.asked != 0 || !due(t, w, w.A).IsZero() {
		t.Error("a shop that does not want them asks")
	}
	must(t, exchange.SetDaily(t.Context(), db, true, olga))
	day := at(15, 29)
	s.rates = []billing.ExchangeRate{rate("11.1", day)}
	tick()
	if got := due(t, w, w.A); !got.Equal(day.Add(time.Minute)) {
		t.Errorf("before the bank publishes: next at %s", got)
	}
	day = at(15, 30)
	s.rates = []billing.ExchangeRate{rate("11.2", day)}
	tick()
	if got := due(t, w, w.A); !got.Equal(day.AddDate(0, 0, 1)) || kept(t, db).Fetched[0].Value != "11.2" {
		t.Errorf("when it publishes: next at %s", got)
	}
	for _, problem := range []error{errors.New("no answer"), nil} { // and an answer with nothing in it
		s.rates, s.err = nil, problem
		tick()
		k := kept(t, db)
		if got := due(t, w, w.A); !got.Equal(w.Clock.Now().UTC().Add(time.Hour)) || k.Problem == "" || len(k.Fetched) != 1 {
			t.Errorf("without an answer: next at %s, %+v", got, k)
		}
	}
	s.err, s.rates = nil, []billing.ExchangeRate{rate("11.3", day)}
	tick()
	if k := kept(t, db); k.Problem != "" || k.Fetched[0].Value != "11.3" {
		t.Errorf("after it: %+v", k)
	}
	// Somebody switches them off while the bank is being asked.
	s.meanwhile = func() { must(t, exchange.SetDaily(t.Context(), db, false, olga)) }
	tick()
	if k := kept(t, db); k.Daily || len(k.Fetched) != 0 || !due(t, w, w.A).IsZero() {
		t.Errorf("switched off meanwhile: %+v, next at %s", k, due(t, w, w.A))
	}
	s.meanwhile = nil
	must(t, exchange.SetDaily(t.Context(), db, true, olga))
	asked, twin := s.asked, w.A
	twin.Sandbox = true
	must(t, d.Tick(t.Context(), w.DB(twin), w.Clock.Now()))
	if s.asked != asked {
		t.Error("a sandbox asks somebody outside")
	}
	if k := kept(t, w.DB(w.B)); k.Daily || len(k.All()) != 0 {
		t.Errorf("the neighbour has %+v", k)
	}
}

// TestRatesEnteredByHand: one a day and pair, the newest first, and no more than can be looked
// at.
func TestRatesEnteredByHand(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	today := w.Clock.Now().UTC().Truncate(24 * time.Hour)
	for field, bad := range map[string]billing.ExchangeRate{
		"value": {From: "EUR", Into: "SEK", Value: "-1", Day: today}, "rate_from": {From: "SEK", Into: "SEK", Value: "1", Day: today}, "rate_into": {From: "EUR", Into: "XXQ", Value: "1", Day: today},
		"rate_day": {From: "EUR", Into: "SEK", Value: "1", Day: today.AddDate(0, 0, 1)},
	} {
		err := exchange.Enter(t.Context(), db, bad, olga)
		if f := fault.From(err); !fault.Is(err, "exchange.invalid") || len(f.Fields) != 1 || f.Fields[field] == "" {
			t.Errorf("%s: %v %v", field, err, f.Fields)
		}
	}
	for i := range 3 {
		must(t, exchange.Enter(t.Context(), db, rate(fmt.Sprint(10+i), today.AddDate(0, 0, -i%2)), olga))
	}
	k := kept(t, db)
	if len(k.Own) != 2 || k.Own[0].Value != "12" || !k.Own[0].Day.Equal(today) || k.Own[1].Value != "11" || k.Own[0].Source == "test" {
		t.Errorf("%+v", k.Own)
	}
	if err := exchange.Remove(t.Context(), db, "SEK", "EUR", today, olga); !fault.Is(err, "exchange.unknown") {
		t.Errorf("one that is not there: %v", err)
	}
	must(t, exchange.Remove(t.Context(), db, "EUR", "SEK", today, olga))
	if k := kept(t, db); len(k.Own) != 1 || k.Own[0].Value != "11" {
		t.Errorf("%+v", k.Own)
	}
}

// TestOneAnswerServesManyShops for half an hour, and no failure does.
func TestOneAnswerServesManyShops(t *testing.T) {
	s, clock := &source{err: errors.New("no answer")}, &tenancytest.Clock{}
	shared := &exchange.Shared{Source: s, Clock: clock.Now}
	ask := func(want int, value string) {
		t.Helper()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				got, err := shared.Latest(t.Context())
				if (err == nil) != (value != "") || err == nil && got[0].Value != value {
					t.Errorf("%v %v", got, err)
				}
			})
		}
		all.Wait()
		if s.asked != want {
			t.Errorf("asked %d times, not %d", s.asked, want)
		}
	}
	ask(8, "")
	s.err, s.rates = nil, []billing.ExchangeRate{rate("1", clock.Now())}
	ask(9, "1")
	s.rates = []billing.ExchangeRate{rate("2", clock.Now())}
	clock.Advance(30*time.Minute - time.Second)
	ask(9, "1")
	clock.Advance(time.Second)
	ask(10, "2")
	s.rates = []billing.ExchangeRate{rate("3", clock.Now())}
	clock.Advance(-time.Hour) // a clock that was put right
	ask(11, "3")
}
