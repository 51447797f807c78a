package invoicing_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func (s *shop) topUp(key string, minor int64) invoicing.Invoice {
	s.t.Helper()
	inv, err := invoicing.AskTopUp(s.t.Context(), s.db, invoicing.TopUp{Key: key, AccountID: s.account, Amount: eur(minor)}, olga)
	if err != nil {
		s.t.Fatal(err)
	}
	return inv
}

// A top-up is no invoice: nothing is owed and nothing is in the books before its money
// comes, and then it is credit and no revenue.
func TestTopUp(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	ctx := t.Context()
	up := s.topUp("k", 2500)
	if again := s.topUp("k", 2500); again.ID != up.ID || up.Kind != document.TopUp || up.Number != "TOPUP-2026-00001" || up.State != invoicing.Open || !up.Tax.IsZero() || !up.Owed().IsZero() {
		t.Errorf("%+v", up)
	}
	for _, minor := range []int64{-100, 0, 99, 10_000_01, 1 << 62} {
		if _, err := invoicing.AskTopUp(ctx, s.db, invoicing.TopUp{Key: "bad", AccountID: s.account, Amount: eur(minor)}, olga); !fault.Is(err, "top_up.bad_amount") {
			t.Errorf("%d: %v", minor, err)
		}
	}
	if _, err := invoicing.AskTopUp(ctx, other.db, invoicing.TopUp{Key: "k", AccountID: s.account, Amount: eur(500)}, olga); !fault.Is(err, "account.not_found") {
		t.Errorf("another shop's account: %v", err)
	}
	if r := s.books(); len(r.Balances) != 0 {
		t.Errorf("in the books before it is paid: %+v", r.Balances)
	}
	if inv := s.issue(s.draft("order/1", 100)); inv.ByCredit.Minor != 0 {
		t.Errorf("credit that was not paid for paid %s", inv.ByCredit)
	}
	pay := uuid.New()
	s.pay(up, pay, 2500)
	s.pay(up, pay, 2500)
	if p := s.purse(); p.Balance("EUR") != eur(2500) || !p.Open[0].Bought || s.jobs("invoice.paid") != 0 {
		t.Errorf("%+v", p)
	}
	if inv := s.issue(s.draft("order/2", 1000)); inv.ByCredit != eur(1190) || inv.State != invoicing.Paid {
		t.Errorf("%+v", inv)
	}
	if got := s.get(up.ID); got.State != invoicing.Paid {
		t.Errorf("%+v", got)
	}
	if _, err := s.credit(invoicing.CreditRequest{Key: "c", InvoiceID: up.ID}); !fault.Is(err, "invoice.not_creditable") {
		t.Errorf("a credit note of a top-up: %v", err)
	}
	if _, _, err := invoicing.Electronic(s.document(up.ID), invoicing.UBL); !fault.Is(err, "invoice.not_electronic") {
		t.Errorf("an electronic invoice of a top-up: %v", err)
	}
	var list []invoicing.Invoice
	s.update(func(tx *tenancy.Tx) (err error) {
		list, _, err = invoicing.Listed(ctx, tx, invoicing.Filter{})
		return err
	})
	if len(list) != 2 {
		t.Errorf("%d invoices are listed", len(list))
	}
	s.hold(3)
	revenue := int64(0)
	for _, b := range s.books().Balances {
		if b.Account == billing.Revenue {
			revenue = -b.Minor
		}
	}
	if revenue != 1100 {
		t.Errorf("revenue is %d", revenue)
	}
	other.hold(0)
}

// Nobody pays, and it is over; the money that comes all the same is credit.
func TestTopUpsLapse(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	up := s.topUp("k", 500)
	s.Clock.Advance(8 * 24 * time.Hour)
	for range 2 {
		if err := invoicing.LapseTopUps(t.Context(), s.db, s.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(up.ID); got.State != invoicing.Void {
		t.Errorf("%+v", got)
	}
	s.pay(up, uuid.New(), 500)
	if got, p := s.get(up.ID), s.purse(); got.State != invoicing.Paid || p.Balance("EUR") != eur(500) {
		t.Errorf("%+v, %+v", got, p)
	}
	s.hold(1)
}
