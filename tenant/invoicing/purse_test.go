package invoicing_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// give gives the shop's customer credit of the shop's.
func (s *shop) give(amount, until string) credit.Grant {
	s.t.Helper()
	g, err := credit.GiveByHand(s.t.Context(), s.db, credit.Form{Key: uuid.NewString(), AccountID: s.account, Amount: amount, Currency: "EUR", ExpiresOn: until, Note: "for the outage"}, time.UTC, olga)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *shop) purse() (p credit.Purse) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		p, err = credit.Of(s.t.Context(), tx, s.account)
		return err
	})
	return p
}

func (s *shop) expire() {
	s.t.Helper()
	if err := credit.Expire(s.t.Context(), s.db, s.Clock.Now()); err != nil {
		s.t.Fatal(err)
	}
}

func TestCreditPaysNewInvoices(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	first := s.give("5.00", "")
	s.give("3.00", s.Clock.Now().AddDate(0, 1, 0).Format(time.DateOnly))
	inv := s.issue(s.draft("order/1", 500)) // 5.95
	if inv.State != invoicing.Paid || inv.ByCredit != eur(595) || !inv.Owed().IsZero() || s.jobs("invoice.paid") != 1 {
		t.Errorf("%+v, %d jobs", inv, s.jobs("invoice.paid"))
	}
	if p := s.purse(); p.Balance("EUR") != eur(205) || len(p.Open) != 1 || p.Open[0].ID != first.ID || len(p.Moves) != 4 {
		t.Errorf("what expires is spent first: %+v", p)
	}
	part := s.issue(s.draft("order/2", 1000)) // 11.90
	if part.State != invoicing.Open || part.ByCredit != eur(205) || part.Due() != eur(985) || s.jobs("invoice.paid") != 1 {
		t.Errorf("%+v", part)
	}
	if none := s.issue(s.draft("order/3", 100)); none.ByCredit.Minor != 0 || none.Due() != none.Total {
		t.Errorf("%+v", none)
	}
	s.pay(part, uuid.New(), 985)
	if got := s.get(part.ID); got.State != invoicing.Paid || got.Received() != eur(985) {
		t.Errorf("%+v", got)
	}
	s.hold(3)
	other.hold(0)
}

func TestCreditThatDoesNotCount(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	db, ctx := s.db, t.Context()
	s.give("5.00", s.Clock.Now().Format(time.DateOnly))
	s.update(func(tx *tenancy.Tx) error {
		_, err := credit.Give(ctx, tx, credit.New{Key: "usd", AccountID: s.account, Kind: credit.Given, From: billing.Promotions, Amount: billing.Money{Minor: 9900, Currency: "USD"}})
		return err
	})
	s.Clock.Advance(48 * time.Hour)
	inv := s.issue(s.draft("order/1", 500))
	if inv.ByCredit.Minor != 0 {
		t.Errorf("expired credit and dollars paid %s", inv.ByCredit)
	}
	s.expire()
	s.expire()
	if p := s.purse(); p.Balance("EUR").Minor != 0 || p.Balance("USD").Minor != 9900 {
		t.Errorf("%+v", p)
	}
	s.hold(1)
	// The customer's own hand.
	s.give("5.00", "")
	if err := credit.SpendByHand(ctx, db, s.account, true, olga); err != nil {
		t.Fatal(err)
	}
	if other := s.issue(s.draft("order/2", 100)); other.ByCredit.Minor != 0 {
		t.Errorf("spent by itself: %s", other.ByCredit)
	}
	if spent, err := invoicing.PayWithCredit(ctx, db, inv.ID, olga); err != nil || spent != eur(500) {
		t.Errorf("%v %v", spent, err)
	}
	if _, err := invoicing.PayWithCredit(ctx, db, inv.ID, olga); !fault.Is(err, "credit.none") {
		t.Errorf("without any: %v", err)
	}
	// A closed account is given nothing and spends nothing.
	s.give("5.00", "")
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE accounts SET closed_at = now() WHERE id = ?", s.account).Exec(ctx)
		return err
	})
	if _, err := invoicing.PayWithCredit(ctx, db, inv.ID, olga); !fault.Is(err, "credit.none") {
		t.Errorf("a closed account: %v", err)
	}
	if _, err := credit.GiveByHand(ctx, db, credit.Form{Key: "x", AccountID: s.account, Amount: "1", Currency: "EUR"}, time.UTC, olga); !fault.Is(err, "credit.account_closed") {
		t.Errorf("a closed account: %v", err)
	}
	for field, f := range map[string]credit.Form{"amount": {Amount: "-1"}, "expires": {Amount: "1", ExpiresOn: "tomorrow"}, "note": {Amount: "1", Note: fmt.Sprintf("%0201d", 1)}} {
		f.Key, f.AccountID, f.Currency = "y", s.account, "EUR"
		if _, err := credit.GiveByHand(ctx, db, f, time.UTC, olga); fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	s.hold(2)
}

