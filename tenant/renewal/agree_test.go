package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func TestAPriceAgreedOnWithOneCustomer(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	ida, otto := s.customer("ida", true), s.customer("otto", true)
	sub, his := s.runs(ida, 1000), s.runs(otto, 1000)
	medium := scan[uuid.UUID](s.shop, "SELECT id FROM plans WHERE slug = 'm'")
	agree := func(f agreed.Form) agreed.Price {
		t.Helper()
		f.AccountID = ida
		p, err := s.desk.Agree(t.Context(), s.db, f, s.by)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// For two months, also for what she has; and a share off another plan.
	until := january.AddDate(0, 2, 10)
	p := agree(agreed.Form{Plan: s.plan.String(), Cycle: "monthly", Amount: "7.00", Until: until.Format(time.DateOnly), Running: true})
	share := agree(agreed.Form{Plan: medium.String(), Percent: "15"})
	if s.letters("price_agreed") != 1 {
		t.Errorf("%d letters", s.letters("price_agreed"))
	}
	if got := s.foreseen(ida, 4); !slices.Equal(got, []int64{700, 700, 1000, 1000}) {
		t.Errorf("foreseen: %v", got)
	}
	q, theirs := s.quote(sub, "m", "", nil), s.quote(his, "m", "", nil)
	if q.Amount.Minor != 1700 || theirs.Amount.Minor != 2000 || q.Terms.Items[0].PriceID != share.ID {
		t.Errorf("another plan costs %s, others %s", q.Amount, theirs.Amount)
	}
	// The shop's own new price leaves out who has an agreed one.
	c := s.schedule(s.plan, uuid.Nil, january.AddDate(0, 0, 5), true, map[string]string{"price.EUR.monthly": "12.00"})
	s.prices()
	if got := s.get(sub); slices.ContainsFunc(got.Reprices, func(r renewal.Repricing) bool { return r.ID == c.ID }) || len(s.get(his).Reprices) != 1 {
		t.Errorf("waiting: %v", got.Reprices)
	}
	s.until(january, 130)
	if got := s.nets(sub); !slices.Equal(got, []int64{700, 700, 1000, 1000}) {
		t.Errorf("renewals: %v", got)
	}
	if got := scanAll[uuid.UUID](s.shop, "SELECT DISTINCT price_id FROM invoice_lines WHERE net_minor = 700"); !slices.Equal(got, []uuid.UUID{p.ID}) {
		t.Errorf("what set the price: %v", got)
	}
	// Ended early, what pays it is told and goes on until the notice is over.
	again := agree(agreed.Form{Plan: s.plan.String(), Cycle: "monthly", Amount: "8.00", Running: true})
	s.until(s.get(sub).Next().From, 2)
	if got := s.get(sub).Amount.Minor; got != 800 {
		t.Fatalf("it costs %d", got)
	}
	if err := s.desk.Disagree(t.Context(), s.db, again.ID, otto, s.by); code(err) != "agreed_price.not_found" {
		t.Errorf("ended as another account's: %v", err)
	}
	for i, want := range []string{"", "agreed_price.over"} {
		if err := s.desk.Disagree(t.Context(), s.db, again.ID, ida, s.by); i == 0 && err != nil || i == 1 && code(err) != want {
			t.Errorf("ended: %v", err)
		}
	}
	ended := s.Clock.Now()
	s.until(ended, 75)
	got := s.nets(sub)
	back := scan[time.Time](s.shop, "SELECT min(period_from) FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND l.net_minor = 1000 AND l.period_from > ?", sub, ended)
	if got[len(got)-1] != 1000 || back.Sub(ended) < renewal.EndNotice*day {
		t.Errorf("renewals %v, back from %s, ended on %s", got, back, ended)
	}
	for field, f := range map[string]agreed.Form{
		"plan": {Plan: uuid.NewString(), Percent: "10"}, "amount": {Plan: s.plan.String(), Cycle: "monthly", Amount: "1", Percent: "10"}, "cycle": {Plan: s.plan.String(), Amount: "1"},
		"percent": {Plan: s.plan.String(), Percent: "NaN"}, "from": {Plan: s.plan.String(), Percent: "10", From: "2020-01-01"}, "until": {Plan: s.plan.String(), Percent: "10", Until: "2020-01-01"},
	} {
		f.AccountID = ida
		if _, err := s.desk.Agree(t.Context(), s.db, f, s.by); code(err) != "agreed_price.invalid" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := other.desk.Agree(t.Context(), other.db, agreed.Form{AccountID: ida, Plan: other.plan.String(), Percent: "10"}, s.by); code(err) != "account.not_found" {
		t.Errorf("another shop's customer: %v", err)
	}
	s.books()
}
