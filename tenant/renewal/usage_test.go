package renewal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func (s *shop) meters() *metering.Desk {
	return &metering.Desk{Mail: mail.NewOutbox(bare{}), Holds: hosting.SpendHolds{}}
}

// meter adds a meter to the shop's plan.
func (s *shop) meter(f catalog.MeterForm) {
	s.t.Helper()
	f.PlanID = s.plan
	if f.Name == "" {
		f.Name = f.Code
	}
	if f.Model == "" {
		f.Model = "graduated"
	}
	if f.Feed == "" {
		f.Feed = catalog.FeedAPI
	}
	if _, err := catalog.SaveMeter(s.t.Context(), s.db, f, audit.Origin{}); err != nil {
		s.t.Fatal(err)
	}
}

// tell records events and returns what became of each.
func (s *shop) tell(events ...metering.Event) (all []metering.Status) {
	s.t.Helper()
	out, err := s.meters().Record(s.t.Context(), s.db, events)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range out {
		all = append(all, o.Status)
	}
	return all
}

func used(sub uuid.UUID, id, meter, value string, at time.Time) metering.Event {
	return metering.Event{Source: "test", ID: id, SubscriptionID: sub, Meter: meter, Value: value, At: at}
}

func (s *shop) usage(sub uuid.UUID) (u metering.Usage) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		u, err = metering.Of(s.t.Context(), tx, sub, uuid.Nil)
		return err
	})
	return u
}

// lines are a subscription's lines about usage, in words, the oldest first.
func (s *shop) lines(sub uuid.UUID) []string {
	s.t.Helper()
	return scanAll[string](s, `SELECT l.description || ' = ' || l.net_minor FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
		WHERE l.subscription_id = ? AND l.kind = 'usage' ORDER BY i.sequence, l.position`, sub)
}

// honest compares the totals with the events.
func (s *shop) honest() {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		r, err := metering.Audit(s.t.Context(), tx)
		if err == nil && !r.Holds() {
			s.t.Errorf("the totals are not what the events say: %q", r.Problems)
		}
		b, berr := invoicing.Books(s.t.Context(), tx)
		if berr == nil && !b.Holds() {
			s.t.Errorf("the books do not hold: %q", b.Problems)
		}
		return errors.Join(err, berr)
	})
}

func traffic() catalog.MeterForm {
	return catalog.MeterForm{Code: "traffic", Name: "Traffic", Unit: "GB", Aggregation: "sum", Included: "100", Tiers: map[string]string{"EUR": "1000 | 0.10\n0.0042"}}
}

