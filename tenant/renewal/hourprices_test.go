package renewal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// hoursScene sells the plan by the hour at 0.02, and Medium at 0.05 an hour without a most.
func hoursScene(t *testing.T) *scene {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	s.byHoursToo("m", "0.05")
	return s
}

// byHoursToo sells another plan of the product by the hour.
func (s *scene) byHoursToo(slug, rate string) {
	s.t.Helper()
	plan := scan[uuid.UUID](s.shop, "SELECT id FROM plans WHERE slug = ?", slug)
	f := catalog.MeterForm{PlanID: plan, Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Model: "graduated", Tiers: map[string]string{"EUR": rate}}
	if _, err := catalog.SaveMeter(s.t.Context(), s.db, f, audit.Origin{}); err != nil {
		s.t.Fatal(err)
	}
	s.exec("INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'hourly', 0, 0)", plan)
}

// change has something changed at once, for nothing today.
func (s *scene) change(sub uuid.UUID, plan string, options map[string]string) {
	s.t.Helper()
	q := s.accept(s.quote(sub, plan, "", options))
	if !q.Total.IsZero() || q.Price.AtRenewal {
		s.t.Fatalf("%s today, at the renewal: %t", q.Total, q.Price.AtRenewal)
	}
	s.work()
}

func (s *scene) ends(sub uuid.UUID) {
	s.t.Helper()
	if _, err := s.desk.Cancel(s.t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		s.t.Fatal(err)
	}
}

// TestOptionsByTheHour: what is chosen beside hours is paid by the hour, each by itself: what ran
// ten hours pays ten hours of its addresses, and not a month.
func TestOptionsByTheHour(t *testing.T) {
	s := hoursScene(t)
	sub := s.runsHours(s.customer("ida", true))
	s.Clock.Advance(20 * time.Minute)
	s.change(sub, "", map[string]string{"ipv4": "2"}) // 3.00 a month each: 0.00417 an hour
	if x := s.get(sub); !x.Amount.IsZero() || x.Paid("en") != "€0.02834 an hour, at most €15.00 a month" {
		t.Fatalf("%q", x.Paid("en"))
	}
	s.Clock.Advance(9*time.Hour + 30*time.Minute)
	if u := s.usage(sub); u.Net.Minor != 20+8 || len(u.Meters) != 1 || len(u.Meters[0].Hours) != 2 || u.Meters[0].Running != 1 {
		t.Errorf("ten hours: %s %+v", u.Net, u.Meters)
	}
	s.change(sub, "", map[string]string{"ipv4": "0"}) // in the tenth, which is paid with them
	s.Clock.Advance(90 * time.Minute)
	s.ends(sub)
	if got := s.lines(sub); !slices.Equal(got, []string{"VPS Small: Hours, 12 hours = 24", "VPS Small: Addresses: 2, 10 hours = 8"}) {
		t.Errorf("%q", got)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM invoice_lines WHERE subscription_id = ? AND kind = 'usage' AND meter_id IS NOT NULL", sub); n != 2 {
		t.Errorf("%d lines open to their events", n)
	}
	s.honest()
	s.books()
}

// TestTheHourOfAChangeIsPaidOnce: at the dearer of the two prices, however often something is
// changed within it.
func TestTheHourOfAChangeIsPaidOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		to    []string // plans, twenty minutes apart, the first after twenty of the third hour
		after time.Duration
		want  []string
	}{
		{"to a dearer one", []string{"m"}, 100 * time.Minute, []string{"Small: Hours, 2 hours = 4", "Medium: Hours, 2 hours = 10"}},
		{"to a dearer one and back", []string{"m", "s"}, 80 * time.Minute, []string{"Small: Hours, 3 hours = 6", "Medium: Hours, 1 hour = 5"}},
		{"to a cheaper one", []string{"l"}, 100 * time.Minute, []string{"Small: Hours, 3 hours = 6", "Large: Hours, 1 hour = 1"}},
		{"to a cheaper and a dearer one", []string{"l", "m"}, 20 * time.Minute, []string{"Small: Hours, 2 hours = 4", "Medium: Hours, 1 hour = 5"}},
		{"cancelled within the hour", []string{"l"}, 10 * time.Minute, []string{"Small: Hours, 3 hours = 6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hoursScene(t)
			s.byHoursToo("l", "0.01")
			sub := s.runsHours(s.customer("ida", true))
			s.Clock.Advance(2 * time.Hour)
			for _, plan := range c.to {
				s.Clock.Advance(20 * time.Minute)
				s.change(sub, plan, nil)
			}
			s.Clock.Advance(c.after)
			var want int64
			for _, l := range c.want {
				var n int64
				if _, err := fmt.Sscanf(l[strings.LastIndex(l, "= "):], "= %d", &n); err != nil {
					t.Fatal(err)
				}
				want += n
			}
			if u := s.usage(sub); u.Net.Minor != want {
				t.Errorf("so far %s", u.Net)
			}
			s.ends(sub)
			got := s.lines(sub)
			for i := range got { // the label is that of the end
				_, got[i], _ = strings.Cut(got[i], ": ")
			}
			var hours []string
			for _, l := range c.want {
				_, l, _ = strings.Cut(l, ": ")
				hours = append(hours, l)
			}
			slices.Sort(got)
			if slices.Sort(hours); !slices.Equal(got, hours) {
				t.Errorf("%q, want %q", got, hours)
			}
			s.honest()
		})
	}
}

