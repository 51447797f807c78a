package wholesale_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// collects lets the platform take a reseller's payments: 2.9 % and 0.25, a week held back.
func (s *till) collects(who tenancy.Tenant) {
	s.t.Helper()
	must(s.t, s.d.SetCollectionTerms(s.t.Context(), who.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "2.9", Fixed: "0.25", HoldDays: "7"}, anna))
	s.Clock.Advance(time.Second) // Stripe's moments are whole seconds
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// shop is a reseller's part of the platform's account.
func (s *till) shop(who tenancy.Tenant) *stripe.Shared {
	s.t.Helper()
	g, err := stripe.NewShared(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", APIURL: s.url, ScriptURL: s.url + "/v3/", Shop: who.ID.String(), HTTP: &http.Client{Timeout: 10 * time.Second}}, "EUR")
	must(s.t, err)
	return g
}

// pays has a customer of a reseller pay, and answers with Stripe's name of the payment.
func (s *till) pays(who tenancy.Tenant, minor int64) string {
	s.t.Helper()
	g, id := s.shop(who), uuid.NewString()
	p, err := g.Charge(s.t.Context(), gateway.Charge{Key: "pay/" + id, Amount: eur(minor), Customer: gateway.Customer{Key: id}, Reference: "NIM-1", OnSession: true})
	must(s.t, err)
	s.enter(p.ClientSecret, "4242424242424242")
	if p, err = g.Payment(s.t.Context(), p.Ref); err != nil || p.State != gateway.Succeeded {
		s.t.Fatalf("%+v %v", p, err)
	}
	return p.Ref
}

// tells is the shop's word that something happened to a payment.
func (s *till) tells(who tenancy.Tenant, ref string) {
	s.t.Helper()
	must(s.t, s.DB(who).Update(s.t.Context(), func(tx *tenancy.Tx) error { return tx.TellCollected(s.t.Context(), ref) }))
}

func (s *till) held(who tenancy.Tenant, want int64) {
	s.t.Helper()
	if got := s.balance(who).Held.Minor; got != want {
		s.t.Errorf("the balance of %s is %d, want %d", who.Slug, got, want)
	}
}

// TestAPaymentIsBookedOnce, by whichever road it is heard of and however often, with the
// fee agreed when it was begun; the other reseller sees nothing of it and cannot claim it.
func TestAPaymentIsBookedOnce(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	var handed []gateway.Event
	s.d.Deliver = func(_ context.Context, of tenancy.ID, e gateway.Event) error {
		if of != s.A.ID {
			t.Errorf("%s was handed to %s", e.Type, of)
		}
		handed = append(handed, e)
		return nil
	}
	s.collects(s.A)
	ref := s.pays(s.A, 11900)
	// The terms change before anybody has looked.
	s.Clock.Advance(time.Second)
	must(t, s.d.SetCollectionTerms(ctx, s.A.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "50", HoldDays: "0"}, anna))
	s.tells(s.B, ref)
	must(t, s.d.BookCollected(ctx))
	s.held(s.A, 0)
	s.held(s.B, 0)
	for range 3 {
		s.tells(s.A, ref)
		must(t, s.d.BookCollected(ctx))
		must(t, s.d.BookCollected(ctx))
	}
	s.held(s.A, 11900-370)
	for range 10 {
		s.hear()
	}
	if len(handed) == 0 {
		t.Error("the shop was told nothing")
	}
	s.held(s.A, 11900-370)
	if n := count(t, s.World, "SELECT count(*) FROM collected_news"); n != 0 {
		t.Errorf("%d news are left", n)
	}
	if s.on("cash/stripe") != 11900 || s.on(billing.CollectionFees) != -370 || s.on(billing.Prepaid) != -(11900-370) {
		t.Errorf("cash %d, fees %d, owed %d", s.on("cash/stripe"), s.on(billing.CollectionFees), s.on(billing.Prepaid))
	}
	// The notification comes first, before the shop has its own answer.
	second := s.pays(s.A, 1000)
	s.hear()
	s.held(s.A, 11530+1000-500)
	s.tells(s.A, second)
	must(t, s.d.BookCollected(ctx))
	s.held(s.A, 11530+1000-500)
	booksBalance(t, s.World)
}