func TestUsageIsInvoicedWithTheRenewalAndSettledWhenLate(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	s.meter(traffic())
	other.meter(traffic())
	sub, foreign := s.sell(s.customer("ida", true), billing.Monthly, 1000), other.sell(other.customer("eve", true), billing.Monthly, 100)
	s.Clock.Advance(day)
	at := s.Clock.Now()
	if got := s.tell(used(sub, "1", "traffic", "150", at), used(sub, "1", "traffic", "150", at), used(foreign, "x", "traffic", "1", at), used(sub, "2", "nothing", "1", at), used(sub, "3", "traffic", "-1", at),
		used(sub, "4", "traffic", "1", at.Add(-2*day)), used(sub, "5", "traffic", "1", at.Add(day))); !slices.Equal(got, []metering.Status{"accepted", "duplicate", "refused", "refused", "refused", "refused", "refused"}) {
		t.Fatalf("%q", got)
	}
	if got := s.tell(used(sub, "1", "traffic", "999", at)); got[0] != metering.Duplicate {
		t.Errorf("told again: %s", got)
	}
	if u := s.usage(sub); u.Net.Minor != 500 || len(u.Meters) != 1 || u.Meters[0].Events != 1 {
		t.Errorf("the running cost is %v, %+v", u.Net, u.Meters)
	}
	s.turn(27 * day) // into the next period
	if got := s.lines(sub); !slices.Equal(got, []string{"VPS Small: Traffic, 150 GB, 100 GB included = 500"}) {
		t.Fatalf("%q", got)
	}
	if got := s.periods(sub); !slices.Equal(got, []string{"01-31–02-28 paid", "02-28–03-31 paid"}) {
		t.Fatalf("%q", got)
	}
	if x := s.get(sub); x.State != renewal.Active || x.Period.From.Format("01-02") != "02-28" || x.MeteredTo.Format("01-02") != "03-31" {
		t.Errorf("%+v", x)
	}
	// What comes late goes onto the next invoice; what was issued stays as it is.
	total := scan[int64](s, "SELECT total_minor FROM invoices WHERE key LIKE 'renewal/%'")
	if got := s.tell(used(sub, "6", "traffic", "1000", at), used(sub, "7", "traffic", "10", s.Clock.Now())); !slices.Equal(got, []metering.Status{"late", "accepted"}) {
		t.Fatalf("%q", got)
	}
	s.turn(31 * day)
	want := []string{
		"VPS Small: Traffic, 150 GB, 100 GB included = 500",
		"VPS Small: Traffic, 1,150 GB, of which some was told after the invoice of its month = 9521", // 1,000 at 0.10, 50 at 0.0042, less 5.00
		"VPS Small: Traffic, 10 GB, 100 GB included = 0",
	}
	if got := s.lines(sub); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if again := scan[int64](s, "SELECT total_minor FROM invoices WHERE key LIKE 'renewal/%' ORDER BY sequence LIMIT 1"); again != total {
		t.Errorf("the first invoice changed from %d to %d", total, again)
	}
	// Each line opens to its own events.
	for position, ids := range map[string][]string{"0": {"1"}, "1": {"6"}} {
		inv := scan[uuid.UUID](s, "SELECT invoice_id FROM invoice_lines l WHERE kind = 'usage' AND net_minor > 0 ORDER BY net_minor LIMIT 1 OFFSET ?::int", position)
		place := scan[int](s, "SELECT position FROM invoice_lines WHERE invoice_id = ? AND kind = 'usage' AND net_minor > 0", inv)
		s.update(func(tx *tenancy.Tx) error {
			l, err := metering.LineOf(t.Context(), tx, inv, place)
			if err != nil {
				return err
			}
			found, n, err := l.Behind(t.Context(), tx, 0, 10)
			var got []string
			for _, e := range found {
				got = append(got, e.ID)
			}
			if !slices.Equal(got, ids) || n != len(ids) {
				t.Errorf("behind line %s are %q of %d", position, got, n)
			}
			return err
		})
		if err := other.db.View(t.Context(), func(tx *tenancy.Tx) error { _, err := metering.LineOf(t.Context(), tx, inv, place); return err }); !fault.Is(err, "invoice.line_not_found") {
			t.Errorf("the other shop: %v", err)
		}
	}
	s.honest()
	other.honest()
	if n := scan[int](other, "SELECT count(*) FROM usage_events"); n != 0 {
		t.Errorf("the other shop has %d events", n)
	}
}

func TestUsageAloneMonthlyAnnualAndAtTheEnd(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "calls", Name: "Calls", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.5"}})
	ida := s.customer("ida", true)
	only, annual := s.sell(ida, billing.Monthly, 0), s.sell(ida, billing.Annual, 9900)
	for i := range 3 {
		now := s.Clock.Now()
		s.tell(used(only, fmt.Sprint("a", i), "calls", "10", now), used(annual, fmt.Sprint("b", i), "calls", "4", now))
		s.turn(31 * day)
	}
	if got := s.lines(only); len(got) != 3 || got[0] != "VPS Small: Calls, 10 = 500" {
		t.Errorf("by use alone: %q", got)
	}
	if got := s.lines(annual); len(got) != 3 || got[2] != "VPS Small: Calls, 4 = 200" {
		t.Errorf("within a year: %q", got)
	}
	if x := s.get(annual); x.Period.To.Format(time.DateOnly) != "2028-01-31" || x.Renewals != 0 || x.State != renewal.Active {
		t.Errorf("the year goes on: %+v", x)
	}
	// What was used before the end is asked for at the end, and not the time after.
	s.tell(used(annual, "last", "calls", "2", s.Clock.Now()))
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: annual, Now: true, Reason: "other"}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(annual); len(got) != 4 || got[3] != "VPS Small: Calls, 2 = 100" {
		t.Errorf("at the end: %q", got)
	}
	if got := s.tell(used(annual, "after", "calls", "2", s.Clock.Now())); got[0] != metering.Refused {
		t.Errorf("after the end: %s", got)
	}
	s.turn(2 * day)
	if n := scan[int](s, "SELECT count(*) FROM invoices WHERE state <> 'paid'"); n != 0 {
		t.Errorf("%d invoices are not paid", n)
	}
	if n := scan[int](s, "SELECT count(*) FROM timeline WHERE key LIKE '%/paid_late/%'"); n != 0 {
		t.Error("the last usage was taken for money that came too late")
	}
	s.honest()
}