// Fifty invoices at once of one account, and its customer's hand in between, spend what
// there is and not a cent more.
func TestNobodySpendsACentTwice(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.give("20.00", "")
	s.give("17.03", s.Clock.Now().AddDate(0, 1, 0).Format(time.DateOnly))
	early := s.issue(s.draft("early", 0, 1))
	if early.ByCredit != eur(1) {
		t.Fatalf("%+v", early)
	}
	if err := credit.SpendByHand(t.Context(), s.db, s.account, true, olga); err != nil {
		t.Fatal(err)
	}
	var open []uuid.UUID
	for i := range 25 {
		open = append(open, s.issue(s.draft(fmt.Sprintf("open/%d", i), 100)).ID)
	}
	if err := credit.SpendByHand(t.Context(), s.db, s.account, false, olga); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = invoicing.PayWithCredit(t.Context(), s.db, open[i/2], olga)
			} else {
				err = s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
					_, err := invoicing.Issue(t.Context(), tx, s.draft(fmt.Sprintf("new/%d", i), 100))
					return err
				})
			}
			if err != nil && !fault.Is(err, "credit.none") {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var spent int64
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT sum(credit_minor) FROM invoices").Scan(t.Context(), &spent)
	})
	if p := s.purse(); spent != 3703 || len(p.Balances) != 0 {
		t.Errorf("%d of 3703 were spent, %v are left", spent, p.Balances)
	}
	s.hold(51)
}

// What credit paid goes back to it; what money paid becomes credit; both once.
func TestMoneyBecomesCredit(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	ctx := t.Context()
	s.give("5.00", "")
	inv := s.issue(s.draft("order/1", 1000)) // 11.90, of which 5.00 are credit
	s.pay(inv, uuid.New(), 690)
	to := func(key string, amount billing.Money) error {
		return s.db.Update(ctx, func(tx *tenancy.Tx) error {
			_, err := invoicing.ToCredit(ctx, tx, invoicing.Back{Key: key, InvoiceID: inv.ID, Amount: amount, Actor: "Olga"}, "as asked")
			return err
		})
	}
	back := func(key string, amount billing.Money) error {
		return s.db.Update(ctx, func(tx *tenancy.Tx) error {
			return invoicing.ReturnCredit(ctx, tx, invoicing.Back{Key: key, InvoiceID: inv.ID, Amount: amount, Actor: "Olga"})
		})
	}
	if err := to("refund/1", eur(691)); !fault.Is(err, "credit.too_much") {
		t.Errorf("more than was received: %v", err)
	}
	if err := back("1", eur(501)); !fault.Is(err, "credit.too_much") {
		t.Errorf("more than credit paid: %v", err)
	}
	for range 2 {
		if err := to("refund/1", eur(690)); err != nil {
			t.Error(err)
		}
		if err := back("1", eur(200)); err != nil {
			t.Error(err)
		}
	}
	if p, now := s.purse(), s.get(inv.ID); p.Balance("EUR") != eur(890) || now.Due() != eur(890) || now.State != invoicing.Open || now.ByCredit != eur(300) {
		t.Errorf("%+v, %+v", p.Balances, now)
	}
	s.hold(1)
	// It was never to be paid: what credit had paid goes back with the note.
	if _, err := s.credit(invoicing.CreditRequest{Key: "withdrawn", InvoiceID: inv.ID, CreditBack: true}); err != nil {
		t.Fatal(err)
	}
	if p, now := s.purse(), s.get(inv.ID); p.Balance("EUR") != eur(1190) || now.State != invoicing.Void || !now.ByCredit.IsZero() {
		t.Errorf("%+v, %+v", p.Balances, now)
	}
	s.hold(2)
}

// Any life of credit beside any life of invoices leaves books that hold, and whose trial
// balance is nothing.
func TestBooksHoldThroughAnyLifeOfCredit(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ctx, documents, n := t.Context(), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var mine []uuid.UUID
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			n++
			switch rapid.IntRange(0, 7).Draw(t, "event") {
			case 0, 1:
				until := ""
				if rapid.Bool().Draw(t, "expires") {
					until = s.Clock.Now().AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "days")).Format(time.DateOnly)
				}
				s.give(eur(rapid.Int64Range(1, 3000).Draw(t, "credit")).Decimal(), until)
			case 2, 3:
				mine = append(mine, s.issue(s.draft(fmt.Sprintf("order/%d", n), rapid.Int64Range(0, 2500).Draw(t, "net"))).ID)
				documents++
			case 4:
				s.Clock.Advance(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour)
				s.expire()
			default:
				if len(mine) == 0 {
					continue
				}
				inv := s.get(rapid.SampledFrom(mine).Draw(t, "of"))
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					if inv.Total.Minor > 0 {
						s.pay(inv, uuid.New(), rapid.Int64Range(1, inv.Total.Minor).Draw(t, "paid"))
					}
				case 1:
					if inv.Received().Minor > 0 {
						amount := eur(rapid.Int64Range(1, inv.Received().Minor).Draw(t, "to credit"))
						s.update(func(tx *tenancy.Tx) error {
							_, err := invoicing.ToCredit(ctx, tx, invoicing.Back{Key: fmt.Sprintf("refund/%d", n), InvoiceID: inv.ID, Amount: amount}, "")
							return err
						})
					}
				case 2:
					if inv.ByCredit.Minor > 0 {
						amount := eur(rapid.Int64Range(1, inv.ByCredit.Minor).Draw(t, "returned"))
						s.update(func(tx *tenancy.Tx) error {
							return invoicing.ReturnCredit(ctx, tx, invoicing.Back{Key: fmt.Sprint(n), InvoiceID: inv.ID, Amount: amount})
						})
					}
				case 3:
					if _, err := s.credit(invoicing.CreditRequest{Key: fmt.Sprintf("note/%d", n), InvoiceID: inv.ID, CreditBack: rapid.Bool().Draw(t, "back")}); err == nil {
						documents++
					} else if !fault.Is(err, "invoice.credited_before") {
						t.Fatal(err)
					}
				}
			}
		}
		s.hold(documents)
		sum := int64(0)
		for _, b := range s.books().Balances {
			sum += b.Minor
		}
		if sum != 0 {
			t.Fatalf("the trial balance is %d", sum)
		}
	})
	other.hold(0)
}
