package renewal_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// prices does what is due of changes of prices, twice, and has letters go out.
func (s *scene) prices() {
	s.t.Helper()
	for range 2 {
		if err := s.desk.Prices(s.t.Context(), s.db, s.Clock.Now()); err != nil {
			s.t.Fatal(err)
		}
	}
	if s.mailsOut {
		s.exec("UPDATE mails SET state = 'sent', sealed_body = NULL, sent_at = ? WHERE state = 'queued'", s.Clock.Now())
	}
}

func (s *scene) schedule(plan, option uuid.UUID, from time.Time, running bool, prices map[string]string) renewal.PriceChange {
	s.t.Helper()
	c, err := renewal.SchedulePrice(s.t.Context(), s.db, renewal.PriceForm{PlanID: plan, OptionID: option, From: from.Format(time.DateOnly), Running: running, NoticeDays: "30", Prices: prices}, s.by)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// nets are the renewals of a subscription, as they were invoiced, in order.
func (s *scene) nets(sub uuid.UUID) []int64 {
	return scanAll[int64](s.shop, "SELECT i.net_minor FROM invoices i WHERE EXISTS (SELECT FROM invoice_lines l WHERE l.invoice_id = i.id AND l.subscription_id = ?) AND i.key LIKE 'renewal/%' AND i.state <> 'void' ORDER BY i.issued_at", sub)
}

func (s *scene) foreseen(account uuid.UUID, n int) (nets []int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.Upcoming(s.t.Context(), tx, account, n)
		for _, f := range all {
			nets = append(nets, f.Net.Minor)
		}
		return err
	})
	return nets
}

func TestPricesChangeOnADayAndReachWhoWasTold(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	ida, nobody := s.customer("ida", true), s.customer("nobody", true)
	one, two, deaf := s.runs(ida, 1000), s.runs(ida, 1000), s.runs(nobody, 1000)
	foreign := other.sell(other.customer("eve", true), billing.Monthly, 1000)
	s.exec("UPDATE people SET email = '' WHERE name = 'nobody'")
	form := renewal.PriceForm{PlanID: s.plan, From: january.AddDate(0, 0, 45).Format(time.DateOnly), Running: true, NoticeDays: "30", Prices: map[string]string{"price.EUR.monthly": "12.00"}}
	s.update(func(tx *tenancy.Tx) error {
		v, err := renewal.PreviewPrice(t.Context(), tx, form, "UTC")
		if err != nil || v.Reached != 3 || v.Accounts != 2 || v.Sums[0].Diff.Minor != 600 || v.Sums[0].Was.Minor != 3000 {
			t.Errorf("preview: %+v, %v", v, err)
		}
		return nil
	})
	c := s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 45), true, form.Prices)
	if _, err := renewal.SchedulePrice(t.Context(), s.db, form, s.by); code(err) != "price_change.scheduled_before" {
		t.Errorf("a second one: %v", err)
	}
	s.prices()
	if n := s.letters("price_change"); n != 1 {
		t.Errorf("%d letters for one account with two subscriptions", n)
	}
	// Nothing is paid ahead over the change, and what is foreseen is what is charged.
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: one, Prepay: 3}); code(err) != "prepay.price_changes" {
		t.Errorf("paid ahead over it: %v", err)
	}
	if got := s.foreseen(ida, 6); !slices.Equal(got, []int64{1000, 1000, 1200, 1200, 1200, 1200}) {
		t.Errorf("foreseen: %v", got)
	}
	if next, at, waits := s.get(one).NextPriced(); !waits || next.Amount.Minor != 1200 || !at.Equal(s.get(one).Next().To) {
		t.Errorf("next price %s from %s, %t", next.Amount, at, waits)
	}
	s.until(january, 44)
	s.prices()
	if got := scan[int64](s.shop, "SELECT amount_minor FROM prices WHERE plan_id = ? AND cycle = 'monthly'", s.plan); got != 1000 {
		t.Errorf("before its day the shelf says %d", got)
	}
	s.until(january, 46)
	s.prices()
	if got := scan[int64](s.shop, "SELECT amount_minor FROM prices WHERE plan_id = ? AND cycle = 'monthly'", s.plan); got != 1200 {
		t.Errorf("on its day the shelf says %d", got)
	}
	if err := renewal.CancelPrice(t.Context(), s.db, c.ID, s.by); code(err) != "price_change.over" {
		t.Errorf("cancelled after it began: %v", err)
	}
	// The renewal's invoice is made at the new price while the old period still runs at the old.
	x := s.get(one)
	s.until(x.Period.To, -2)
	if got := s.get(one); got.Amount.Minor != 1000 || s.nets(one)[1] != 1200 {
		t.Errorf("the period that runs costs %s, renewals %v", got.Amount, s.nets(one))
	}
	q := s.quote(one, "m", "", nil)
	left, _ := billing.Rest(billing.Money{Minor: 1000, Currency: "EUR"}, x.Period, q.At)
	if !slices.ContainsFunc(q.Price.Lines, func(l billing.ChangeLine) bool { return l.Net.Minor == -left.Minor }) {
		t.Errorf("what is not used of it is worth %v, want %s", q.Price.Lines, left)
	}
	s.until(january, 130)
	other.tick()
	if got := s.nets(one); !slices.Equal(got, []int64{1000, 1200, 1200, 1200}) {
		t.Errorf("renewals: %v", got)
	}
	if got := s.nets(deaf); !slices.Equal(got, []int64{1000, 1000, 1000, 1000}) {
		t.Errorf("of whom nobody could tell: %v", got)
	}
	if got := s.get(two); got.Amount.Minor != 1200 || len(got.Reprices) != 0 || got.Items[0].PriceID != c.ID {
		t.Errorf("afterwards: %+v", got.Items)
	}
	if got := scanAll[int64](s.shop, "SELECT DISTINCT net_minor FROM invoice_lines WHERE price_id = ?", c.ID); !slices.Equal(got, []int64{1200}) {
		t.Errorf("lines of that price: %v", got)
	}
	if got := scan[int](s.shop, "SELECT count(*) FROM timeline WHERE key LIKE '%/repriced/%'"); got != 2 {
		t.Errorf("%d lines of timelines tell of it", got)
	}
	if got := other.get(foreign); got.Amount.Minor != 1000 || other.letters("price_change") != 0 {
		t.Errorf("the other shop's costs %s", got.Amount)
	}
	s.books()
}