func TestFiftyTellTheSame(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(traffic())
	s.meter(catalog.MeterForm{Code: "users", Aggregation: "unique", Attribute: "user", Tiers: map[string]string{"EUR": "1"}})
	s.meter(catalog.MeterForm{Code: "seats", Aggregation: "last", Tiers: map[string]string{"EUR": "1"}})
	s.meter(catalog.MeterForm{Code: "disk", Unit: "GB", Aggregation: "time_weighted", Tiers: map[string]string{"EUR": "1"}})
	s.meter(catalog.MeterForm{Code: "desktop", Name: "Desktop", Aggregation: "sessions", StepMinutes: "15", Tiers: map[string]string{"EUR": "0.20"}})
	ida := s.customer("ida", true)
	subs := []uuid.UUID{s.sell(ida, billing.Monthly, 100), s.sell(ida, billing.Monthly, 100)}
	s.Clock.Advance(day)
	now := s.Clock.Now()
	var batch []metering.Event
	for i := range 60 {
		at, sub := now.Add(-time.Duration(i)*7*time.Minute), subs[i%2]
		id := fmt.Sprint(i)
		batch = append(batch, used(sub, "t"+id, "traffic", "2.5", at), used(sub, "s"+id, "seats", id, at), used(sub, "d"+id, "disk", id, at))
		e := used(sub, "u"+id, "users", "", at)
		e.Attributes = map[string]string{"user": fmt.Sprint(i % 7)}
		x := used(sub, "x"+id, "desktop", "", at)
		x.Attributes, x.Phase = map[string]string{"session": fmt.Sprint(i / 4)}, []string{billing.PhaseStop, billing.PhaseStart}[i/2%2]
		batch = append(batch, e, x)
	}
	var all sync.WaitGroup
	counts := make([]map[metering.Status]int, 50)
	for g := range counts {
		all.Go(func() {
			mine := slices.Clone(batch)
			if g%2 == 1 {
				slices.Reverse(mine)
			}
			out, err := s.meters().Record(t.Context(), s.db, mine)
			if err != nil {
				t.Error(err)
				return
			}
			counts[g] = map[metering.Status]int{}
			for _, o := range out {
				counts[g][o.Status]++
			}
		})
	}
	all.Wait()
	accepted := 0
	for _, c := range counts {
		accepted += c[metering.Accepted]
		if c[metering.Accepted]+c[metering.Duplicate] != len(batch) {
			t.Errorf("a batch became %v", c)
		}
	}
	if accepted != len(batch) || scan[int](s, "SELECT count(*) FROM usage_events") != len(batch) {
		t.Errorf("%d of %d were accepted", accepted, len(batch))
	}
	for _, sub := range subs {
		u := s.usage(sub)
		got := map[string]string{}
		for _, m := range u.Meters {
			got[m.Meter.Code] = billing.FormatQuantity(m.Quantity)
		}
		if got["traffic"] != "75" || got["users"] != "7" || got["desktop"] == "0" {
			t.Errorf("%v", got)
		}
	}
	s.honest()
	// The database went away in the middle: nothing of the batch is there.
	before := scan[int](s, "SELECT count(*) FROM usage_events")
	err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
		if _, err := s.meters().RecordIn(t.Context(), tx, []metering.Event{used(subs[0], "gone", "traffic", "1", now)}); err != nil {
			return err
		}
		return errors.New("the end")
	})
	if err == nil || scan[int](s, "SELECT count(*) FROM usage_events") != before {
		t.Errorf("%v", err)
	}
	if got := s.tell(used(subs[0], "gone", "traffic", "1", now)); got[0] != metering.Accepted {
		t.Errorf("told after all: %s", got)
	}
	s.honest()
}

