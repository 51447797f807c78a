package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// billDay sets the day on which what an account has renews.
func (s *shop) billDay(account uuid.UUID, day int) {
	s.t.Helper()
	if err := renewal.SetRhythm(s.t.Context(), s.db, account, renewal.Rhythm{BillDay: day}, staff); err != nil {
		s.t.Fatal(err)
	}
}

// gapless fails where the periods that were invoiced, and not given back, leave a moment out
// or have one twice.
func (s *shop) gapless(sub uuid.UUID, from time.Time) {
	s.t.Helper()
	var rows []struct{ From, To time.Time }
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT DISTINCT l.period_from AS "from", l.period_to AS "to" FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
			WHERE l.subscription_id = ? AND i.kind = 'invoice' AND i.state <> 'void' AND l.period_from >= ? AND l.net_minor > 0 ORDER BY 1`, sub, from).Scan(s.t.Context(), &rows)
	})
	for _, r := range rows {
		if !r.From.Equal(from) {
			s.t.Errorf("%s follows %s", r.From, from)
		}
		from = r.To
	}
}

func TestMovingToTheBillDay(t *testing.T) {
	w := tenancytest.New(t)
	begun := time.Date(2027, 1, 20, 9, 30, 0, 0, time.UTC)
	w.Clock.Set(begun)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	ida := s.customer("ida", true)
	sub, year := s.runs(ida, 3100), s.sell(ida, billing.Annual, 36500)
	s.work()
	move := func(sub uuid.UUID) (renewal.ChangeQuote, error) {
		return s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, ToBillDay: true})
	}
	if _, err := move(sub); !fault.Is(err, "bill_day.none") {
		t.Errorf("without a day: %v", err)
	}
	for _, day := range []int{-1, 29} {
		if err := renewal.SetRhythm(t.Context(), s.db, ida, renewal.Rhythm{BillDay: day}, staff); !fault.Is(err, "bill_day.invalid") {
			t.Errorf("the %d: %v", day, err)
		}
	}
	if err := renewal.SetRhythm(t.Context(), other.db, ida, renewal.Rhythm{BillDay: 1}, staff); !fault.Is(err, "account.not_found") {
		t.Errorf("another shop's account: %v", err)
	}
	s.billDay(ida, 1)
	s.until(begun.AddDate(0, 1, 0), -2) // the next invoice is made, and is withdrawn
	q, err := move(sub)
	// From 20 February 09:30 to 1 March: 8 days 14 h 30 min of the 28 days of February.
	if err != nil || q.Net.Minor != 953 || len(q.Price.Lines) != 1 || q.Price.Lines[0].Text != "VPS Small: 8 days 14 hours of 28 days" || !q.Price.NextAt.Equal(at(2027, 3, 1)) {
		t.Fatalf("%+v %v", q, err)
	}
	if _, err := other.desk.QuoteChange(t.Context(), other.db, renewal.ChangeAsk{SubscriptionID: sub, ToBillDay: true}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another shop's: %v", err)
	}
	w.Clock.Advance(renewal.ChangeFor)
	if _, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, s.by); !fault.Is(err, "change.quote_expired") {
		t.Errorf("fifteen minutes later: %v", err)
	}
	if q, err = move(sub); err != nil {
		t.Fatal(err)
	}
	s.accept(q)
	s.work()
	x := s.get(sub)
	if x.Change != nil || !x.AnchorAt.Equal(at(2027, 3, 1)) || !x.Period.To.Equal(x.AnchorAt) || !x.OnBillDay() {
		t.Fatalf("%+v", x)
	}
	if _, err := move(sub); !fault.Is(err, "change.nothing") {
		t.Errorf("once more: %v", err)
	}
	if q, err = move(year); err != nil || !q.Price.NextAt.Equal(at(2028, 2, 1)) {
		t.Fatalf("a year: %+v %v", q, err)
	}
	s.accept(q)
	s.work()
	if x := s.get(year); !x.AnchorAt.Equal(at(2028, 2, 1)) {
		t.Errorf("%+v", x)
	}
	s.until(at(2027, 3, 1), 40)
	if got := s.periods(sub); !slices.Equal(got, []string{"02-20–03-20 void", "02-20–03-01 paid", "03-01–04-01 paid", "04-01–05-01 paid"}) {
		t.Errorf("%q", got)
	}
	s.gapless(sub, begun.AddDate(0, 1, 0))
	s.hold()
}

func at(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// TestMovingBackIsCredited moves to the day that comes next in a shop that gives credit, and
// changes the plan before that day: each moment keeps the price that was paid for it.
func TestMovingBackIsCredited(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(2027, 3, 20))
	s := scenery(t, w, w.A)
	s.policy(func(p *renewal.Policy) { p.Shorten = true })
	ida := s.customer("ida", true)
	sub := s.runs(ida, 3100)
	s.billDay(ida, 1)
	s.until(at(2027, 3, 22), 0)
	q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, ToBillDay: true})
	if err != nil || q.Price.Net.Minor != -1900 || !q.Total.IsZero() || q.Price.Lines[0].Text != "Not used of VPS Small: 19 days of 31 days" {
		t.Fatalf("%+v %v", q, err)
	}
	s.accept(q)
	s.work()
	x := s.get(sub)
	if !x.Period.To.Equal(at(2027, 4, 1)) || x.Credit.Minor != 1900 || x.Renewals != -1 {
		t.Fatalf("%+v", x)
	}
	// Ten days at €31.00 of 31 days are left, of which half the price again is asked for.
	s.exec("UPDATE prices SET amount_minor = 6200 WHERE cycle = 'monthly' AND plan_id = (SELECT id FROM plans WHERE slug = 'm')")
	up, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Plan: "m"})
	if err != nil || up.Price.Net.Minor != 1000 {
		t.Fatalf("%+v %v", up.Price, err)
	}
	s.until(at(2027, 4, 1), 2)
	if inv, _ := s.shared(sub); inv.Net.Minor != 3100-1900 || inv.State != invoicing.Paid {
		t.Errorf("%+v", inv)
	}
	s.hold()
}

// TestBeginningOnTheBillDay sells with a stub: paid at once, late, and after the bill day.
// What is charged in all is the price of each moment since it began.
func TestBeginningOnTheBillDay(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(2027, 3, 19))
	s := scenery(t, w, w.A)
	for name, x := range map[string]struct {
		late         time.Duration
		anchor       time.Time
		credit, next int64
	}{
		"at once":      {0, at(2027, 4, 1), 0, 3100},
		"days later":   {2 * day, at(2027, 4, 1), 200, 2900},                          // €1 a day
		"the next one": {15 * day, at(2027, 5, 1), 1300 - 2893, 3100 + (2893 - 1300)}, // 28 of April's 30 days
	} {
		w.Clock.Set(at(2027, 3, 19))
		ida := s.customer(name, true)
		sub := s.sellOn(ida, 3100, 1, x.late)
		got := s.get(sub)
		if !got.AnchorAt.Equal(x.anchor) || !got.Period.From.Equal(at(2027, 3, 19).Add(x.late)) || !got.Period.To.Equal(x.anchor) || got.Credit.Minor != x.credit {
			t.Errorf("%s: %v from %s, credit %d", name, got.Period, got.AnchorAt, got.Credit.Minor)
		}
		s.update(func(tx *tenancy.Tx) error {
			all, err := renewal.Upcoming(t.Context(), tx, ida, 2)
			if err != nil || all[0].Net.Minor != x.next || all[1].Net.Minor != 3100 || !all[0].Period.From.Equal(x.anchor) {
				t.Errorf("%s: foreseen %+v", name, all)
			}
			return err
		})
		s.until(x.anchor, 1)
		if inv, _ := s.shared(sub); inv.Net.Minor != x.next || !s.get(sub).Credit.IsZero() {
			t.Errorf("%s: the next invoice is %+v", name, inv)
		}
	}
	s.hold()
}

// sellOn sells a month with a stub to a bill day, which is paid some time after it was quoted.
func (s *shop) sellOn(account uuid.UUID, minor int64, day int, late time.Duration) uuid.UUID {
	s.t.Helper()
	from, price := s.Clock.Now(), billing.Money{Minor: minor, Currency: "EUR"}
	stub, err := billing.Stub(billing.Monthly, from, day, time.UTC).From(price, from)
	if err != nil {
		s.t.Fatal(err)
	}
	order := scan[uuid.UUID](s, "SELECT order_id FROM subscriptions WHERE id = ?", s.sell(account, billing.OneTime, 100))
	sub := uuid.New()
	var inv invoicing.Invoice
	s.update(func(tx *tenancy.Tx) error {
		_, err := renewal.Open(s.t.Context(), tx, renewal.New{ID: sub, AccountID: account, OrderID: order, PlanID: s.plan, Label: "VPS Small", Cycle: billing.Monthly, Currency: "EUR", Amount: price,
			Items: []renewal.Item{{Kind: "plan", Label: "VPS Small", Quantity: 1, AmountMinor: minor}}, Stub: &renewal.Stub{Quoted: from, Day: day}})
		if err != nil {
			return err
		}
		inv, err = invoicing.Issue(s.t.Context(), tx, invoicing.Draft{Key: "order/" + sub.String(), AccountID: account, Currency: "EUR",
			Lines: []billing.Line{{Kind: "plan", SubscriptionID: sub.String(), Description: "VPS Small", Quantity: 1, Unit: stub, Awaits: true}}})
		return err
	})
	s.Clock.Advance(late)
	s.pay(inv.ID)
	return sub
}