// TestAPauseKeepsTheHour: what was left of the hour that had begun is left of it after a pause, so
// hours end with what is paid; a change to a month in the last of them pays no time twice.
func TestAPauseKeepsTheHour(t *testing.T) {
	s := hoursScene(t)
	sub := s.runsHours(s.customer("ida", true))
	s.Clock.Advance(20 * time.Minute)
	if _, err := s.desk.Pause(t.Context(), s.db, renewal.PauseRequest{SubscriptionID: sub, Days: 5}, somebody); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(30*time.Hour + 7*time.Minute)
	if _, err := s.desk.Continue(t.Context(), s.db, sub, uuid.Nil, somebody); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(39 * time.Minute)
	if u := s.usage(sub); u.Net.Minor != 2 {
		t.Errorf("the hour before the pause is paid again: %s", u.Net)
	}
	s.Clock.Advance(2 * time.Minute)
	if u := s.usage(sub); u.Net.Minor != 4 {
		t.Errorf("with the hour after it: %s", u.Net)
	}
	end := s.get(sub).Period.To
	s.turn(end.Sub(s.Clock.Now()) - 6*time.Hour)
	s.Clock.Set(end.Add(-20 * time.Minute))
	s.work()
	q := s.quote(sub, "", billing.Monthly, nil)
	if !q.Total.IsZero() || !q.HourEnd.Equal(end) {
		t.Errorf("%s today, the hour ends %s and what is paid %s", q.Total, q.HourEnd, end)
	}
	s.honest()
}

// TestMonthsOfNothing: a month in which no hour runs has no invoice, and the next one begins with it.
func TestMonthsOfNothing(t *testing.T) {
	s := hoursScene(t)
	sub := s.runsHours(s.customer("ida", true))
	s.update(func(tx *tenancy.Tx) error { return metering.Rest(t.Context(), tx, sub) })
	s.listen()
	s.turn(newYear.AddDate(0, 2, 1).Sub(s.Clock.Now()))
	if n := scan[int](s.shop, "SELECT count(*) FROM invoices WHERE key LIKE 'renewal/%'"); n != 0 {
		t.Errorf("%d invoices over nothing", n)
	}
	if x := s.get(sub); x.State != renewal.Active || !x.Period.From.Equal(newYear.AddDate(0, 2, 0)) || x.Renewals != 2 {
		t.Errorf("%s, %d renewals, %v", x.State, x.Renewals, x.Period)
	}
	if got := s.heard("subscription.renewed"); len(got) != 2 {
		t.Errorf("programs hear %q", got)
	}
	s.update(func(tx *tenancy.Tx) error { return metering.Live(t.Context(), tx, sub) })
	s.turn(newYear.AddDate(0, 3, 1).Sub(s.Clock.Now()))
	if got := s.lines(sub); len(got) != 1 || !strings.HasSuffix(got[0], "the most a month = 900") {
		t.Errorf("%q", got)
	}
	s.honest()
	s.books()
}

func wrongAt(err error, field string) bool { return err != nil && fault.From(err).Fields[field] != "" }

