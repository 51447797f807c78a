package bankbook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/bank"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/bankbook"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/report"
	"github.com/ezscale/ezscale/tenant/settings"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

type drivers struct{}

func (drivers) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if code == sandbox.Code {
		return &sandbox.Gateway{}, nil
	}
	return transfer.New(transfer.Config{Holder: s.Public["holder"], IBAN: s.Public["iban"]})
}

// shop is a shop that takes transfers, with a customer.
type shop struct {
	t       *testing.T
	db      *tenancy.DB
	desk    *payment.Desk
	account uuid.UUID
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *shop {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	who.Sandbox = true
	s := &shop{t: t, db: w.DB(who), desk: &payment.Desk{Gateways: drivers{}, Keys: ring}, account: uuid.New()}
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE"
	s.must(settings.SaveBilling(t.Context(), s.db, b, olga))
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Ida Berg', 'EUR', now(), now(), 'DE', ?::jsonb)`,
			s.account, `{"name": "Ida Berg", "line1": "Way 1", "city": "Town", "email": "ida@example.com"}`).Exec(t.Context())
		return err
	})
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) transfers() {
	s.t.Helper()
	for _, c := range []payment.Change{{Code: transfer.Code, On: true, Public: map[string]string{"holder": "Alpha GmbH", "iban": "DE02120300000000202051"}}, {Code: sandbox.Code, On: true}} {
		s.must(s.desk.SaveGateway(s.t.Context(), s.db, c, olga))
	}
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	s.must(s.db.Update(s.t.Context(), fn))
}

// issue makes an invoice over 11.90 EUR with tax.
func (s *shop) issue(key string) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(s.t.Context(), tx, invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: eur(1000)}}})
		return err
	})
	return inv
}

func (s *shop) paid(id uuid.UUID) (state invoicing.State, minor int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(s.t.Context(), tx, id)
		state, minor = inv.State, inv.Paid.Minor
		return err
	})
	return state, minor
}

// hand hands a CSV file in, whose lines are "text;amount".
func (s *shop) hand(lines ...string) bankbook.Imported {
	s.t.Helper()
	file := "Verwendungszweck;Betrag;Datum;Name\n"
	for _, l := range lines {
		file += l + ";20.11.2026;Ida Berg\n"
	}
	out, err := bankbook.Import(s.t.Context(), s.db, bankbook.Upload{Name: "november.csv", File: []byte(file), Columns: bank.Columns{Currency: "EUR"}}, olga)
	s.must(err)
	return out
}

func (s *shop) lines(state bankbook.State) (lines []bankbook.Line, fits []bankbook.Fit) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		if lines, err = bankbook.List(s.t.Context(), tx, state, 0, 0); err == nil {
			fits, err = bankbook.Suggest(s.t.Context(), tx, lines)
		}
		return err
	})
	return lines, fits
}

// apply books what is certain, as the page ticks it.
func (s *shop) apply() bankbook.Outcome {
	s.t.Helper()
	lines, fits := s.lines(bankbook.Open)
	var chosen []bankbook.Choice
	for i, f := range fits {
		if f.Sure {
			chosen = append(chosen, bankbook.Choice{ID: lines[i].ID, Numbers: strings.Join(f.Numbers, ", ")})
		}
	}
	out, err := bankbook.Apply(s.t.Context(), s.db, append(chosen, chosen...), olga) // the button pressed twice
	s.must(err)
	return out
}