// TestWhatIsNotAResellersIsNotBooked: the platform's own payments, and those that a shop
// takes with keys of its own, though it be the same account.
func TestWhatIsNotAResellersIsNotBooked(t *testing.T) {
	s := openTill(t)
	s.collects(s.A)
	own, err := stripe.New(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", APIURL: s.url, Shop: s.A.ID.String()})
	must(t, err)
	p, err := own.Charge(t.Context(), gateway.Charge{Key: "own", Amount: eur(5000), Customer: gateway.Customer{Key: "x"}})
	must(t, err)
	s.enter(p.ClientSecret, "4242424242424242")
	s.hear()
	s.tells(s.A, p.Ref)
	s.tells(s.A, "pi_gone")
	must(t, s.d.BookCollected(t.Context()))
	s.held(s.A, 0)
	if n := count(t, s.World, "SELECT count(*) FROM collected_news"); n != 0 {
		t.Errorf("%d news are left", n)
	}
}

// TestMoneyGoesBack: refunds, one of which the bank refuses, and a dispute that is won and
// one that is lost, in whatever order they are heard of; what is missing is carried forward.
func TestMoneyGoesBack(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.collects(s.A)
	ref, other := s.pays(s.A, 10000), s.pays(s.A, 2000)
	s.hear()
	const net = 10000 - 315 + 2000 - 83
	s.held(s.A, net)
	back, err := s.shop(s.A).Refund(ctx, gateway.Refund{Key: "r1", Payment: ref, Amount: eur(4000)})
	must(t, err)
	for range 3 {
		s.hear()
	}
	s.held(s.A, net-4000)
	must(t, s.lab.SetRefund(back.Ref, "failed"))
	for range 2 {
		s.tells(s.A, ref)
		must(t, s.d.BookCollected(ctx))
		s.hear()
	}
	s.held(s.A, net)
	due := s.Clock.Now().Add(10 * 24 * time.Hour)
	won, err := s.lab.Dispute(ref, 3000, "fraudulent", due, false)
	must(t, err)
	s.hear()
	s.held(s.A, net-3000)
	must(t, s.lab.SetDispute(won, "won"))
	s.hear()
	s.held(s.A, net)
	lost, err := s.lab.Dispute(other, 0, "fraudulent", due, false)
	must(t, err)
	must(t, s.lab.SetDispute(lost, "lost"))
	s.hear()
	s.held(s.A, net-2000)
	// All is paid out, and then the rest is given back: the reseller owes it.
	s.Clock.Advance(8 * 24 * time.Hour)
	must(t, s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: eur(net - 2000).Decimal(), Ref: "SEPA 1"}, anna))
	s.held(s.A, 0)
	_, err = s.shop(s.A).Refund(ctx, gateway.Refund{Key: "r2", Payment: ref, Amount: eur(5000)})
	must(t, err)
	s.hear()
	s.held(s.A, -5000)
	late, err := s.lab.Dispute(ref, 2000, "fraudulent", due.AddDate(0, 0, 10), false)
	must(t, err)
	s.hear()
	s.held(s.A, -7000)
	must(t, s.lab.SetDispute(late, "won"))
	s.hear()
	s.held(s.A, -5000)
	if s.alerted("balance.negative") != 1 {
		t.Errorf("%d alerts", s.alerted("balance.negative"))
	}
	if l, err := s.d.Profile(ctx, s.A.ID); err != nil || l.Limit.On() {
		t.Errorf("%+v %v", l.Limit, err)
	}
	must(t, s.d.SetLimit(ctx, s.A.ID, "1000", anna))
	owes, err := s.d.Profile(ctx, s.A.ID)
	must(t, err)
	s.pays(s.A, 8000)
	s.hear()
	must(t, s.d.WatchLimits(ctx, false))
	if l, err := s.d.Profile(ctx, s.A.ID); err != nil || owes.Limit.Used.Minor-l.Limit.Used.Minor != 5000 {
		t.Errorf("what is missing counts against the limit: %s, and %s after", owes.Limit.Used, l.Limit.Used)
	}
	s.held(s.A, 8000-257-5000)
	booksBalance(t, s.World)
}

// meanwhile is Stripe's account; what it answers is read, and then something else happens
// before anybody has booked it.
type meanwhile struct {
	*stripe.Gateway
	happens func()
}

func (m *meanwhile) DisputesOf(ctx context.Context, ref string) ([]gateway.Dispute, error) {
	all, err := m.Gateway.DisputesOf(ctx, ref)
	if does := m.happens; does != nil {
		m.happens = nil
		does()
	}
	return all, err
}

