package renewal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// TestUsageIsInvoicedOnce lets what is paid by the hour, and what is paid by the month or the year
// and by use, run, rest, change its plan or its cycle and run again, wherever in its months and
// hours that is: each hour it was on is invoiced once, at the dearest price it had, each step of a
// session and each unit is, and its pauses are not.
func TestUsageIsInvoicedOnce(t *testing.T) {
	w := tenancytest.New(t)
	for i, who := range []tenancy.Tenant{w.A, w.B} {
		w.Clock.Set(january)
		s := scenery(t, w, who)
		s.byHoursToo("s", "0.02")
		s.byHoursToo("m", "0.05")
		s.byHoursToo("l", "0.01")
		small := s.plan
		for _, s.plan = range scanAll[uuid.UUID](s.shop, "SELECT id FROM plans WHERE slug IN ('s', 'm', 'l')") {
			s.meter(catalog.MeterForm{Code: "gb", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.03"}})
			s.meter(catalog.MeterForm{Code: "desktop", Aggregation: "sessions", StepMinutes: "15", Tiers: map[string]string{"EUR": "0.20"}})
		}
		s.plan = small
		s.policy(func(p *renewal.Policy) { p.Together = false })
		s.exec("UPDATE plans SET upgrade = 'prorate', downgrade = 'credit'")
		rnd := rand.New(rand.NewPCG(uint64(i), 20261123))
		for n := range 4 {
			ida := s.customer(fmt.Sprint("c", n), true)
			s.exec("UPDATE accounts SET time_zone = ? WHERE id = ?", []string{"", "Europe/Berlin", "Australia/Lord_Howe"}[rnd.IntN(3)], ida)
			l := &resting{scene: s, rnd: rnd, plan: "s", dearest: map[time.Duration]int64{}}
			if l.sub = s.runsHours(ida, func(x *renewal.New) { x.Items[0].Hour = s.hour("0.02", 0) }); n%2 == 1 {
				l.sub = s.runs(ida, 1000)
			}
			l.live(n%2 == 0)
		}
		s.books()
	}
}

// resting is a subscription that is paused now and then.
type resting struct {
	*scene
	rnd     *rand.Rand
	sub     uuid.UUID
	told    int
	cost    int64 // of what was used
	done    []string
	plan    string                  // of the hour
	ran     time.Duration           // without its pauses
	dearest map[time.Duration]int64 // by the hour that began, in cents
}

// cents are what an hour of a plan costs.
var cents = map[string]int64{"s": 2, "m": 5, "l": 1}

func (l *resting) live(hourly bool) {
	l.t.Helper()
	for range 2 + l.rnd.IntN(3) {
		l.use(time.Duration(1+l.rnd.IntN([]int{6, 100, 900}[l.rnd.IntN(3)]))*time.Hour, time.Duration(l.rnd.IntN(60))*time.Minute)
		switch pauses := l.rnd.IntN(2) == 0; {
		case hourly && !pauses:
			l.move()
			continue
		case !pauses:
			l.change()
			continue
		}
		days := 1 + l.rnd.IntN([]int{4, 50}[l.rnd.IntN(2)])
		if _, err := l.pause(l.sub, uuid.Nil, days); err != nil {
			l.t.Fatal(err)
		}
		l.done = append(l.done, fmt.Sprintf("%s paused %d days", l.Clock.Now().Format("01-02 15:04"), days))
		l.until(l.Clock.Now(), float64(days))
	}
	l.use(70*day, 0)
	if _, err := l.desk.Cancel(l.t.Context(), l.db, renewal.CancelRequest{SubscriptionID: l.sub, Now: true, Reason: "other"}, staff); err != nil {
		l.t.Fatal(err)
	}
	if hourly {
		for _, minor := range l.dearest {
			l.cost += minor
		}
	}
	if got := scan[int64](l.shop, "SELECT coalesce(sum(net_minor), 0) FROM invoice_lines WHERE subscription_id = ? AND kind = 'usage'", l.sub); got != l.cost {
		lines := scanAll[string](l.shop, `SELECT i.issued_at || ' ' || l.period_from || ' ' || l.period_to || ' ' || l.net_minor || ' ' || l.description FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
			WHERE l.subscription_id = ? AND l.kind = 'usage' ORDER BY 1`, l.sub)
		l.t.Errorf("by the hour %t: %d cents for %d\n  %s\n  %s", hourly, got, l.cost, strings.Join(l.done, "\n  "), strings.Join(lines, "\n  "))
	}
}

// move is a change to another plan by the hour.
func (l *resting) move() {
	l.t.Helper()
	l.work()
	l.plan = map[string][]string{"s": {"m", "l"}, "m": {"s", "l"}, "l": {"s", "m"}}[l.plan][l.rnd.IntN(2)]
	l.scene.change(l.sub, l.plan, nil)
	l.done = append(l.done, fmt.Sprintf("%s to %s", l.Clock.Now().Format("01-02 15:04"), l.stands(l.sub)))
}

// change is one of the cycle, in the middle of a month.
func (l *resting) change() {
	l.t.Helper()
	l.work()
	to := billing.Annual
	if l.get(l.sub).Cycle == to {
		to = billing.Monthly
	}
	q, err := l.desk.QuoteChange(l.t.Context(), l.db, renewal.ChangeAsk{SubscriptionID: l.sub, Cycle: to})
	if err == nil {
		l.accept(q)
		l.work()
		l.settled()
		l.work()
	}
	l.done = append(l.done, fmt.Sprintf("%s %s %v: %s", l.Clock.Now().Format("01-02 15:04"), to, err, l.stands(l.sub)))
}

// use lets time pass; at its end two sessions and some units of it are told.
func (l *resting) use(about, more time.Duration) {
	l.t.Helper()
	from := l.Clock.Now()
	l.turn(about)
	l.Clock.Advance(more)
	l.tick()
	d := l.Clock.Now().Sub(from)
	for hour := l.ran.Truncate(time.Hour); hour < l.ran+d; hour += time.Hour {
		l.dearest[hour] = max(l.dearest[hour], cents[l.plan])
	}
	l.ran += d
	var all []metering.Event
	for range 2 {
		l.told++
		id := fmt.Sprint(l.sub, "/", l.told)
		start := from.Add(time.Duration(l.rnd.Int64N(int64(d))))
		stop := start.Add(time.Duration(l.rnd.Int64N(int64(l.Clock.Now().Sub(start)) + 1)))
		a, z := used(l.sub, "a"+id, "desktop", "", start), used(l.sub, "z"+id, "desktop", "", stop)
		a.Phase, z.Phase = billing.PhaseStart, billing.PhaseStop
		a.Attributes = map[string]string{"session": id}
		z.Attributes = a.Attributes
		all = append(all, a, z, used(l.sub, "g"+id, "gb", "7", start))
		l.cost += 21 + 5*billing.Increments(start, stop, 15*time.Minute, billing.Period{From: start, To: stop})
		l.done = append(l.done, fmt.Sprintf("session %s to %s", start.Format("01-02 15:04"), stop.Format("01-02 15:04")))
	}
	for i, status := range l.tell(all...) {
		if status != metering.Accepted && status != metering.Late {
			l.t.Fatalf("%+v is %s", all[i], status)
		}
	}
}