func (s *shop) balanced() {
	s.t.Helper()
	var row struct{ Receivable, Owed, Cash, Kept int64 }
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT
			(SELECT coalesce(sum(CASE WHEN debit = 'receivable' THEN amount_minor WHEN credit = 'receivable' THEN -amount_minor ELSE 0 END), 0) FROM ledger_postings) AS receivable,
			(SELECT coalesce(sum(total_minor - paid_minor - credited_minor), 0) FROM invoices WHERE kind = 'invoice') AS owed,
			(SELECT coalesce(sum(CASE WHEN debit LIKE 'cash/%' THEN amount_minor ELSE 0 END), 0) FROM ledger_postings) AS cash,
			(SELECT coalesce(sum(amount_minor), 0) FROM payments WHERE state = 'succeeded') AS kept`).Scan(s.t.Context(), &row)
	})
	if row.Receivable != row.Owed || row.Cash != row.Kept {
		s.t.Errorf("the books do not agree: %+v", row)
	}
}

// TestAStatementIsAppliedOnce: what fits to the cent is booked, once, however often the
// file is handed in and the button pressed; the rest waits.
func TestAStatementIsAppliedOnce(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.transfers()
	one, two, three := s.issue("a"), s.issue("b"), s.issue("c")
	awaited, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: one.ID, Gateway: transfer.Code, OnSession: true})
	s.must(err)
	file := []string{one.Number + ";11,90", "Für " + two.Number + " und " + three.Number + ";23,80", "Rent;-500,00", "no number;3,33"}
	if out := s.hand(file...); out != (bankbook.Imported{Found: 4, Fresh: 4, Incoming: 3}) {
		t.Errorf("%+v", out)
	}
	if out := s.hand(append(file, "later;1,00")...); out != (bankbook.Imported{Found: 5, Fresh: 1, Incoming: 1}) {
		t.Errorf("with one more: %+v", out)
	}
	if out := s.apply(); out.Applied != 2 || len(out.Refused) != 0 {
		t.Errorf("%+v", out)
	}
	for _, inv := range []invoicing.Invoice{one, two, three} {
		if state, minor := s.paid(inv.ID); state != invoicing.Paid || minor != 1190 {
			t.Errorf("%s is %s with %d", inv.Number, state, minor)
		}
	}
	s.update(func(tx *tenancy.Tx) error {
		if p, err := payment.Get(t.Context(), tx, awaited.ID); err != nil || p.State != gateway.Succeeded {
			t.Errorf("the awaited transfer is %+v %v", p, err)
		}
		return nil
	})
	applied, _ := s.lines(bankbook.Applied)
	if len(applied) != 2 || len(applied[0].Payments)+len(applied[1].Payments) != 3 {
		t.Errorf("%+v", applied)
	}
	if out := s.hand(file...); out.Fresh != 0 {
		t.Errorf("again: %+v", out)
	}
	if left, _ := s.lines(bankbook.Open); len(left) != 2 {
		t.Errorf("left: %+v", left)
	}
	if aside, _ := s.lines(bankbook.Aside); len(aside) != 1 || aside[0].Amount != eur(-50000) {
		t.Errorf("set aside: %+v", aside)
	}
	s.balanced()
}

// TestPartsAndMore: a part leaves the rest open, more than is owed is booked on the last
// invoice, and a card payment that is under way is not in the way.
func TestPartsAndMore(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.transfers()
	one, two := s.issue("a"), s.issue("b")
	s.update(func(tx *tenancy.Tx) error { // a customer is at a gateway's page just now
		_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			VALUES (?, 'pay/x', ?, ?, 'sandbox', 'EUR', 1190, 0, 'requires_action', '', '', true, now(), now())`, uuid.New(), two.ID, s.account).Exec(t.Context())
		return err
	})
	s.hand(one.Number+";5,00", one.Number+" Rest "+two.Number+";20,00")
	lines, fits := s.lines(bankbook.Open)
	for i, l := range lines {
		if fits[i].Sure || len(fits[i].Numbers) == 0 || fits[i].Why == "" {
			t.Errorf("%+v is suggested as %+v", l, fits[i])
		}
		out, err := bankbook.Apply(t.Context(), s.db, []bankbook.Choice{{ID: l.ID, Numbers: strings.Join(fits[i].Numbers, " ")}}, olga)
		if err != nil || out.Applied != 1 {
			t.Fatalf("%+v %v", out, err)
		}
	}
	if state, minor := s.paid(one.ID); state != invoicing.Paid || minor < 1190 {
		t.Errorf("the first is %s with %d", state, minor)
	}
	_, first := s.paid(one.ID)
	_, second := s.paid(two.ID)
	if first+second != 2500 {
		t.Errorf("%d and %d of 25.00", first, second)
	}
	s.balanced()
}

// TestCreditIsPaidAheadByTransfer: a top-up is found by its number like an invoice, and what
// comes is credit.
func TestCreditIsPaidAheadByTransfer(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.transfers()
	asked, err := invoicing.AskTopUp(t.Context(), s.db, invoicing.TopUp{Key: "k", AccountID: s.account, Amount: eur(2500)}, olga)
	s.must(err)
	s.hand("for " + asked.Number + ";25,00")
	if out := s.apply(); out.Applied != 1 || len(out.Refused) != 0 {
		t.Fatalf("%+v", out)
	}
	if state, minor := s.paid(asked.ID); state != invoicing.Paid || minor != 2500 {
		t.Errorf("it is %s with %d", state, minor)
	}
	s.balanced()
}