// TestPricesToComeAreForeseen: what somebody will be told of is foreseen before they are, of a
// plan and of an option, whether it is about to be announced or they bought since it was. Nothing
// is foreseen of what nobody is told: on trial, without an address, at an agreed price.
func TestPricesToComeAreForeseen(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	tells := map[string]uuid.UUID{}
	sell := func(names ...string) {
		for _, name := range names {
			tells[name] = s.customer(name, true)
			s.runs(tells[name], 1000)
		}
	}
	is := func(when string, want map[string][]int64) {
		t.Helper()
		for name, nets := range want {
			if got := s.foreseen(tells[name], len(nets)); !slices.Equal(got, nets) {
				t.Errorf("%s, %s: %v are foreseen, not %v", when, name, got, nets)
			}
		}
	}
	sell("ida", "mute", "agreed", "option")
	s.exec("UPDATE people SET email = '' WHERE name = 'mute'")
	s.exec(`UPDATE subscriptions SET amount_minor = 1600, items = items || '[{"kind":"option","code":"ipv4","label":"Addresses: 2","quantity":2,"amount_minor":600}]' WHERE account_id = ?`, tells["option"])
	s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 45), true, map[string]string{"price.EUR.monthly": "12.00"})
	s.schedule(uuid.Nil, scan[uuid.UUID](s.shop, "SELECT id FROM options"), january.AddDate(0, 0, 80), true, map[string]string{"price.one.EUR.monthly": "3.50"})
	f := agreed.Form{AccountID: tells["agreed"], Plan: s.plan.String(), Cycle: "monthly", Amount: "7.77"}
	if _, err := s.desk.Agree(t.Context(), s.db, f, s.by); err != nil {
		t.Fatal(err)
	}
	before := map[string][]int64{"ida": {1000, 1200, 1200}, "mute": {1000, 1000, 1000}, "agreed": {1000, 1000, 1000}, "option": {1600, 1800, 1900}}
	is("scheduled", before)
	s.prices()
	is("announced", before)

	s.until(january, 10)
	sell("since")
	s.exec("UPDATE subscriptions SET amount_minor = 1000 WHERE account_id = ?", tells["since"])
	tells["tries"] = s.customer("tries", true)
	s.try(tells["tries"], func(n *renewal.New) { n.PlanID, n.Trial.Days, n.Amount.Minor, n.Items = s.plan, 60, 1000, nil })
	since := map[string][]int64{"since": {1000, 1000, 1200, 1200}, "tries": {1500, 1000, 1000, 1000}}
	is("bought since", since)
	s.until(january, 44)
	s.prices()
	is("the day before", map[string][]int64{"since": {1000, 1200, 1200}, "tries": since["tries"]})
	s.until(january, 46)
	s.prices()
	is("told", map[string][]int64{"since": {1000, 1200, 1200}, "tries": since["tries"], "option": {1800, 1900}})
	s.books()
}

