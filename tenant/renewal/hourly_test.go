package renewal_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
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
func (s *scene) runsHours(account uuid.UUID, change ...func(*renewal.New)) uuid.UUID {
	s.t.Helper()
	sub := s.sell(account, billing.Hourly, 0, append([]func(*renewal.New){func(n *renewal.New) {
		n.Items[0].Code, n.Items[0].Hour = "vps/s", s.hour("0.02", 900)
	}}, change...)...)
	s.work()
	return sub
}

// hour is a price of an hour as it is sold; a most of 0 is none.
func (s *scene) hour(rate string, most int64) renewal.Hour {
	s.t.Helper()
	r, err := billing.ParseRate(rate, "EUR")
	if err != nil {
		s.t.Fatal(err)
	}
	return renewal.HourOf(billing.HourPrice{Rate: r, Most: billing.Money{Minor: most, Currency: "EUR"}})
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
	end := newYear.Add(210 * time.Hour) // of the hour in which it is asked; hours begin with the next
	left, err := billing.Rest(billing.Money{Minor: 1000, Currency: "EUR"}, billing.Monthly.Period(newYear, 0, time.UTC), end)
	if err != nil || !q.HourEnd.Equal(end) || end.Sub(at) != 30*time.Minute || q.Back != left || q.Price.Return != billing.DowngradeCredit || q.Terms.Paid("en") != "€0.02 an hour, at most €9.00 a month" {
		t.Fatalf("back: %s, want %s; %+v", q.Back, left, q.Price)
	}
	s.accept(q)
	s.work()
	s.want(sub, "VPS Small 0 hourly, change none, sku vps-s")
	if x := s.get(sub); x.Credit != left {
		t.Errorf("credit: %s", x.Credit)
	}
	s.Clock.Advance(90 * time.Minute)
	if u := s.usage(sub); u.Net.Minor != 172 {
		t.Errorf("an hour more: %s, %+v", u.Net, u.Meters)
	}
	s.lives(newYear.AddDate(0, 1, 1))
	ran := int64(newYear.AddDate(0, 1, 0).Sub(end)/time.Hour) + 85
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

// TestOptionsBesideHours: what was sold by the month beside hours stays so until it is changed, and
// a price of it from a day on reaches it.
func TestOptionsBesideHours(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	sub := s.runsHours(s.customer("ida", true))
	s.exec(`UPDATE subscriptions SET amount_minor = 600, items = items || '[{"kind": "option", "code": "ipv4", "label": "Addresses: 2", "quantity": 2, "amount_minor": 600}]' WHERE id = ?`, sub)
	if x := s.get(sub); x.Paid("en") != "€6.00 a month and €0.02 an hour, at most €9.00 a month" {
		t.Errorf("%q", x.Paid("en"))
	}
	s.schedule(uuid.Nil, scan[uuid.UUID](s.shop, "SELECT id FROM options"), newYear.AddDate(0, 0, 40), true, map[string]string{"price.one.EUR.monthly": "4.00"})
	s.prices()
	s.lives(newYear.AddDate(0, 2, 1))
	if x := s.get(sub); x.Paid("en") != "€8.00 a month and €0.02 an hour, at most €9.00 a month" {
		t.Errorf("%q", x.Paid("en"))
	}
	q := s.quote(sub, "", "", map[string]string{"ipv4": "3"})
	if q.Terms.Paid("en") != "€0.03251 an hour, at most €18.00 a month" {
		t.Errorf("changed: %q", q.Terms.Paid("en"))
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
	s.exec("UPDATE plans SET downgrade = 'credit'")
	s.accept(s.quote(sub, "", billing.Hourly, nil))
	s.work()
	if x := s.get(sub); x.Paid("en") != "€0.05834 an hour" || x.Credit.IsZero() {
		t.Errorf("changed to the cycle: %q", x.Paid("en"))
	}
	s.Clock.Advance(31 * time.Minute) // they begin with the hour after
	if u := s.usage(sub); u.Net.Minor != 4+6 {
		t.Errorf("two hours of before, and one since: %s", u.Net)
	}
	s.honest()
}

// TestNothingIsMeteredAfterHours: once the last hours of who went over to months are invoiced,
// nothing of it is billed by use: its invoices are made ahead again, a letter before one says
// nothing of usage, and it may move to a bill day. Hours that begin anew are counted.
func TestNothingIsMeteredAfterHours(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	s.exec("UPDATE plans SET downgrade = 'credit'")
	account := s.customer("ida", true)
	sub := s.runsHours(account)
	s.Clock.Advance(84*time.Hour + 30*time.Minute)
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 3}); code(err) != "prepay.bad_cycles" || !strings.Contains(fault.From(err).Fields["cycles"], "Hours are paid when they are over, and not ahead.") {
		t.Errorf("hours paid ahead: %v", err)
	}
	q := s.accept(s.quote(sub, "", billing.Monthly, nil))
	s.settle(q.InvoiceID)
	s.work()
	month := newYear.AddDate(0, 1, 0)
	s.lives(month.Add(-24 * time.Hour))
	if x := s.get(sub); !x.MeteredTo.Equal(month) || x.Renewals != 0 {
		t.Fatalf("before its hours are invoiced: metered to %s, %d renewals", x.MeteredTo, x.Renewals)
	}
	s.lives(month.Add(12 * time.Hour))
	if got := s.lines(sub); len(got) != 1 || !strings.HasSuffix(got[0], " = 170") {
		t.Errorf("its hours: %q", got)
	}
	if x := s.get(sub); !x.MeteredTo.IsZero() || x.Renewals != 1 {
		t.Fatalf("afterwards: metered to %s, %d renewals", x.MeteredTo, x.Renewals)
	}
	s.update(func(tx *tenancy.Tx) error {
		next, err := renewal.Upcoming(t.Context(), tx, account, 1)
		if want := month.AddDate(0, 1, -3); err != nil || len(next) != 1 || !next[0].IssueAt.Equal(want) || next[0].SoFar {
			t.Errorf("foreseen %+v, %v, want it at %s", next, err, want)
		}
		return nil
	})
	s.lives(month.AddDate(0, 1, -2))
	if x := s.get(sub); x.Renewals != 2 {
		t.Errorf("two days before March there are %d renewals", x.Renewals)
	}
	s.lives(month.AddDate(0, 1, 1))
	s.accept(s.quote(sub, "", billing.Hourly, nil))
	s.work()
	if x := s.get(sub); x.Cycle != billing.Hourly || x.MeteredTo.IsZero() {
		t.Errorf("by the hour again: %s, metered to %s", x.Cycle, x.MeteredTo)
	}
	s.honest()
	s.books()
}

