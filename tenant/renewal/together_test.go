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
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// joins says whether an account's renewals of a day make one invoice.
func (s *shop) joins(account uuid.UUID, is bool) {
	s.t.Helper()
	if err := renewal.SetRhythm(s.t.Context(), s.db, account, renewal.Rhythm{Together: &is}, staff); err != nil {
		s.t.Fatal(err)
	}
}

// shared is the last renewal's invoice of a subscription, and how many subscriptions stand on it.
func (s *shop) shared(sub uuid.UUID) (inv invoicing.Invoice, on int) {
	s.t.Helper()
	id := scan[uuid.UUID](s, `SELECT i.id FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id WHERE l.subscription_id = ? AND i.kind = 'invoice' AND i.key LIKE 'renewal/%' ORDER BY i.issued_at DESC, i.id DESC LIMIT 1`, sub)
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Get(s.t.Context(), tx, id)
		return err
	})
	return inv, scan[int](s, "SELECT count(DISTINCT subscription_id) FROM invoice_lines WHERE invoice_id = ? AND withdrawn_at IS NULL", id)
}

// grant gives an account credit.
func (s *shop) grant(account uuid.UUID, minor int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		_, err := credit.Give(s.t.Context(), tx, credit.New{Key: account.String(), AccountID: account, Kind: credit.Given, From: billing.Promotions, Amount: billing.Money{Minor: minor, Currency: "EUR"}, By: "Rita"})
		return err
	})
}