// TestOldNewsAreNotBooked: while one process still holds what Stripe said, another books
// what it said later.
func TestOldNewsAreNotBooked(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.collects(s.A)
	ref := s.pays(s.A, 10000)
	s.tells(s.A, ref)
	must(t, s.d.BookCollected(ctx))
	const net = 10000 - 315
	s.held(s.A, net)
	there := &meanwhile{Gateway: s.d.Taker.Gateway.(*stripe.Gateway)}
	s.d.Taker.Gateway = there
	book := func() {
		t.Helper()
		s.Clock.Advance(time.Second)
		s.tells(s.A, ref)
		must(t, s.d.BookCollected(ctx))
	}
	refunded := func(want int64) {
		t.Helper()
		if got := count(t, s.World, "SELECT refunded_minor FROM central.collected_payments"); got != want {
			t.Errorf("%d went back, want %d", got, want)
		}
	}
	_, err := s.lab.RefundByHand(ref, 4000)
	must(t, err)
	there.happens = func() {
		_, err := s.lab.RefundByHand(ref, 1000)
		must(t, err)
		book()
	}
	book()
	s.held(s.A, net-5000)
	refunded(5000)
	refused, err := s.lab.RefundByHand(ref, 300)
	must(t, err)
	there.happens = func() { // the customer's bank sends it back before it is booked
		must(t, s.lab.SetRefund(refused, "failed"))
		book()
	}
	book()
	s.held(s.A, net-5000)
	refunded(5000)
	booksBalance(t, s.World)
}

// TestAnInvoiceIsSetOff: what was collected pays the wholesale invoice within the run, also
// what is held back; the card is charged for the rest alone. A reseller who pays ahead is
// not asked to top up while it covers the month.
func TestAnInvoiceIsSetOff(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.Clock.Set(on(t, "2026-09-28"))
	s.keep(s.A, "4242424242424242")
	s.collects(s.A)
	s.collects(s.B)
	s.pays(s.A, 3000)
	s.pays(s.B, 20000)
	s.hear()
	must(t, s.d.SetPrepaid(ctx, s.B.ID, true, anna))
	if b := s.balance(s.B); b.Stage != billing.LimitFine || s.mails("wholesale_balance") != 0 {
		t.Errorf("%+v, %d letters", b, s.mails("wholesale_balance"))
	}
	a, b := s.bill()
	if a.State != "open" || a.PaidMinor != 3000-112 || b.State != "paid" {
		t.Errorf("A: %+v, B: %+v", a, b)
	}
	s.held(s.A, 0)
	s.held(s.B, 20000-605-4900)
	s.collect()
	if a := s.invoice(s.A); a.State != "paid" {
		t.Errorf("A: %+v", a)
	}
	// B keeps what its running month costs.
	s.Clock.Advance(10 * 24 * time.Hour)
	c, err := s.d.Collection(ctx, s.B.ID)
	if err != nil || c.Payable.Minor != 20000-605-4900-4900 || c.HeldBack.Minor != 0 {
		t.Errorf("%+v %v", c, err)
	}
	booksBalance(t, s.World)
}

