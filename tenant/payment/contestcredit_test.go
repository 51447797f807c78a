package payment_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// topUp pays ahead by card and says which payment of Stripe's it was.
func (s *till) topUp(key string, minor int64, gift bool) (invoicing.Invoice, string) {
	s.t.Helper()
	inv, err := invoicing.AskTopUp(s.t.Context(), s.db, invoicing.TopUp{Key: key, AccountID: s.account, Amount: eur(minor), Gift: gift}, olga)
	if err != nil {
		s.t.Fatal(err)
	}
	_, gp, err := s.begin(inv.ID, false)
	if err != nil {
		s.t.Fatal(err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	s.take(s.told())
	return inv, gp.Ref
}

// balance is what an account of the books holds: debits less credits.
func (s *till) balance(account string) int64 {
	return s.number("SELECT coalesce(sum(CASE WHEN debit = ?0 THEN amount_minor ELSE 0 END - CASE WHEN credit = ?0 THEN amount_minor ELSE 0 END), 0) FROM ledger_postings", account)
}

func (s *till) saysOnTimeline(kind, text string) {
	s.t.Helper()
	if n := s.number("SELECT count(*) FROM timeline WHERE kind = ? AND customer_sees AND text LIKE '%' || ? || '%'", kind, text); n != 1 {
		s.t.Errorf("%s with %q is told %d times", kind, text, n)
	}
}

// TestADisputedTopUp: what is left of credit whose payment is disputed does not count while the
// bank decides; won, it counts again; lost, it is gone, and what was spent is the shop's loss.
func TestADisputedTopUp(t *testing.T) {
	for decided, want := range map[string]struct{ left, lossesOfMoney, backed int64 }{"won": {810, 0, 0}, "lost": {0, 2000, 810}} {
		t.Run(decided, func(t *testing.T) {
			w := tenancytest.New(t)
			lab, base := simulator(t, w)
			s, other := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
			s.staffed()
			_, ref := s.topUp("k", 2000, false)
			other.topUp("k", 2000, false)
			s.issue("spent") // takes 11.90 of it by itself
			if got := s.purse().Balance("EUR"); got != eur(810) {
				t.Fatalf("%s are left", got)
			}
			id, err := lab.Dispute(ref, 0, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false)
			if err != nil {
				t.Fatal(err)
			}
			s.take(ten(s.told()))
			if got := s.purse(); got.Balance("EUR").Minor != 0 || !slices.Equal(got.Held, []billing.Money{eur(810)}) || s.balance(billing.CreditHeld) != -810 {
				t.Errorf("disputed: %s count, %v are held, %d in the books", got.Balance("EUR"), got.Held, s.balance(billing.CreditHeld))
			}
			s.saysOnTimeline("credit.held", "€8.10 of credit are held")
			if next := s.issue("not by it"); next.State != invoicing.Open || next.Paid.Minor != 0 {
				t.Errorf("held credit paid an invoice: %+v", next)
			}
			s.audited()
			if err := lab.SetDispute(id, decided); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(time.Hour)
			s.take(ten(s.told()))
			if got := s.purse(); len(got.Held) != 0 {
				t.Errorf("%s: %v are held", decided, got.Held)
			}
			if got := s.purse().Balance("EUR"); got.Minor != want.left || s.balance(billing.CreditHeld) != 0 || s.balance(billing.CreditTakenBack) != -want.backed || s.balance(billing.DisputeLosses) != want.lossesOfMoney {
				t.Errorf("%s: %s count, %d held, %d taken back, %d lost", decided, got, s.balance(billing.CreditHeld), s.balance(billing.CreditTakenBack), s.balance(billing.DisputeLosses))
			}
			if decided == "won" {
				s.saysOnTimeline("credit.released", "€8.10 of credit count again")
			} else {
				s.saysOnTimeline("credit.taken_back", "€8.10 of credit were taken back")
			}
			s.audited()
			if got := other.purse().Balance("EUR"); got != eur(2000) {
				t.Errorf("the neighbour has %s", got)
			}
		})
	}
}

// TestADisputedGiftCode: a code cannot be redeemed while its payment is disputed; of one that
// was redeemed the credit is held, whoever has it.
func TestADisputedGiftCode(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.staffed()
	ctx := t.Context()
	code := func(key string) (string, string) {
		_, ref := s.topUp(key, 2000, true)
		p := s.payments(payment.Filter{})
		var id uuid.UUID
		for _, x := range p {
			if x.Ref == ref {
				id = x.ID
			}
		}
		plain, err := credit.Show(ctx, s.db, s.account, id, olga)
		if err != nil {
			t.Fatal(err)
		}
		return plain, ref
	}
	dispute := func(ref string) string {
		id, err := lab.Dispute(ref, 0, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false)
		if err != nil {
			t.Fatal(err)
		}
		s.take(ten(s.told()))
		return id
	}
	decide := func(id, how string) {
		if err := lab.SetDispute(id, how); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Hour)
		s.take(ten(s.told()))
	}
	fresh, ref := code("fresh")
	id := dispute(ref)
	if _, err := credit.Redeem(ctx, s.db, s.account, fresh, olga); !fault.Is(err, "gift.held") {
		t.Errorf("redeemed while disputed: %v", err)
	}
	s.audited()
	decide(id, "won")
	if g, err := credit.Redeem(ctx, s.db, s.account, fresh, olga); err != nil || g.Left != eur(2000) {
		t.Errorf("after it was won: %v %v", g.Left, err)
	}
	used, ref := code("used")
	if _, err := credit.Redeem(ctx, s.db, s.account, used, olga); err != nil {
		t.Fatal(err)
	}
	id = dispute(ref)
	if got := s.purse().Balance("EUR"); got != eur(2000) { // of the two
		t.Errorf("%s count", got)
	}
	decide(id, "lost")
	s.audited()
	gone, ref := code("gone")
	decide(dispute(ref), "lost")
	if _, err := credit.Redeem(ctx, s.db, s.account, gone, olga); !fault.Is(err, "gift.unknown") {
		t.Errorf("redeemed after its money is gone: %v", err)
	}
	if s.balance(billing.CreditTakenBack) != -4000 || s.balance(billing.CreditHeld) != 0 || s.balance(billing.GiftCodes) != 0 {
		t.Errorf("%d taken back, %d held, %d of codes", s.balance(billing.CreditTakenBack), s.balance(billing.CreditHeld), s.balance(billing.GiftCodes))
	}
	s.audited()
}

// TestDisputedCreditInAnyOrder: news of disputes, spending, credit that comes back from
// invoices and refunds in any order: the books hold, and nothing counts that is away.
func TestDisputedCreditInAnyOrder(t *testing.T) {
	w := tenancytest.New(t)
	desk := &payment.Desk{Gateways: local(), Keys: newRing(t)}
	s := open(t, w, w.A, desk)
	ctx, rnd := t.Context(), rand.New(rand.NewPCG(4, 20261122))
	type piece struct {
		inv        invoicing.Invoice
		id         uuid.UUID
		away, gone int64
		tell       int
	}
	var all []*piece
	var done []string
	var paid []uuid.UUID
	for step := range 120 {
		what := []string{"pay ahead", "spend", "come back", "opened", "won", "lost", "inquiry", "lost", "spend"}[rnd.IntN(9)]
		if len(all) == 0 {
			what = "pay ahead"
		}
		done = append(done, what)
		name := strings.Repeat("x", step+1)
		switch what {
		case "pay ahead":
			inv, err := invoicing.AskTopUp(ctx, s.db, invoicing.TopUp{Key: name, AccountID: s.account, Amount: eur(100 + rnd.Int64N(2000))}, olga)
			if err != nil {
				t.Fatal(err)
			}
			p := &piece{inv: inv, id: uuid.New()}
			s.update(func(tx *tenancy.Tx) error {
				_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
					VALUES (?, ?, ?, ?, 'sandbox', 'EUR', ?, 0, 'succeeded', '', '', true, now(), now())`, p.id, p.id.String(), inv.ID, s.account, inv.Total.Minor).Exec(ctx)
				if err != nil {
					return err
				}
				return invoicing.Applied(ctx, tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: p.id, Gateway: "sandbox", Amount: inv.Total})
			})
			all = append(all, p)
		case "spend":
			paid = append(paid, s.issue(name).ID)
		case "come back":
			if len(paid) == 0 {
				continue
			}
			_, err := invoicing.CreditByHand(ctx, s.db, invoicing.CreditRequest{Key: name, InvoiceID: paid[0], Amount: eur(1190), Reason: "Goodwill", CreditBack: true}, audit.Origin{Actor: olga.Actor})
			if err != nil {
				t.Fatalf("%q: %v", done, err)
			}
			paid = paid[1:]
		default:
			p := all[rnd.IntN(len(all))]
			p.tell++
			told := gateway.Dispute{Ref: "dp_" + p.id.String(), Amount: p.inv.Total, Withdrawn: p.inv.Total, Moves: p.tell, State: map[string]gateway.DisputeState{"opened": gateway.NeedsResponse, "won": gateway.Won, "lost": gateway.Lost, "inquiry": gateway.NeedsResponse}[what], Inquiry: what == "inquiry"}
			if what == "won" || what == "inquiry" {
				told.Withdrawn = eur(0)
			}
			for range 2 {
				if err := desk.HearOfDispute(ctx, s.db, p.id, told); err != nil {
					t.Fatalf("%q: %v", done, err)
				}
			}
			p.away, p.gone = told.Withdrawn.Minor, 0
		}
		s.books()
		for _, p := range all {
			if left := scanOf(s, "SELECT left_minor FROM credit_grants WHERE source_id = ?", p.id); p.away > 0 && left > 0 {
				t.Fatalf("after %q: %d of a disputed top-up count", done, left)
			}
		}
	}
	t.Log(done)
}

func scanOf(s *shop, query string, args ...any) (n int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { return tx.NewRaw(query, args...).Scan(s.t.Context(), &n) })
	return n
}