func TestSessionsOverTheEndOfAMonth(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "desktop", Name: "Desktop", Aggregation: "sessions", StepMinutes: "15", Tiers: map[string]string{"EUR": "0.20"}})
	s.meter(catalog.MeterForm{Code: "disk", Name: "Disk", Unit: "GB", Aggregation: "time_weighted", Tiers: map[string]string{"EUR": "1"}})
	sub := s.sell(s.customer("ida", true), billing.Monthly, 100)
	end := s.get(sub).MeteredTo
	phase := func(id, phase string, at time.Time) metering.Event {
		e := used(sub, id, "desktop", "", at)
		e.Phase, e.Attributes = phase, map[string]string{"session": "one"}
		return e
	}
	s.tell(used(sub, "disk", "disk", "10", january))
	s.Clock.Set(end.Add(-50 * time.Minute))
	s.tell(phase("a", billing.PhaseStart, s.Clock.Now()))
	s.Clock.Set(end.Add(20 * time.Minute))
	s.tick()
	// 50 minutes are four steps begun; the disk held 10 all month.
	if got := s.lines(sub); !slices.Equal(got, []string{"VPS Small: Desktop, 1 hour = 20", "VPS Small: Disk, 10 GB = 1000"}) {
		t.Fatalf("%q", got)
	}
	if u := s.usage(sub); u.Meters[0].Running != 1 || u.Meters[0].Charge.Net.Minor != 5 {
		t.Errorf("20 minutes on: %+v", u.Meters[0])
	}
	s.Clock.Set(end.Add(25 * time.Minute))
	s.tell(phase("b", billing.PhaseStop, end.Add(15*time.Minute)))
	s.honest()
	s.turn(32 * day)
	// 65 minutes are five steps in all: one was begun after the end of the month.
	if got := s.lines(sub); !slices.Equal(got[2:], []string{"VPS Small: Desktop, 0.25 hours = 5", "VPS Small: Disk, 10 GB = 1000"}) {
		t.Errorf("%q", got)
	}
	s.honest()
}