func TestAPriceWaitsForItsLetter(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ida", true), 1000)
	s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 10), true, map[string]string{"price.EUR.monthly": "12.00"})
	s.mailsOut = false // no mail leaves
	s.prices()
	s.until(january, 65)
	if got := s.nets(sub); !slices.Equal(got, []int64{1000, 1000}) {
		t.Errorf("renewals while the letter waits: %v", got)
	}
	s.exec("UPDATE mails SET state = 'sent', sent_at = ? WHERE state = 'queued'", s.Clock.Now())
	s.until(january, 190)
	got := s.nets(sub)
	if n := slices.Index(got, 1200); n < 3 || got[n-1] != 1000 {
		t.Errorf("renewals: %v", got)
	}
	first := scan[time.Time](s.shop, "SELECT min(period_from) FROM invoice_lines WHERE price_id IS NOT NULL")
	if sent := scan[time.Time](s.shop, "SELECT sent_at FROM mails WHERE template = 'price_change'"); first.Sub(sent) < 30*day {
		t.Errorf("the letter went out on %s, the first period is of %s", sent, first)
	}
	s.books()
}

func TestNewPricesForNewOrdersOnlyAndOfOptions(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	ida := s.customer("ida", true)
	sub := s.runs(ida, 1000)
	s.exec(`UPDATE subscriptions SET amount_minor = 1600, items = items || '[{"kind":"option","code":"ipv4","label":"Addresses: 2","quantity":2,"amount_minor":600}]', picked = '{"p":"vps","l":"s","c":"monthly","o":{"ipv4":"2"}}'`)
	option := scan[uuid.UUID](s.shop, "SELECT id FROM options")
	s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 10), false, map[string]string{"price.EUR.monthly": "12.00", "price.EUR.annual": "99"})
	s.schedule(uuid.Nil, option, january.AddDate(0, 0, 40), true, map[string]string{"price.one.EUR.monthly": "3.50"})
	s.prices()
	if got := s.foreseen(ida, 3); !slices.Equal(got, []int64{1600, 1700, 1700}) {
		t.Errorf("foreseen: %v", got)
	}
	// A customer who changes their plan meanwhile has the new plan at the price of the shelf.
	s.until(january, 41)
	s.prices()
	if got := scan[string](s.shop, "SELECT choices->0->'prices'->'EUR'->>'monthly' FROM options"); got != "350" {
		t.Errorf("the option costs %s", got)
	}
	if got := scanAll[int64](s.shop, "SELECT amount_minor FROM prices WHERE plan_id = ? ORDER BY cycle", s.plan); !slices.Equal(got, []int64{9900, 1200}) {
		t.Errorf("the shelf says %v", got)
	}
	q := s.quote(sub, "m", "", nil)
	if _, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, uuid.Nil, s.by); err != nil {
		t.Fatal(err)
	}
	s.work()
	if x := s.get(sub); len(x.Reprices) != 0 || x.Amount.Minor != 2600 { // 20.00 and two addresses for 3.00, as they were sold
		t.Errorf("after the change it costs %s, waiting %v", x.Amount, x.Reprices)
	}
	s.books()
}

func TestAScheduledPriceIsCancelled(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	ida := s.customer("ida", true)
	sub, cancelled := s.runs(ida, 1000), s.runs(ida, 1000)
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: cancelled, Reason: "other"}, s.by); err != nil {
		t.Fatal(err)
	}
	c := s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 20), true, map[string]string{"price.EUR.monthly": "12.00"})
	s.prices()
	if x := s.get(cancelled); len(x.Reprices) != 0 {
		t.Errorf("one that ends waits for %v", x.Reprices)
	}
	if err := renewal.CancelPrice(t.Context(), s.db, c.ID, s.by); err != nil {
		t.Fatal(err)
	}
	s.prices()
	if s.letters("price_change_cancelled") != 1 || len(s.get(sub).Reprices) != 0 {
		t.Errorf("%d letters, waiting %v", s.letters("price_change_cancelled"), s.get(sub).Reprices)
	}
	if due := scan[int](s.shop, "SELECT count(*) FROM price_changes WHERE due_at IS NOT NULL"); due != 0 {
		t.Errorf("%d changes are still due", due)
	}
	s.until(january, 70)
	if got := s.nets(sub); !slices.Equal(got, []int64{1000, 1000}) {
		t.Errorf("renewals: %v", got)
	}
	for field, bad := range map[string]renewal.PriceForm{
		"from":              {From: "2020-01-01", Prices: map[string]string{"price.EUR.monthly": "1"}},
		"notice_days":       {From: "2026-12-01", NoticeDays: "x", Prices: map[string]string{"price.EUR.monthly": "1"}},
		"price.EUR.monthly": {From: "2026-12-01", Prices: map[string]string{"price.EUR.monthly": "-1"}},
		"prices":            {From: "2026-12-01", Prices: map[string]string{"price.EUR.monthly": "10.00"}},
	} {
		bad.PlanID = s.plan
		if _, err := renewal.SchedulePrice(t.Context(), s.db, bad, s.by); err == nil || !strings.Contains(err.Error(), field) && code(err) != "price_change.invalid" {
			t.Errorf("%s: %v", field, err)
		}
	}
}