// TestAPriceOfAnHourThatWasAgreedOn counts for who has it from the next month on, for orders and
// changes, and ends with notice.
func TestAPriceOfAnHourThatWasAgreedOn(t *testing.T) {
	s := hoursScene(t)
	ida, otto := s.customer("ida", true), s.customer("otto", true)
	sub, other, more := s.runsHours(ida), s.runsHours(otto), s.runsHours(ida)
	agree := func(f agreed.Form) (agreed.Price, error) {
		f.AccountID, f.Plan = ida, s.plan.String()
		return s.desk.Agree(t.Context(), s.db, f, s.by)
	}
	for field, f := range map[string]agreed.Form{
		"amount": {Cycle: "hourly", Amount: "none"}, "most": {Cycle: "hourly", Amount: "0.01", Most: "-3"}, "cycle": {Cycle: "annual", Percent: "5"},
	} {
		if _, err := agree(f); field != "cycle" && !wrongAt(err, field) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if _, err := agree(agreed.Form{Cycle: "monthly", Amount: "5.00", Most: "3.00"}); !wrongAt(err, "most") {
		t.Errorf("a most of months: %v", err)
	}
	p, err := agree(agreed.Form{Cycle: "hourly", Amount: "0.015", Most: "6.00", Running: true})
	if err != nil || p.Says("en") != "€0.015 an hour, at most €6.00 a month" {
		t.Fatalf("%q %v", p.Says("en"), err)
	}
	if next, at, waits := s.get(sub).NextPriced(); !waits || next.Paid("en") != "€0.015 an hour, at most €6.00 a month" || !at.Equal(newYear.AddDate(0, 1, 0)) {
		t.Errorf("%q from %s, %t", next.Paid("en"), at, waits)
	}
	if _, _, waits := s.get(other).NextPriced(); waits {
		t.Error("it waits for somebody else")
	}
	s.change(more, "m", nil)
	s.change(more, "s", nil)
	if x := s.get(more); x.Paid("en") != "€0.015 an hour, at most €6.00 a month" || x.Items[0].PriceID != p.ID {
		t.Errorf("after a change and back: %q", x.Paid("en"))
	}
	s.lives(newYear.AddDate(0, 2, 1))
	if got := s.lines(sub); !slices.Equal(got, []string{"VPS Small: Hours, 744 hours, the most a month = 900", "VPS Small: Hours, 672 hours, the most a month = 600"}) {
		t.Errorf("%q", got)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM invoice_lines WHERE subscription_id = ? AND price_id = ?", sub, p.ID); n == 0 {
		t.Error("no line says what set its price")
	}
	if got := s.lines(other); len(got) != 2 || !strings.HasSuffix(got[1], "= 900") {
		t.Errorf("of somebody else: %q", got)
	}
	if err := s.desk.Disagree(t.Context(), s.db, p.ID, ida, s.by); err != nil {
		t.Fatal(err)
	}
	s.mailsOut = true
	s.prices()
	s.lives(newYear.AddDate(0, 5, 1))
	if got := s.lines(sub); len(got) != 5 || !strings.HasSuffix(got[2], "= 600") || !strings.HasSuffix(got[4], "= 900") {
		t.Errorf("ended with notice: %q", got)
	}
	s.honest()
	s.books()
}

// TestAnHourCostsMoreFromADayOn: for orders from that day, and for who has it with the first month
// that begins 30 days after the letter; or for orders alone.
func TestAnHourCostsMoreFromADayOn(t *testing.T) {
	for _, running := range []bool{true, false} {
		s := hoursScene(t)
		s.mailsOut = true
		sub := s.runsHours(s.customer("ida", true))
		from := newYear.AddDate(0, 0, 40)
		if _, err := renewal.SchedulePrice(t.Context(), s.db, renewal.PriceForm{PlanID: s.plan, From: from.Format(time.DateOnly), Prices: map[string]string{"price.EUR.hourly": "much", "most.EUR": "?"}}, s.by); !wrongAt(err, "price.EUR.hourly") {
			t.Errorf("%v", err)
		}
		c := s.schedule(s.plan, uuid.Nil, from, running, map[string]string{"price.EUR.hourly": "0.03", "most.EUR": "12.00"})
		if was, now := c.Cells[0].Words("en"); len(c.Cells) != 1 || was != "€0.02 an hour, at most €9.00 a month" || now != "€0.03 an hour, at most €12.00 a month" {
			t.Errorf("%q becomes %q", was, now)
		}
		s.prices()
		if letters := scanAll[string](s.shop, "SELECT key FROM mails WHERE template = 'price_change'"); running != (len(letters) == 1) {
			t.Errorf("%q", letters)
		}
		s.lives(from.Add(36 * time.Hour))
		s.prices()
		var plan catalog.FullPlan
		s.update(func(tx *tenancy.Tx) (err error) {
			plan, err = catalog.ByID(t.Context(), tx, s.plan)
			return err
		})
		if p, ok := plan.Price("EUR", billing.Hourly); !ok || p.Hours.Words("en") != "€0.03 an hour, at most €12.00 a month" {
			t.Errorf("on the shelf: %+v", p.Hours)
		}
		s.lives(newYear.AddDate(0, 3, 1))
		want := []string{"900", "900", "900"}
		if running {
			want = []string{"900", "900", "1200"}
		}
		for i, l := range s.lines(sub) {
			if !strings.HasSuffix(l, "the most a month = "+want[i]) {
				t.Errorf("month %d: %q", i+1, l)
			}
		}
		s.honest()
	}
}

// TestCodesAndLoyaltyOffHours: a share or an amount off the hours of the months it counts for, all of
// them for some months, and loyalty by tenure, of which the best counts.
func TestCodesAndLoyaltyOffHours(t *testing.T) {
	s := hoursScene(t)
	off := func(d billing.Discount) func(*renewal.New) { return func(n *renewal.New) { n.Discount = &d } }
	half := s.runsHours(s.customer("ida", true), off(billing.Discount{Code: "HALF", Ppm: 500_000, Cycles: 2}))
	five := s.runsHours(s.customer("otto", true), off(billing.Discount{Code: "FIVE", Off: billing.Money{Minor: 500, Currency: "EUR"}}))
	free := s.runsHours(s.customer("pia", true), off(billing.Discount{Code: "FREE", Ppm: billing.PpmWhole, Cycles: 1}))
	loyal := s.runsHours(s.customer("una", true))
	s.exec("UPDATE orders SET paid_at = ?", newYear)
	s.policy(func(p *renewal.Policy) { p.Loyalty = billing.Loyalty{{Months: 2, Ppm: 100_000}} })
	s.Clock.Advance(5*time.Hour + 30*time.Minute)
	for sub, want := range map[uuid.UUID]int64{half: 6, five: 0, free: 0, loyal: 12} {
		if u := s.usage(sub); u.Net.Minor != want {
			t.Errorf("six hours come to %s, not %d", u.Net, want)
		}
	}
	if words := s.get(half).HoursOff(); words != "50 % off with HALF" {
		t.Errorf("%q", words)
	}
	s.change(five, "m", nil) // an amount is taken off a month once, whatever runs in it
	s.change(five, "s", nil)
	s.lives(newYear.AddDate(0, 3, 1))
	for sub, want := range map[uuid.UUID][]string{
		half:  {"744 hours, the most a month, 50 % off with HALF = 450", "672 hours, the most a month, 50 % off with HALF = 450", "744 hours, the most a month, 10 % off with loyalty = 810"},
		free:  {"744 hours, the most a month, 100 % off with FREE = 0", "672 hours, the most a month = 900", "744 hours, the most a month, 10 % off with loyalty = 810"},
		loyal: {"744 hours, the most a month = 900", "672 hours, the most a month = 900", "744 hours, the most a month, 10 % off with loyalty = 810"},
	} {
		got := s.lines(sub)
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], "Hours, ")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	sums := scanAll[int64](s.shop, "SELECT sum(l.net_minor)::bigint FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND l.kind = 'usage' GROUP BY i.id, i.sequence ORDER BY i.sequence", five)
	if !slices.Equal(sums, []int64{900 + 5 - 500, 400, 400}) {
		t.Errorf("five less a month: %d", sums)
	}
	s.honest()
	s.books()
}