// TestMoneyThatComesTooLate is the account's credit, with a word on what it was sent for:
// of an order that lapsed, of a top-up that did, and of a transfer that was still awaited.
func TestMoneyThatComesTooLate(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.transfers()
	lapsed, awaited := s.issue("order/1"), s.issue("order/2")
	p, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: awaited.ID, Gateway: transfer.Code, OnSession: true})
	s.must(err)
	for _, inv := range []invoicing.Invoice{lapsed, awaited} {
		s.update(func(tx *tenancy.Tx) error {
			_, err := invoicing.Credit(t.Context(), tx, invoicing.CreditRequest{Key: "lapse/" + inv.Number, InvoiceID: inv.ID, Amount: inv.Total, Reason: "Not paid in time."})
			return err
		})
	}
	asked, err := invoicing.AskTopUp(t.Context(), s.db, invoicing.TopUp{Key: "k", AccountID: s.account, Amount: eur(2500)}, olga)
	s.must(err)
	w.Clock.Advance(8 * 24 * time.Hour)
	s.must(invoicing.LapseTopUps(t.Context(), s.db, w.Clock.Now()))

	owed := s.issue("renewal/1")
	s.hand(lapsed.Number+";11,90", asked.Number+";25,00", "no number;11,90", lapsed.Number+" "+owed.Number+";23,80")
	lines, fits := s.lines(bankbook.Open)
	var chosen []bankbook.Choice
	for i, l := range lines {
		if l.Text == "no number" { // is the open invoice's, and never one's that is over
			if len(fits[i].Numbers) != 1 || fits[i].Numbers[0] != owed.Number {
				t.Errorf("%+v", fits[i])
			}
			continue
		}
		if fits[i].Sure || !strings.Contains(fits[i].Why, "cancelled") {
			t.Errorf("%q is suggested as %+v", l.Text, fits[i])
		}
		chosen = append(chosen, bankbook.Choice{ID: l.ID, Numbers: strings.Join(fits[i].Numbers, ", ")})
	}
	out, err := bankbook.Apply(t.Context(), s.db, append(chosen, chosen...), olga)
	if err != nil || out.Applied != 3 || len(out.Refused) != 0 {
		t.Fatalf("%+v %v", out, err)
	}
	for range 2 {
		if p, err = payment.ConfirmTransfer(t.Context(), s.db, p.ID, eur(1190), olga); err != nil || p.State != gateway.Succeeded || p.InvoiceID == awaited.ID {
			t.Errorf("confirmed: %+v %v", p, err)
		}
	}
	for _, inv := range []invoicing.Invoice{lapsed, awaited} {
		if state, minor := s.paid(inv.ID); state != invoicing.Void || minor != 0 {
			t.Errorf("%s is %s with %d", inv.Number, state, minor)
		}
	}
	if state, minor := s.paid(owed.ID); state != invoicing.Paid || minor != 1190 {
		t.Errorf("what is owed beside it is %s with %d", state, minor)
	}
	if state, minor := s.paid(asked.ID); state != invoicing.Paid || minor != 2500 {
		t.Errorf("the top-up is %s with %d", state, minor)
	}
	var notes []string
	var told int
	s.update(func(tx *tenancy.Tx) error {
		if err := tx.NewRaw("SELECT note || ' ' || left_minor FROM credit_grants WHERE bought ORDER BY 1").Scan(t.Context(), &notes); err != nil {
			return err
		}
		return tx.NewRaw("SELECT count(*) FROM timeline WHERE kind = 'invoice.late_money' AND customer_sees AND subject_id IN (?, ?)", lapsed.ID, awaited.ID).Scan(t.Context(), &told)
	})
	late := func(inv invoicing.Invoice) string {
		return "You sent it for " + inv.Number + ", which was cancelled before it came. 1190"
	}
	if want := []string{asked.Number + " 2500", late(lapsed), late(lapsed), late(awaited)}; !slices.Equal(notes, want) || told != 3 {
		t.Errorf("%q, told %d times", notes, told)
	}
	s.balanced()
}

// TestLateMoneyOfAClosedAccount is not refused and not lost: it is credit, to be sent back.
// What nobody has assigned is before the team until somebody does.
func TestLateMoneyOfAClosedAccount(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	s.transfers()
	lapsed := s.issue("order/1")
	asked, err := invoicing.AskTopUp(t.Context(), s.db, invoicing.TopUp{Key: "k", AccountID: s.account, Amount: eur(2500)}, olga)
	s.must(err)
	w.Clock.Advance(8 * 24 * time.Hour)
	s.must(invoicing.LapseTopUps(t.Context(), s.db, w.Clock.Now()))
	s.update(func(tx *tenancy.Tx) error {
		if _, err := invoicing.Credit(t.Context(), tx, invoicing.CreditRequest{Key: "lapse", InvoiceID: lapsed.ID, Amount: lapsed.Total, Reason: "Not paid in time."}); err != nil {
			return err
		}
		_, err := tx.NewRaw("UPDATE accounts SET closed_at = ? WHERE id = ?", tx.Now(), s.account).Exec(t.Context())
		return err
	})
	wants := func() (n int) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) error {
			w, err := report.Wants(t.Context(), tx)
			n = w.BookingsOpen
			return err
		})
		return n
	}
	s.hand(lapsed.Number+";11,90", asked.Number+";25,00", "who knows;7,00")
	if n := wants(); n != 3 {
		t.Errorf("%d bookings wait", n)
	}
	var chosen []bankbook.Choice
	lines, _ := s.lines(bankbook.Open)
	for _, l := range lines {
		if l.Text != "who knows" {
			chosen = append(chosen, bankbook.Choice{ID: l.ID, Numbers: l.Text})
		}
	}
	out, err := bankbook.Apply(t.Context(), s.db, append(chosen, chosen...), olga)
	if err != nil || out.Applied != 2 || len(out.Refused) != 0 {
		t.Fatalf("%+v %v", out, err)
	}
	if n := wants(); n != 1 {
		t.Errorf("%d bookings wait afterwards", n)
	}
	var left int64
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT sum(left_minor) FROM credit_grants WHERE account_id = ? AND bought", s.account).Scan(t.Context(), &left)
	})
	if left != 3690 {
		t.Errorf("%d are credit", left)
	}
	s.balanced()
}

