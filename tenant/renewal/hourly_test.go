package renewal_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// newYear is when a month of 31 days begins.
var newYear = time.Date(2027, 1, 1, 9, 30, 0, 0, time.UTC)

// byHours sells the plan by the hour too: 0.02 an hour, at most 9.00 a month.
func (s *scene) byHours() {
	s.t.Helper()
	s.meter(catalog.MeterForm{Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Tiers: map[string]string{"EUR": "0.02"}, Most: map[string]string{"EUR": "9.00"}})
	s.exec("INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'hourly', 0, 0)", s.plan)
}

// lives lets time pass, with the jobs there are, and what follows invoices over nothing.
func (s *scene) lives(until time.Time) {
	s.t.Helper()
	for s.Clock.Now().Before(until) {
		s.turn(12 * time.Hour)
		s.work()
		for _, id := range scanAll[uuid.UUID](s.shop, "SELECT id FROM invoices WHERE total_minor = 0 AND kind = 'invoice'") {
			if err := s.desk.Paid(s.t.Context(), s.db, id); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// runsHours sells a subscription by the hour whose service runs.
func (s *scene) runsHours(account uuid.UUID) uuid.UUID {
	s.t.Helper()
	sub := s.sell(account, billing.Hourly, 0)
	rate, err := billing.ParseRate("0.02", "EUR")
	if err != nil {
		s.t.Fatal(err)
	}
	hour, err := json.Marshal(renewal.HourOf(billing.HourPrice{Rate: rate, Most: billing.Money{Minor: 900, Currency: "EUR"}}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec("UPDATE subscriptions SET items = jsonb_set(items, '{0,hour}', ?::jsonb) WHERE id = ?", string(hour), sub)
	s.work()
	return sub
}

// TestHoursAreACycle: one plan by the hour and by the month. Hours count for who pays by the hour
// and for nobody else, are invoiced every month up to the most, and are recurring revenue once a
// month of them was invoiced.
func TestHoursAreACycle(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	hours, month := s.runsHours(s.customer("ida", true)), s.sell(s.customer("otto", true), billing.Monthly, 1000)
	s.work()
	if x := s.get(hours); x.Paid("en") != "€0.02 an hour, at most €9.00 a month" || x.MeteredTo.IsZero() || x.MayPrepay(s.Clock.Now()) != 0 {
		t.Errorf("%q, metered to %s", x.Paid("en"), x.MeteredTo)
	}
	if x := s.get(month); x.Paid("en") != "€10.00 a month" || !x.MeteredTo.IsZero() || s.usage(month).Metered() {
		t.Errorf("by the month: %q, metered to %s", x.Paid("en"), x.MeteredTo)
	}
	s.Clock.Advance(90 * time.Minute)
	if u := s.usage(hours); u.Net.Minor != 4 || u.Meters[0].Running != 1 {
		t.Errorf("%v %+v", u.Net, u.Meters)
	}
	var next []renewal.Foreseen
	s.update(func(tx *tenancy.Tx) (err error) {
		next, err = renewal.Upcoming(t.Context(), tx, s.get(hours).AccountID, 3)
		return err
	})
	if len(next) != 3 || next[0].Net.Minor != 4 || next[1].Net.Minor != 900 || next[2].Net.Minor != 900 || !next[1].Period.From.Equal(newYear.AddDate(0, 2, 0)) {
		t.Errorf("foreseen: %+v", next)
	}
	s.update(func(tx *tenancy.Tx) (err error) {
		next, err = renewal.UpcomingOf(t.Context(), tx, s.get(hours).AccountID, []renewal.Subscription{s.get(hours)}, 2)
		return err
	})
	if len(next) != 2 || next[0].Net.Minor != 900 || next[1].Net.Minor != 900 {
		t.Errorf("foreseen, as if it runs on: %+v", next)
	}
	if mrr := s.figure("mrr"); mrr != 1000 {
		t.Errorf("recurring before anything of it was invoiced: %d", mrr)
	}
	s.lives(newYear.AddDate(0, 1, 1))
	if got := s.lines(hours); len(got) != 1 || !strings.HasSuffix(got[0], "Hours, 744 hours, the most a month = 900") {
		t.Errorf("a month of hours: %q", got)
	}
	if got := s.lines(month); len(got) != 0 {
		t.Errorf("hours of who pays by the month: %q", got)
	}
	if mrr := s.figure("mrr"); mrr != 1900 {
		t.Errorf("recurring: %d", mrr)
	}
	if got := scan[int64](s.shop, "SELECT "+hosting.RetailMinor+" FROM subscriptions b WHERE b.id = ?", hours); got != 900 {
		t.Errorf("the platform hears that a full month costs %d", got)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: hours, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	if got := s.lines(hours); len(got) != 2 || strings.HasSuffix(got[1], " = 900") {
		t.Errorf("its end: %q", got)
	}
	s.honest()
	s.books()
}

// TestFromHoursToAMonthAndBack: by quote, to the cent, and the begun hour is paid once, however
// late the change is paid.
func TestFromHoursToAMonthAndBack(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	s.exec("UPDATE plans SET downgrade = 'credit'")
	sub := s.runsHours(s.customer("ida", true))
	s.Clock.Advance(84*time.Hour + 30*time.Minute)
	q := s.quote(sub, "", billing.Monthly, nil)
	want, err := billing.Rest(billing.Money{Minor: 1000, Currency: "EUR"}, billing.Monthly.Period(newYear, 0, time.UTC), newYear.Add(85*time.Hour))
	if err != nil || q.Net != want || len(q.Price.Lines) != 1 || q.Terms.Cycle != billing.Monthly || !q.HourEnd.Equal(newYear.Add(85*time.Hour)) {
		t.Fatalf("%s, want %s: %+v", q.Net, want, q.Price)
	}
	q = s.accept(q)
	s.Clock.Advance(5 * time.Hour) // it is paid later: what it costs counts from when it was asked
	s.settle(q.InvoiceID)
	s.work()
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if u := s.usage(sub); u.Net.Minor != 170 || u.Meters[0].Running != 0 {
		t.Fatalf("85 hours came to %s, %+v", u.Net, u.Meters)
	}
	s.turn(5 * 24 * time.Hour)
	s.work()
	if u := s.usage(sub); u.Net.Minor != 170 {
		t.Errorf("hours go on by the month: %s", u.Net)
	}
	at := s.Clock.Now()
	q = s.quote(sub, "", billing.Hourly, nil)
	left, err := billing.Rest(billing.Money{Minor: 1000, Currency: "EUR"}, billing.Monthly.Period(newYear, 0, time.UTC), at)
	if err != nil || q.Back != left || q.Price.Return != billing.DowngradeCredit || q.Terms.Paid("en") != "€0.02 an hour, at most €9.00 a month" {
		t.Fatalf("back: %s, want %s; %+v", q.Back, left, q.Price)
	}
	s.accept(q)
	s.work()
	s.want(sub, "VPS Small 0 hourly, change none, sku vps-s")
	if x := s.get(sub); x.Credit != left {
		t.Errorf("credit: %s", x.Credit)
	}
	s.Clock.Advance(90 * time.Minute)
	if u := s.usage(sub); u.Net.Minor != 174 {
		t.Errorf("two hours more: %s, %+v", u.Net, u.Meters)
	}
	s.lives(newYear.AddDate(0, 1, 1))
	ran := int64(newYear.AddDate(0, 1, 0).Sub(at)/time.Hour) + 85
	if got := s.lines(sub); len(got) != 1 || !strings.HasSuffix(got[0], " = "+strconv.FormatInt(min(900, 2*ran), 10)) {
		t.Errorf("the month: %q, ran %d", got, ran)
	}
	s.honest()
	s.books()
}

// TestHoursFromARenewalOn: a change that is made with the next period begins its hours with it, and
// ends them with it.
func TestHoursFromARenewalOn(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	s.exec("UPDATE plans SET upgrade = 'at_renewal'")
	sub := s.runs(s.customer("ida", true), 1000)
	s.Clock.Advance(10 * 24 * time.Hour)
	q := s.accept(s.quote(sub, "", billing.Hourly, nil))
	if !q.Price.AtRenewal || !q.Price.From.Equal(newYear.AddDate(0, 1, 0)) {
		t.Fatalf("%+v", q.Price)
	}
	s.lives(newYear.AddDate(0, 1, 0).Add(36 * time.Hour))
	s.want(sub, "VPS Small 0 hourly, change none, sku vps-s")
	if got := s.lines(sub); len(got) != 0 {
		t.Errorf("hours of a month that was paid: %q", got)
	}
	if u := s.usage(sub); u.Net.Minor != 2*int64(s.Clock.Now().Sub(newYear.AddDate(0, 1, 0))/time.Hour) {
		t.Errorf("since the renewal: %s after %s", u.Net, s.Clock.Now().Sub(newYear.AddDate(0, 1, 0)))
	}
	s.accept(s.quote(sub, "", billing.Monthly, nil))
	s.lives(newYear.AddDate(0, 2, 2))
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if got := s.lines(sub); len(got) != 1 || !strings.HasSuffix(got[0], "Hours, 672 hours, the most a month = 900") {
		t.Errorf("February: %q", got)
	}
	if u := s.usage(sub); u.Net.Minor != 0 {
		t.Errorf("hours in March: %s", u.Net)
	}
	s.honest()
	s.books()
}

// TestOptionsBesideHours: what is chosen besides is paid by the month, in full, and nothing of it
// is free or left out.
func TestOptionsBesideHours(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	sub := s.runsHours(s.customer("ida", true))
	q := s.accept(s.quote(sub, "", "", map[string]string{"ipv4": "2"}))
	if q.Net.Minor != 600 {
		t.Fatalf("two addresses: %s", q.Net)
	}
	s.settle(q.InvoiceID)
	s.work()
	x := s.get(sub)
	if x.Amount.Minor != 600 || x.Paid("en") != "€6.00 a month and €0.02 an hour, at most €9.00 a month" {
		t.Errorf("%q", x.Paid("en"))
	}
	if _, ok := x.Hour(); !ok || !slices.ContainsFunc(x.Items, func(i renewal.Item) bool { return i.Code == "ipv4" && i.AmountMinor == 600 }) {
		t.Errorf("%+v", x.Items)
	}
	s.Clock.Advance(time.Minute)
	if u := s.usage(sub); u.Net.Minor != 2 || u.Meters[0].Running != 1 {
		t.Errorf("its hours go on: %s", u.Net)
	}
	s.honest()
}

// TestAnOptionCostsMoreBesideHours: a price of an option from a day on reaches who pays by the hour,
// and leaves what an hour costs.
func TestAnOptionCostsMoreBesideHours(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	sub := s.runsHours(s.customer("ida", true))
	q := s.accept(s.quote(sub, "", "", map[string]string{"ipv4": "2"}))
	s.settle(q.InvoiceID)
	s.work()
	s.schedule(uuid.Nil, scan[uuid.UUID](s.shop, "SELECT id FROM options"), newYear.AddDate(0, 0, 40), true, map[string]string{"price.one.EUR.monthly": "4.00"})
	s.prices()
	s.lives(newYear.AddDate(0, 2, 1))
	if x := s.get(sub); x.Paid("en") != "€8.00 a month and €0.02 an hour, at most €9.00 a month" {
		t.Errorf("%q", x.Paid("en"))
	}
	s.honest()
}

// TestWhoBoughtHoursBefore: who has a plan of nothing a month and hours on every life keeps it as it
// was sold, when it is read as the cycle and when it has become it, and may change options meanwhile.
func TestWhoBoughtHoursBefore(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.hourly()
	s.exec("DELETE FROM prices WHERE plan_id = ? AND cycle <> 'monthly'", s.plan)
	s.exec("UPDATE prices SET amount_minor = 0, setup_minor = 0 WHERE plan_id = ?", s.plan)
	sub := s.runs(s.customer("ida", true), 0)
	s.Clock.Advance(90 * time.Minute)
	for i, minor := range []int64{300, 600} {
		q := s.accept(s.quote(sub, "", "", map[string]string{"ipv4": strconv.Itoa(i + 1)}))
		s.settle(q.InvoiceID)
		s.work()
		if x := s.get(sub); x.Amount.Minor != minor || x.Cycle != billing.Monthly {
			t.Fatalf("with %d addresses: %s %s", i+1, x.Amount, x.Cycle)
		}
		if u := s.usage(sub); u.Net.Minor != 4 || u.Meters[0].Running != 1 {
			t.Fatalf("its hours: %s %+v", u.Net, u.Meters)
		}
		if i == 0 { // the plan becomes the cycle, at another price
			s.exec("UPDATE meters SET retired_at = ?", s.Clock.Now())
			s.exec("UPDATE prices SET cycle = 'hourly' WHERE plan_id = ?", s.plan)
			s.meter(catalog.MeterForm{Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Tiers: map[string]string{"EUR": "0.05"}})
		}
	}
	s.accept(s.quote(sub, "", billing.Hourly, nil))
	s.work()
	if x := s.get(sub); x.Paid("en") != "€6.00 a month and €0.05 an hour" {
		t.Errorf("changed to the cycle: %q", x.Paid("en"))
	}
	s.Clock.Advance(time.Minute)
	if u := s.usage(sub); u.Net.Minor != 4+5 {
		t.Errorf("two hours of before, and one since: %s", u.Net)
	}
	s.honest()
}
