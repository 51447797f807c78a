package wholesale_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// balance is what a reseller has paid ahead; the books agree with it.
func (s *till) balance(who tenancy.Tenant) wholesale.Balance {
	s.t.Helper()
	p, rows, _, err := s.d.BalanceOf(s.t.Context(), who.ID, 0, 50)
	must(s.t, err)
	if len(rows) > 0 && rows[0].LeftMinor != p.Balance.Held.Minor {
		s.t.Errorf("the newest movement leaves %d, the balance is %s", rows[0].LeftMinor, p.Balance.Held)
	}
	wrong, err := s.d.Books(s.t.Context())
	must(s.t, err)
	if len(wrong) > 0 {
		s.t.Errorf("books: %v", wrong)
	}
	reportsAgree(s.t, s.d)
	return p.Balance
}

// work does the jobs of top-ups and refunds that were asked for, each twice.
func (s *till) work() {
	s.t.Helper()
	var ids []struct {
		kind string
		id   uuid.UUID
	}
	rows, err := s.Owner.Query(s.t.Context(), "SELECT kind, coalesce(args->>'payment', args->>'refund')::uuid FROM river.river_job WHERE kind IN ('wholesale.topup', 'wholesale.give_back') ORDER BY id")
	must(s.t, err)
	for rows.Next() {
		var x struct {
			kind string
			id   uuid.UUID
		}
		must(s.t, rows.Scan(&x.kind, &x.id))
		ids = append(ids, x)
	}
	must(s.t, rows.Err())
	for range 2 {
		for _, x := range ids {
			if x.kind == "wholesale.topup" {
				must(s.t, s.d.TakeTopUp(s.t.Context(), wholesale.TopUpJob{Payment: x.id}))
			} else {
				must(s.t, s.d.PayBack(s.t.Context(), wholesale.BackJob{Refund: x.id}))
			}
		}
	}
}

// TestAMonthIsPaidFromTheBalance: money that staff booked pays the invoice within the run,
// and what is missing is paid by the next top-up; the other reseller is not touched.
func TestAMonthIsPaidFromTheBalance(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.Clock.Set(on(t, "2026-09-10"))
	must(t, s.d.SetPrepaid(ctx, s.A.ID, true, anna))
	for range 2 {
		must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: "k1", Amount: "60", Note: "SEPA 17"}, anna))
	}
	a, b := s.bill()
	if a.State != "paid" || b.State != "open" {
		t.Errorf("A is %s, B is %s", a.State, b.State)
	}
	inv, err := s.d.Invoice(ctx, a.ID, s.A.ID)
	must(t, err)
	if len(inv.Payments) != 1 || inv.Payments[0].Gateway != wholesale.FromBalance || inv.Payments[0].AmountMinor != 4900 {
		t.Errorf("payments: %+v", inv.Payments)
	}
	if held := s.balance(s.A).Held; held.Minor != 1100 {
		t.Errorf("%s are left", held)
	}
	// October costs more than what is left.
	s.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, s.d, "2026-10")
	october := func() wholesale.InvoiceRow {
		rows, _, err := s.d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: s.A.ID, Period: "2026-10"})
		must(t, err)
		return rows[0]
	}
	if a := october(); a.State != "open" || a.PaidMinor != 1100 {
		t.Errorf("October is %s with %d paid", a.State, a.PaidMinor)
	}
	must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: "k2", Amount: "100", Note: "SEPA 18"}, anna))
	if a := october(); a.State != "paid" || s.balance(s.A).Held.Minor != 6200 {
		t.Errorf("October is %s, %s left", a.State, s.balance(s.A).Held)
	}
	must(t, s.d.Collect(ctx))
	booksBalance(t, s.World)
	if s.balance(s.B).On() || s.mails("wholesale_topup") != 2 {
		t.Errorf("B: %+v, %d letters", s.balance(s.B), s.mails("wholesale_topup"))
	}
}

// TestABalanceRunsLow: near its end the reseller is told once and its card tops it up once a
// day; at its end nothing new is sold, and what came lifts that.
func TestABalanceRunsLow(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.Clock.Set(on(t, "2026-09-10"))
	must(t, s.d.SetPrepaid(ctx, s.A.ID, true, anna))
	if b := s.balance(s.A); b.Stage != billing.LimitReached || b.Used.Minor != 4900 || s.mails("wholesale_balance") != 1 {
		t.Errorf("nothing was paid ahead: %+v, %d letters", b, s.mails("wholesale_balance"))
	}
	if err := s.d.SetLimit(ctx, s.A.ID, "100", anna); !fault.Is(err, "limit.prepaid") {
		t.Errorf("a limit beside it: %v", err)
	}
	must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: "k", Amount: "100", Note: "SEPA"}, anna))
	if b := s.balance(s.A); b.Stage != billing.LimitFine || b.Left().Minor != 5100 {
		t.Errorf("100 ahead: %+v", b)
	}
	for _, wrong := range []string{"-5", "many", "0"} {
		if err := s.d.SetTopUp(ctx, s.A.ID, wrong, "", anna); !fault.Is(err, "balance.invalid") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	for _, wrong := range []string{"0.50", "100000.01"} {
		if err := s.d.SetTopUp(ctx, s.A.ID, "", wrong, anna); !fault.Is(err, "balance.invalid") {
			t.Errorf("%s by itself: %v", wrong, err)
		}
	}
	s.keep(s.A, "4000000000000341") // attaches, and is declined when it is charged
	must(t, s.d.SetTopUp(ctx, s.A.ID, "60", "50", anna))
	s.work()
	if b := s.balance(s.A); b.Stage != billing.LimitNear || b.Held.Minor != 10000 || b.TopUp.Minor != 5000 || s.mails("wholesale_topup") != 2 {
		t.Errorf("a card that is declined: %+v, %d letters", b, s.mails("wholesale_topup"))
	}
	s.keep(s.A, "4242424242424242")
	for range 3 {
		must(t, s.d.WatchLimits(ctx, false))
		s.work()
	}
	if b := s.balance(s.A); b.Held.Minor != 10000 {
		t.Errorf("a second try of the day: %+v", b)
	}
	s.Clock.Advance(24 * time.Hour)
	s.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	must(t, s.d.WatchLimits(ctx, true))
	var id uuid.UUID
	must(t, s.Owner.QueryRow(ctx, "SELECT id FROM central.wholesale_payments WHERE key LIKE 'topup/auto/%' AND state = 'created'").Scan(&id))
	if err := s.d.TakeTopUp(ctx, wholesale.TopUpJob{Payment: id}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("the answer is lost: %v", err)
	}
	s.lab.SetFaults(stripelab.Faults{})
	s.work()
	s.took(5000, 1)
	if b := s.balance(s.A); b.Held.Minor != 15000 || b.Stage != billing.LimitFine {
		t.Errorf("the next day: %+v", b)
	}
}