// TestWhatCannotBeApplied says why, and changes nothing.
func TestWhatCannotBeApplied(t *testing.T) {
	w := tenancytest.New(t)
	a, b := open(t, w, w.A), open(t, w, w.B)
	inv := a.issue("a")
	a.hand(inv.Number + ";11,90")
	lines, _ := a.lines(bankbook.Open)
	try := func(s *shop, numbers, want string) {
		t.Helper()
		out, err := bankbook.Apply(t.Context(), s.db, []bankbook.Choice{{ID: lines[0].ID, Numbers: numbers}}, olga)
		if err != nil || out.Applied != 0 || !strings.Contains(out.Refused[lines[0].ID], want) {
			t.Errorf("%q: %+v %v", numbers, out, err)
		}
	}
	try(a, inv.Number, "Set bank transfer up first")
	a.transfers()
	b.transfers()
	try(a, "", "Write the number")
	try(a, inv.Number+" INV-1999-1", "There is no invoice INV-1999-1")
	try(b, inv.Number, "There is no such booking")
	if n, err := bankbook.PutAside(t.Context(), b.db, []uuid.UUID{lines[0].ID}, true, olga); err != nil || n != 0 {
		t.Errorf("the neighbour's booking: %d %v", n, err)
	}
	for _, aside := range []bool{true, false} {
		if n, err := bankbook.PutAside(t.Context(), a.db, []uuid.UUID{lines[0].ID}, aside, olga); err != nil || n != 1 {
			t.Errorf("aside %v: %d %v", aside, n, err)
		}
	}
	if state, minor := a.paid(inv.ID); state != invoicing.Open || minor != 0 {
		t.Errorf("%s with %d", state, minor)
	}
	if out := a.apply(); out.Applied != 1 {
		t.Errorf("%+v", out)
	}
	for _, aside := range []bool{true, false} {
		if n, err := bankbook.PutAside(t.Context(), a.db, []uuid.UUID{lines[0].ID}, aside, olga); err != nil || n != 0 {
			t.Errorf("what was applied: %d %v", n, err)
		}
	}
	a.balanced()
	b.balanced()
}

// TestUnreadableFiles are refused at their field, and the columns somebody named are
// remembered.
func TestUnreadableFiles(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	for name, test := range map[string]struct{ text, code string }{
		"no statement": {"<html></html>", "bank.unreadable"}, "a picture": {"\x89PNG\x00", "bank.unreadable"}, "unknown columns": {"When;How much\n1.1.2026;5\n", "bank.columns"},
		"no rows": {"Datum;Betrag;Währung\n", "bank.unreadable"}, "too large": {strings.Repeat("x", bank.MaxFile+1), "bank.too_large"},
	} {
		_, err := bankbook.Import(t.Context(), s.db, bankbook.Upload{Name: name, File: []byte(test.text)}, olga)
		if !fault.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	named := bank.Columns{Date: "When", Amount: "How much", Currency: "EUR"}
	var rows strings.Builder
	for i := range 1500 { // more than one statement inserts
		fmt.Fprintf(&rows, "1.1.2026;5,%02d\n", i%100)
	}
	out, err := bankbook.Import(t.Context(), s.db, bankbook.Upload{Name: "x\x00.csv", File: []byte("When;How much\n" + rows.String()), Columns: named}, olga)
	if err != nil || out.Fresh != 1500 {
		t.Errorf("%+v %v", out, err)
	}
	s.update(func(tx *tenancy.Tx) error {
		if got, err := bankbook.ColumnsOf(t.Context(), tx); err != nil || got != named {
			t.Errorf("remembered: %+v %v", got, err)
		}
		return nil
	})
}