// TestAPayoutIsMadeOnce: two clicks at once and the same reference again are one; never
// more than may be paid out, nor what was paid ahead.
func TestAPayoutIsMadeOnce(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.collects(s.A)
	must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: "k", Amount: "60", Note: "SEPA 17"}, anna))
	s.pays(s.A, 10000)
	s.hear()
	at := func(want int64) {
		t.Helper()
		c, err := s.d.Collection(ctx, s.A.ID)
		if err != nil || c.Payable.Minor != want {
			t.Errorf("%+v %v, want %d", c, err, want)
		}
	}
	at(0)
	if err := s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: "1", Ref: "X"}, anna); !fault.Is(err, "payout.invalid") {
		t.Errorf("it is held back: %v", err)
	}
	s.Clock.Advance(8 * 24 * time.Hour)
	at(9685)
	if err := s.d.GiveBack(ctx, s.A.ID, wholesale.Back{Key: "b", Amount: "60.01", Note: "Leaves"}, anna); !fault.Is(err, "balance.invalid") {
		t.Errorf("what customers paid goes back as if it was paid ahead: %v", err)
	}
	results := make(chan error)
	for range 2 {
		go func() {
			results <- s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: "50", Ref: "SEPA 9"}, anna)
		}()
	}
	for range 2 {
		must(t, <-results)
	}
	at(4685)
	for what, n := range map[string]wholesale.NewPayout{
		"too much":      {Amount: "46.86", Ref: "SEPA 10"},
		"nothing":       {Amount: "0", Ref: "SEPA 10"},
		"less":          {Amount: "-5", Ref: "SEPA 10"},
		"no reference":  {Amount: "1"},
		"a known one":   {Amount: "10", Ref: " SEPA  9 "},
		"not an amount": {Amount: "1e2", Ref: "SEPA 10"},
	} {
		if err := s.d.PayOut(ctx, s.A.ID, n, anna); !fault.Is(err, "payout.invalid") {
			t.Errorf("%s: %v", what, err)
		}
	}
	at(4685)
	if err := s.d.PayOut(ctx, s.B.ID, wholesale.NewPayout{Amount: "10", Ref: "SEPA 9"}, anna); !fault.Is(err, "payout.invalid") {
		t.Errorf("the other reseller: %v", err)
	}
	if n := s.mails("wholesale_payout"); n != 1 {
		t.Errorf("%d letters", n)
	}
	// The bank sends it back, once.
	for range 2 {
		must(t, s.d.PayoutCameBack(ctx, s.A.ID, "SEPA 9", anna))
	}
	at(9685)
	// Sent again under the same name it would be booked nowhere.
	if err := s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: "50", Ref: "SEPA 9"}, anna); !fault.Is(err, "payout.invalid") {
		t.Errorf("sent again: %v", err)
	}
	must(t, s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: "50", Ref: "SEPA 9/returned"}, anna))
	must(t, s.d.PayoutCameBack(ctx, s.A.ID, "SEPA 9/returned", anna))
	at(9685)
	if err := s.d.PayoutCameBack(ctx, s.B.ID, "SEPA 9", anna); !fault.Is(err, "payout.unknown") {
		t.Errorf("another's: %v", err)
	}
	if s.on("cash/transfer") != 6000 {
		t.Errorf("%d at the bank", s.on("cash/transfer"))
	}
	booksBalance(t, s.World)
}

// TestCollectingEnds: staff take it back, the shop hears of it, and what is under way is
// booked all the same.
func TestCollectingEnds(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	for what, n := range map[string]wholesale.NewCollectionTerms{
		"percent": {Percent: "51", HoldDays: "7"}, "fixed": {Percent: "1", Fixed: "-1", HoldDays: "7"}, "much": {Percent: "1", Fixed: "1000", HoldDays: "7"}, "days": {Percent: "1", HoldDays: "181"}, "none": {},
	} {
		if err := s.d.SetCollectionTerms(ctx, s.A.ID, n, anna); !fault.Is(err, "collection.invalid") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if c, err := s.d.CollectionTerms(ctx, s.A.ID); err != nil || c.Allowed {
		t.Errorf("%+v %v", c, err)
	}
	s.collects(s.A)
	ref := s.pays(s.A, 1000)
	must(t, s.d.SetCollectionTerms(ctx, s.A.ID, wholesale.NewCollectionTerms{Percent: "2.9", Fixed: "0.25", HoldDays: "7"}, anna))
	if n := count(t, s.World, "SELECT count(*) FROM river.river_job WHERE kind = 'wholesale.end_collection'"); n != 1 {
		t.Errorf("%d jobs", n)
	}
	s.tells(s.A, ref)
	s.lab.SetFaults(stripelab.Faults{Down: true})
	if err := s.d.BookCollected(ctx); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	s.lab.SetFaults(stripelab.Faults{})
	must(t, s.d.BookCollected(ctx))
	s.held(s.A, 1000-54)
	// What cannot be booked keeps nothing else from being booked, and staff are told.
	odd := s.pays(s.A, 500)
	if _, err := s.Owner.Exec(ctx, "ALTER TABLE central.collected_payments ADD CONSTRAINT odd CHECK (amount_minor <> 500) NOT VALID"); err != nil {
		t.Fatal(err)
	}
	s.tells(s.A, odd)
	s.Clock.Advance(time.Second)
	s.tells(s.A, s.pays(s.A, 2000))
	if err := s.d.BookCollected(ctx); err == nil {
		t.Error("nothing failed")
	}
	if s.alerted("collected.not_booked") != 1 {
		t.Errorf("%d alerts", s.alerted("collected.not_booked"))
	}
	if _, err := s.Owner.Exec(ctx, "ALTER TABLE central.collected_payments DROP CONSTRAINT odd"); err != nil {
		t.Fatal(err)
	}
	s.held(s.A, 1000-54+2000-83)
	s.Clock.Advance(time.Hour)
	must(t, s.d.BookCollected(ctx))
	s.held(s.A, 1000-54+2000-83+500-40)
	// It began once more just as it was taken back: the next look ends that.
	must(t, s.DB(s.A).Update(ctx, func(tx *tenancy.Tx) error { return tx.SetFigure(ctx, "collecting", "", 1) }))
	s.Clock.Advance(time.Minute)
	must(t, s.d.Collect(ctx))
	if n := count(t, s.World, "SELECT count(*) FROM river.river_job WHERE kind = 'wholesale.end_collection'"); n != 2 {
		t.Errorf("%d jobs", n)
	}
	s.d.Taker = nil
	if err := s.d.SetCollectionTerms(ctx, s.A.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "1", HoldDays: "1"}, anna); !fault.Is(err, "collection.no_account") {
		t.Errorf("without an account: %v", err)
	}
}