// TestATrialOfHours: nothing is counted before its end, and what is owed then is the fee alone, or
// nothing at all.
func TestATrialOfHours(t *testing.T) {
	s := hoursScene(t)
	hourly := func(n *renewal.New) {
		n.Cycle, n.Amount.Minor, n.Items[0].AmountMinor, n.Items[0].Hour = billing.Hourly, 0, 0, s.hour("0.02", 900)
	}
	fee := s.try(s.customer("ida", true), hourly)
	none := s.try(s.customer("otto", true), hourly, func(n *renewal.New) { n.Trial.Once = nil })
	s.lives(newYear.AddDate(0, 0, 14).Add(13 * time.Hour))
	if got := s.invoiced(fee); !slices.Equal(got, []string{"plan 0", "setup 500"}) {
		t.Errorf("%q", got)
	}
	if got := s.invoiced(none); len(got) != 0 {
		t.Errorf("nothing is owed: %q", got)
	}
	for _, sub := range []uuid.UUID{fee, none} {
		x := s.get(sub)
		if u := s.usage(sub); x.State != renewal.Active || u.Meters[0].Running != 1 || u.Net.Minor < 2 || u.Net.Minor > 48 || !x.Period.From.Equal(newYear.AddDate(0, 0, 14)) {
			t.Errorf("%s in %v: %s %+v", x.State, x.Period, u.Net, u.Meters)
		}
	}
	if x := s.get(none); x.Trial.PaidAt.IsZero() {
		t.Error("it is not converted")
	}
	s.honest()
}