func TestLimitsAreToldOnceAMonthAndStopTheService(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	s.meter(catalog.MeterForm{Code: "calls", Name: "Calls", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.10"}})
	s.meter(catalog.MeterForm{Code: "quota", Name: "Quota", Aggregation: "sum", Included: "5", Capped: true, Tiers: map[string]string{"EUR": "0"}})
	ida := s.customer("ida", true)
	sub := s.sell(ida, billing.Monthly, 100)
	s.exec(`UPDATE accounts SET billing = '{"name": "Ida", "email": "ida@example.com"}' WHERE id = ?`, ida)
	desk := s.meters()
	if err := desk.SetLimit(t.Context(), other.db, sub, uuid.Nil, nil, audit.Origin{}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("the other shop: %v", err)
	}
	if err := desk.SetLimit(t.Context(), s.db, sub, uuid.New(), nil, audit.Origin{}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another account: %v", err)
	}
	if err := desk.SetLimit(t.Context(), s.db, sub, ida, &metering.Limit{Minor: -1}, audit.Origin{}); !fault.Is(err, "spend.bad_limit") {
		t.Errorf("less than nothing: %v", err)
	}
	if err := desk.SetLimit(t.Context(), s.db, sub, ida, &metering.Limit{Minor: 1000, Stop: true}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	told := func() []string {
		return scanAll[string](s, "SELECT text FROM timeline WHERE kind = 'subscription.spend' ORDER BY at, key")
	}
	for i, calls := range []string{"40", "10", "10", "20", "15"} { // 40, 50, 60, 80, 95
		s.Clock.Advance(time.Minute)
		s.tell(used(sub, fmt.Sprint(i), "calls", calls, s.Clock.Now()))
	}
	if got := told(); len(got) != 3 || !strings.Contains(got[2], "90 %") || s.letters("spend_limit") != 3 || s.wants(sub) != "active" {
		t.Fatalf("%q, %d letters, the service is to be %s", got, s.letters("spend_limit"), s.wants(sub))
	}
	s.Clock.Advance(time.Minute)
	s.tell(used(sub, "6", "calls", "5", s.Clock.Now()))
	if s.wants(sub) != "suspended" || s.letters("spend_limit") != 4 {
		t.Fatalf("at the limit it is to be %s, %q", s.wants(sub), told())
	}
	if err := desk.SetLimit(t.Context(), s.db, sub, ida, &metering.Limit{Minor: 2000, Stop: true}, audit.Origin{}); err != nil || s.wants(sub) != "active" {
		t.Fatalf("with a higher limit it is to be %s, %v", s.wants(sub), err)
	}
	s.tell(used(sub, "7", "calls", "100", s.Clock.Now()))
	if s.wants(sub) != "suspended" {
		t.Fatal("at the higher limit it runs on")
	}
	// A quota is no limit of money: more is refused, and what was told is known.
	if got := s.tell(used(sub, "q1", "quota", "4", s.Clock.Now()), used(sub, "q2", "quota", "2", s.Clock.Now()), used(sub, "q3", "quota", "1", s.Clock.Now())); !slices.Equal(got, []metering.Status{"accepted", "refused", "accepted"}) {
		t.Errorf("%q", got)
	}
	if got := s.tell(used(sub, "q1", "quota", "4", s.Clock.Now()), used(sub, "q2", "quota", "2", s.Clock.Now())); !slices.Equal(got, []metering.Status{"duplicate", "refused"}) {
		t.Errorf("again: %q", got)
	}
	s.turn(29 * day)
	if s.wants(sub) != "active" {
		t.Error("in the next month it is off")
	}
	if got := s.tell(used(sub, "q4", "quota", "5", s.Clock.Now())); got[0] != metering.Accepted {
		t.Errorf("the quota of the next month: %q", got)
	}
	s.honest()
}

func TestAServiceTellsItsHours(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(catalog.MeterForm{Code: "desktop", Name: "Desktop", Aggregation: "sessions", Feed: catalog.FeedPower, Tiers: map[string]string{"EUR": "0.20"}})
	sub := s.sell(s.customer("ida", true), billing.Monthly, 100)
	service, desk := s.get(sub).ServiceID, s.meters()
	s.Clock.Advance(12 * time.Hour)
	on := s.Clock.Now().Add(-8 * time.Hour)
	powered := func(since, until time.Time) {
		t.Helper()
		if err := desk.Powered(t.Context(), s.db, sub, service, since, until); err != nil {
			t.Fatal(err)
		}
	}
	// The end is told before the beginning, and both twice.
	for range 2 {
		powered(on, on.Add(65*time.Minute))
		powered(on, time.Time{})
	}
	powered(s.Clock.Now().Add(-8*time.Minute), time.Time{})
	if u := s.usage(sub); u.Net.Minor != 30 || u.Meters[0].Running != 1 { // 65 minutes are 0.25, eight are 0.05
		t.Errorf("%v, %+v", u.Net, u.Meters)
	}
	e := used(sub, "x", "desktop", "", s.Clock.Now())
	e.Phase, e.Attributes = billing.PhaseStart, map[string]string{"session": "x"}
	if got := s.tell(e); got[0] != metering.Refused {
		t.Errorf("a program tells what the service does: %s", got)
	}
	s.honest()
	// What runs without being told comes to the limit too.
	if err := desk.SetLimit(t.Context(), s.db, sub, uuid.Nil, &metering.Limit{Minor: 100, Stop: true}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(3 * time.Hour)
	if err := desk.Look(t.Context(), s.db, s.Clock.Now()); err != nil || s.wants(sub) != "active" {
		t.Fatalf("%v, %s", err, s.wants(sub))
	}
	s.Clock.Advance(time.Hour)
	if err := desk.Look(t.Context(), s.db, s.Clock.Now()); err != nil || s.wants(sub) != "suspended" {
		t.Fatalf("%v, %s", err, s.wants(sub))
	}
	powered(s.Clock.Now().Add(-4*time.Hour-8*time.Minute), s.Clock.Now())
	s.honest()
	// Old events are forgotten, and what they came to stays.
	s.update(func(tx *tenancy.Tx) error {
		n, err := metering.Forget(t.Context(), tx, 1000)
		if n != 0 {
			t.Errorf("%d young events were forgotten", n)
		}
		return err
	})
}

// TestUsageOfWhatIsCancelled: until the end of a year that is paid the months of usage are
// invoiced as ever.
func TestUsageOfWhatIsCancelled(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	s.meter(traffic())
	sub := s.sell(s.customer("ida", true), billing.Annual, 10000)
	s.Clock.Advance(day)
	s.tell(used(sub, "1", "traffic", "200", s.Clock.Now()))
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	s.turn(35 * day)
	if got := s.lines(sub); len(got) != 1 {
		t.Errorf("a month of usage of what is cancelled, but runs: %q", got)
	}
	s.honest()
}