// story lets things happen to a reseller's money, some of which is heard of at once.
func (s *till) story(r *rand.Rand, n uint64) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	var refs, disputes []string
	for i := range 3 + r.IntN(5) {
		minor := 100 + r.Int64N(9000)
		switch what := r.IntN(8); {
		case what <= 1 || len(refs) == 0:
			refs = append(refs, s.pays(s.A, minor))
		case what == 2:
			_, _ = s.lab.RefundByHand(refs[r.IntN(len(refs))], minor) // more than is left is refused
		case what == 3:
			id, err := s.lab.Dispute(refs[r.IntN(len(refs))], minor, "fraudulent", s.Clock.Now().Add(time.Hour), false)
			must(t, err)
			disputes = append(disputes, id)
		case what == 4 && len(disputes) > 0:
			must(t, s.lab.SetDispute(disputes[len(disputes)-1], []string{"won", "lost"}[r.IntN(2)]))
			disputes = disputes[:len(disputes)-1]
		case what == 5:
			c, err := s.d.Collection(ctx, s.A.ID)
			must(t, err)
			err = s.d.PayOut(ctx, s.A.ID, wholesale.NewPayout{Amount: eur(min(minor, max(c.Payable.Minor, 1))).Decimal(), Ref: fmt.Sprintf("P %d %d", n, i)}, anna)
			if err != nil && (c.Payable.Minor > 0 || !fault.Is(err, "payout.invalid")) {
				t.Fatal(err)
			}
			if err == nil && s.balance(s.A).Held.Minor < 0 {
				t.Errorf("more was paid out than was there: %s", s.balance(s.A).Held)
			}
		case what == 6:
			must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: fmt.Sprintf("%d-%d", n, i), Amount: eur(minor).Decimal(), Note: "SEPA"}, anna))
		default:
			s.Clock.Advance(4 * 24 * time.Hour)
		}
		if r.IntN(4) == 0 {
			s.hear()
		}
	}
	for _, ref := range refs {
		s.tells(s.A, ref)
	}
	must(t, s.d.BookCollected(ctx))
	s.balance(s.A) // and the books
}

// TestAnyStoryAddsUp: whatever happens, the month's statement adds up, the balance is what
// moved it, the books are balanced, and no more is paid out than was there.
func TestAnyStoryAddsUp(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.collects(s.A)
	for story := range uint64(12) {
		s.story(rand.New(rand.NewPCG(story, 7)), story)
		if t.Failed() {
			t.Fatalf("story %d", story)
		}
	}
	var carried int64
	newest, err := s.d.BalanceStatement(ctx, s.A.ID, "")
	must(t, err)
	months := newest.Months
	for i := len(months) - 1; i >= 0; i-- { // the oldest first
		st, err := s.d.BalanceStatement(ctx, s.A.ID, months[i])
		must(t, err)
		sum := st.Opening.Minor
		for _, g := range st.Sums {
			sum += g.Amount.Minor
		}
		var rows int64
		for _, r := range st.Rows {
			rows += r.AmountMinor
		}
		if st.Opening.Minor != carried || sum != st.Closing.Minor || st.Opening.Minor+rows != st.Closing.Minor {
			t.Errorf("%s: opening %s after %d, sums to %d, rows %d, closing %s", st.Month, st.Opening, carried, sum, rows, st.Closing)
		}
		carried = st.Closing.Minor
	}
	s.held(s.A, carried)
	if taken, _ := s.lab.Taken(platformKey); taken["eur"] != s.on("cash/stripe") {
		t.Errorf("Stripe holds %d, the books say %d", taken["eur"], s.on("cash/stripe"))
	}
	booksBalance(t, s.World)
}