// hold fails where the books do not.
func (s *shop) hold() {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(s.t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			s.t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

func TestRenewalsOfADayMakeOneInvoice(t *testing.T) {
	w := tenancytest.New(t)
	morning := time.Date(2027, 2, 3, 6, 0, 0, 0, time.UTC)
	w.Clock.Set(morning)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ida, otto := s.customer("ida", true), s.customer("otto", true)
	foreign := other.customer("eve", true)
	theirs := []uuid.UUID{other.sell(foreign, billing.Monthly, 100), other.sell(foreign, billing.Monthly, 200)}
	early, apart := s.sell(ida, billing.Monthly, 1000), s.sell(otto, billing.Monthly, 500)
	apart2 := s.sell(otto, billing.Monthly, 600)
	w.Clock.Set(morning.Add(13 * time.Hour))
	late, quarter, own := s.sell(ida, billing.Monthly, 1500), s.sell(ida, billing.Quarterly, 9000), s.sell(ida, billing.Monthly, 700)
	method := uuid.New()
	s.exec(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at) VALUES (?, ?, 'sandbox', 'c', 'own', 'card', 'Own', 'active', now(), now())`, method, ida)
	s.exec("UPDATE subscriptions SET method_id = ? WHERE id = ?", method, own)
	w.Clock.Set(morning.Add(24 * time.Hour))
	next := s.sell(ida, billing.Monthly, 400)
	s.joins(ida, true)

	var foreseen []renewal.Foreseen
	s.update(func(tx *tenancy.Tx) (err error) {
		foreseen, err = renewal.Upcoming(t.Context(), tx, ida, 3)
		return err
	})
	slices.SortFunc(foreseen, func(a, b renewal.Foreseen) int { return int(b.Total.Minor - a.Total.Minor) })
	if len(foreseen) != 3 || foreseen[0].Total.Minor != 2500 || len(foreseen[0].With) != 1 || foreseen[1].SubscriptionID != own || foreseen[2].SubscriptionID != next {
		t.Fatalf("foreseen: %+v", foreseen)
	}
	s.turn(25 * day) // until 1 March, three days before: the invoice is made as the day begins
	inv, on := s.shared(early)
	if inv2, _ := s.shared(late); on != 2 || inv2.ID != inv.ID || inv.Total.Minor != 2500 || !strings.HasPrefix(inv.Key, "renewal/together/"+ida.String()+"/2027-03-03/EUR/usual") {
		t.Fatalf("%+v over %d", inv, on)
	}
	if !inv.IssuedAt.Equal(foreseen[0].IssueAt) || !inv.DueAt.Equal(morning.AddDate(0, 1, 0)) {
		t.Errorf("issued %s, due %s, foreseen for %s", inv.IssuedAt, inv.DueAt, foreseen[0].IssueAt)
	}
	for _, id := range []uuid.UUID{own, next, apart, apart2} {
		if inv, on := s.shared(id); on != 1 || !strings.HasPrefix(inv.Key, "renewal/"+id.String()) {
			t.Errorf("%s over %d", inv.Key, on)
		}
	}
	s.turn(4 * day) // it is charged, once for both
	for _, id := range []uuid.UUID{early, late, own, next} {
		if x := s.get(id); x.State != renewal.Active || x.Period.From.Month() != time.March {
			t.Errorf("%s: %s until %s", id, x.State, x.Period.To)
		}
	}
	if n := scan[int](s, "SELECT count(*) FROM timeline WHERE key LIKE '%/renewed/' || ?", inv.ID.String()); n != 2 {
		t.Errorf("%d were renewed by it", n)
	}
	s.turn(57 * day) // May: the quarter joins them
	if inv, on := s.shared(quarter); on != 3 || inv.Total.Minor != 11500 {
		t.Errorf("%s over %d", inv.Total, on)
	}
	s.joins(ida, false)
	s.turn(31 * day)
	if _, on := s.shared(early); on != 1 {
		t.Error("switched off, they are still together")
	}
	other.turn(day)
	for _, id := range theirs {
		if _, on := other.shared(id); on != 1 {
			t.Error("the other shop's are together")
		}
	}
	s.hold()
}

func TestASharedInvoiceThatIsNotPaid(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida, otto := s.customer("ida", true), s.customer("otto", false)
	s.policy(func(p *renewal.Policy) { p.Together = true })
	all := []uuid.UUID{s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 2000), s.sell(ida, billing.Monthly, 3000)}
	hand := []uuid.UUID{s.sell(otto, billing.Monthly, 100), s.sell(otto, billing.Monthly, 200)}
	s.declines = func(uuid.UUID) bool { return true }
	due := s.get(all[0]).Period.To
	until := func(days int) { s.turn(due.Add(time.Duration(days)*day + 12*time.Hour).Sub(s.Clock.Now())) }
	states := func(ids []uuid.UUID) (all []string) {
		for _, id := range ids {
			all = append(all, string(s.get(id).State)+" "+s.wants(id))
		}
		return slices.Compact(all)
	}
	until(2)
	if got, n := states(append(all, hand...)), s.letters("payment_failed"); !slices.Equal(got, []string{"past_due active"}) || n != 2 {
		t.Errorf("%q, %d letters", got, n)
	}
	until(9)
	inv, _ := s.shared(all[0])
	if got, n := states(append(all, hand...)), s.letters("service_suspended_unpaid"); !slices.Equal(got, []string{"suspended suspended"}) || n != 2 {
		t.Errorf("%q, %d letters", got, n)
	}
	if tries := scan[int](s, "SELECT tries FROM invoices WHERE id = ?", inv.ID); tries != 5 {
		t.Errorf("%d tries", tries)
	}
	s.pay(inv.ID)
	if got := states(all); !slices.Equal(got, []string{"active active"}) {
		t.Errorf("paid: %q", got)
	}
	// Otto never pays.
	given, _ := s.shared(hand[0])
	until(24)
	if got, n := states(hand), s.letters("subscription_ending"); !slices.Equal(got, []string{"ended terminated"}) || n != 1 {
		t.Errorf("in the end: %q, %d letters", got, n)
	}
	if got, _ := s.shared(hand[1]); got.ID != given.ID || got.State != invoicing.Uncollectible || !got.Credited.IsZero() {
		t.Errorf("%+v", got)
	}
	s.hold()
}

func TestOneOfASharedInvoiceIsCancelled(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.joins(ida, true)
	a, b, c := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 2300), s.sell(ida, billing.Monthly, 3000)
	s.exec("UPDATE subscriptions SET credit_minor = 300 WHERE id = ?", b) // of a change: it goes back with its lines
	s.turn(s.get(a).Period.To.Add(-2 * day).Sub(s.Clock.Now()))
	inv, on := s.shared(a)
	if on != 3 {
		t.Fatalf("over %d", on)
	}
	cancel := func(id uuid.UUID, now bool) {
		t.Helper()
		if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: id, Reason: "other", Now: now}, staff); err != nil {
			t.Fatal(err)
		}
	}
	cancel(b, false)
	ahead := func(id uuid.UUID) int64 {
		return scan[int64](s, "SELECT coalesce(sum(net_minor - done_minor), 0)::bigint FROM recognitions WHERE invoice_id = ? AND subscription_id = ?", inv.ID, id)
	}
	if ahead(a) != 1000 || ahead(b) != 0 || ahead(c) != 3000 || s.get(b).Credit.Minor != 300 {
		t.Errorf("deferred: %d, %d and %d, credit %s", ahead(a), ahead(b), ahead(c), s.get(b).Credit)
	}
	if got, on := s.shared(a); on != 2 || got.Credited.Minor != 2000 || got.Due().Minor != 4000 || got.State != invoicing.Open {
		t.Fatalf("%+v over %d", got, on)
	}
	s.pay(inv.ID)
	for _, id := range []uuid.UUID{a, c} {
		if x := s.get(id); !x.Period.From.Equal(inv.DueAt) {
			t.Errorf("paid: %v", x.Period)
		}
	}
	s.turn(3 * day)
	if x := s.get(b); x.State != renewal.Ended || !x.Period.To.Equal(inv.DueAt) {
		t.Errorf("cancelled: %s, %v", x.State, x.Period)
	}
	// All of the next are cancelled: nothing is owed of it, and nothing is left to be paid.
	s.turn(s.get(a).Period.To.Add(-2 * day).Sub(s.Clock.Now()))
	inv, _ = s.shared(a)
	cancel(a, true)
	cancel(c, false)
	if got, on := s.shared(a); got.ID != inv.ID || on != 0 || got.State != invoicing.Void {
		t.Errorf("%+v over %d", got, on)
	}
	s.hold()
}

// TestTheRestOfASharedInvoiceIsPaidByCredit cancels what credit did not reach: what it did
// reach is renewed.
func TestTheRestOfASharedInvoiceIsPaidByCredit(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.joins(ida, true)
	a, b := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 2000)
	s.grant(ida, 1200)
	s.turn(s.get(a).Period.To.Add(-2 * day).Sub(s.Clock.Now()))
	inv, _ := s.shared(a)
	if inv.Due().Minor != 1800 {
		t.Fatalf("%+v", inv)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: b, Reason: "other"}, staff); err != nil {
		t.Fatal(err)
	}
	got, _ := s.shared(a)
	if got.State != invoicing.Paid || got.ByCredit.Minor != 1000 || scan[int64](s, "SELECT sum(left_minor) FROM credit_grants") != 200 {
		t.Errorf("%+v", got)
	}
	if n := scan[int](s, "SELECT count(*) FROM invoices WHERE key = ?", "withdrawn/"+inv.ID.String()+"/"+b.String()); n != 1 {
		t.Errorf("%d credit notes", n)
	}
	jobs := 0
	if err := s.Owner.QueryRow(t.Context(), "SELECT count(*) FROM river.river_job WHERE kind = 'invoice.paid' AND args->>'invoice_id' = $1", inv.ID.String()).Scan(&jobs); err != nil || jobs != 1 {
		t.Errorf("%d jobs, %v", jobs, err)
	}
	if err := s.desk.PaidMany(t.Context(), s.db, []uuid.UUID{inv.ID}); err != nil {
		t.Fatal(err)
	}
	if x, y := s.get(a), s.get(b); !x.Period.From.Equal(inv.DueAt) || !y.Period.To.Equal(inv.DueAt) {
		t.Errorf("%v, %v", x.Period, y.Period)
	}
	s.hold()
}

// TestWhatIsFreeOfASharedInvoiceIsRenewed cancels all that costs something on an invoice, and
// once what costs nothing.
func TestWhatIsFreeOfASharedInvoiceIsRenewed(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	s.joins(ida, true)
	free, gone, paid := s.sell(ida, billing.Monthly, 1), s.sell(ida, billing.Monthly, 1), s.sell(ida, billing.Monthly, 2000)
	s.exec("UPDATE subscriptions SET amount_minor = 0, items = '[]' WHERE id IN (?, ?)", free, gone)
	s.turn(s.get(free).Period.To.Add(-2 * day).Sub(s.Clock.Now()))
	inv, on := s.shared(free)
	if on != 3 || inv.Total.Minor != 2000 {
		t.Fatalf("%s over %d", inv.Total, on)
	}
	for _, id := range []uuid.UUID{gone, paid} {
		if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: id, Reason: "other"}, staff); err != nil {
			t.Fatal(err)
		}
	}
	if got, on := s.shared(free); on != 1 || got.State != invoicing.Void {
		t.Errorf("%+v over %d", got, on)
	}
	if err := s.desk.Paid(t.Context(), s.db, inv.ID); err != nil {
		t.Fatal(err)
	}
	for id, to := range map[uuid.UUID]time.Time{free: january.AddDate(0, 0, 59), gone: inv.DueAt, paid: inv.DueAt} {
		if x := s.get(id); !x.Period.To.Equal(to) {
			t.Errorf("paid until %s, not %s", x.Period.To, to)
		}
	}
	s.hold()
}

// TestAFullBatchStaysTogether has more due of one account than one transaction works on.
func TestAFullBatchStaysTogether(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	first := s.sell(ida, billing.Monthly, 100)
	s.exec(`INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at, cancel_reason, cancel_note, created_at, changed_at)
		SELECT gen_random_uuid(), account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at, '', '', created_at, changed_at
		FROM subscriptions, generate_series(1, 104)`)
	s.joins(ida, true)
	s.turn(s.get(first).Period.To.Add(-2 * day).Sub(s.Clock.Now()))
	if inv, on := s.shared(first); on != 105 || inv.Total.Minor != 10500 {
		t.Errorf("%s over %d", inv.Total, on)
	}
}