// TestAResellerTopsUpAndLeaves: a card that is entered pays ahead once, however often it is
// heard of; what is left goes back to it, and a bank that refuses puts it on the balance again.
func TestAResellerTopsUpAndLeaves(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	s.Clock.Set(on(t, "2026-09-10"))
	ask := wholesale.TopUpRequest{Key: "form-1", Amount: "80.00", Save: true, ReturnURL: "https://partners.example/payments/{payment}"}
	for _, wrong := range []string{"", "0.5", "1e3", "999999999"} {
		r := ask
		r.Amount = wrong
		if _, _, err := s.d.TopUp(ctx, s.A.ID, r); !fault.Is(err, "balance.invalid") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	a, gp, err := s.d.TopUp(ctx, s.A.ID, ask)
	must(t, err)
	again, _, err := s.d.TopUp(ctx, s.A.ID, ask)
	must(t, err)
	if again.ID != a.ID || !strings.HasSuffix(a.Key, "/save") {
		t.Errorf("the same form: %+v and %+v", a, again)
	}
	if _, _, err := s.d.Look(ctx, s.B.ID, a.ID); !fault.Is(err, "wholesale_payment.unknown") {
		t.Errorf("another's: %v", err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	for range 2 {
		_, _, err = s.d.Look(ctx, s.A.ID, a.ID)
		must(t, err)
		s.hear()
	}
	if b := s.balance(s.A); b.Held.Minor != 8000 {
		t.Errorf("topped up: %+v", b)
	}
	if p, err := s.d.Profile(ctx, s.A.ID); err != nil || !p.Card.Kept() {
		t.Errorf("the card is not kept: %+v, %v", p, err)
	}
	must(t, s.d.BookTopUp(ctx, s.A.ID, wholesale.ByHand{Key: "k", Amount: "20", Note: "SEPA"}, anna))
	for what, back := range map[string]wholesale.Back{
		"balance.invalid":     {Key: "b0", Amount: "100.01", Note: "Leaves"},
		"balance.not_by_card": {Key: "b0", Amount: "90", Card: true, Note: "Leaves"},
	} {
		if err := s.d.GiveBack(ctx, s.A.ID, back, anna); !fault.Is(err, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, s.d.GiveBack(ctx, s.A.ID, wholesale.Back{Key: "b1", Amount: "80", Card: true, Note: "Leaves"}, anna))
	if b := s.balance(s.A); b.Held.Minor != 2000 {
		t.Errorf("taken off at once: %+v", b)
	}
	s.work()
	s.hear()
	var ref string
	must(t, s.Owner.QueryRow(ctx, "SELECT ref FROM central.wholesale_refunds").Scan(&ref))
	must(t, s.lab.SetRefund(ref, "failed"))
	s.hear()
	if b := s.balance(s.A); b.Held.Minor != 10000 || s.alerted("wholesale.refunded") != 1 {
		t.Errorf("the bank refused: %+v, %d alerts", b, s.alerted("wholesale.refunded"))
	}
	// Staff gave a part back at Stripe's own pages.
	must(t, s.Owner.QueryRow(ctx, "SELECT ref FROM central.wholesale_payments WHERE id = $1", a.ID).Scan(&ref))
	_, err = s.lab.RefundByHand(ref, 3000)
	must(t, err)
	s.hear()
	if b := s.balance(s.A); b.Held.Minor != 7000 {
		t.Errorf("given back there: %+v", b)
	}
	for range 2 {
		must(t, s.d.GiveBack(ctx, s.A.ID, wholesale.Back{Key: "b2", Amount: "50", Card: true, Note: "Leaves"}, anna))
		must(t, s.d.GiveBack(ctx, s.A.ID, wholesale.Back{Key: "b3", Amount: "20", Note: "SEPA 99"}, anna))
		s.hear()
		s.work()
	}
	if b := s.balance(s.A); b.Held.Minor != 0 {
		t.Errorf("all is given back: %+v", b)
	}
	s.agree()
	if s.on("cash/stripe") != 0 || s.on(billing.PrepaidRefunds) != 0 {
		t.Errorf("the books hold %d at Stripe and %d on its way", s.on("cash/stripe"), s.on(billing.PrepaidRefunds))
	}
}