// TestAnOfferToStayByTheHour: a share off for staying is taken off months of hours, as many as it
// said.
func TestAnOfferToStayByTheHour(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(newYear)
	s := scenery(t, w, w.A)
	s.byHours()
	s.offers(6, map[string]billing.StayOffer{"too_expensive": {Kind: billing.StayDiscount, Ppm: 300_000, Cycles: 2}})
	account := s.customer("ida", true)
	sub := s.runsHours(account)
	s.Clock.Advance(100 * time.Hour)
	if !s.offer(sub, account, "too_expensive") {
		t.Fatal("no offer")
	}
	out, err := s.desk.Stay(t.Context(), s.db, sub, account, "too_expensive", somebody)
	if err != nil || out.Subscription.StayOff() != "30 % off the next 2 invoices" {
		t.Fatalf("%q, %v", out.Subscription.StayOff(), err)
	}
	s.lives(newYear.AddDate(0, 4, 1))
	var got []string
	for _, l := range s.lines(sub) {
		_, net, _ := strings.Cut(l, " = ")
		got = append(got, net)
	}
	if want := []string{"900", "630", "630", "900"}; !slices.Equal(got, want) {
		t.Errorf("four months of hours: %q, want %q", got, want)
	}
	s.honest()
	s.books()
}

// TestAPauseMakesAMonthLonger: what is used before a pause and after it is of one month, with one
// most, and on one invoice, as is foreseen. The month after it is one of 30 days again.
func TestAPauseMakesAMonthLonger(t *testing.T) {
	w := tenancytest.New(t)
	begun := time.Date(2027, 3, 10, 9, 0, 0, 0, time.UTC)
	w.Clock.Set(begun)
	s := scenery(t, w, w.A)
	s.byHours()
	ida := s.customer("ida", true)
	sub := s.runsHours(ida)
	w.Clock.Advance(10 * day)
	if _, err := s.pause(sub, uuid.Nil, 25); err != nil { // from then the period is April 4 to May 5
		t.Fatal(err)
	}
	w.Clock.Advance(10 * day)
	if got := s.foreseen(ida, 3); !slices.Equal(got, []int64{480, 900, 900}) { // 240 hours until now
		t.Errorf("%v are foreseen", got)
	}
	s.until(begun, 90)
	if got := s.nets(sub); !slices.Equal(got, []int64{900, 900}) {
		t.Errorf("%v were invoiced", got)
	}
	want := []string{"03-10 05-05 VPS Small: Hours, 744 hours, the most a month", "05-05 06-05 VPS Small: Hours, 744 hours, the most a month"}
	if got := scanAll[string](s.shop, `SELECT to_char(period_from, 'MM-DD ') || to_char(period_to, 'MM-DD ') || description FROM invoice_lines WHERE kind = 'usage' ORDER BY 1`); !slices.Equal(got, want) {
		t.Errorf("months: %q", got)
	}
	s.books()
}
