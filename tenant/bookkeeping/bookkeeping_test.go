package bookkeeping_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// shop has a customer, an invoice of 15 October that is paid by credit and by a transfer,
// and one of a month later that is open.
func shop(t *testing.T, w *tenancytest.World) (*tenancy.DB, uuid.UUID) {
	t.Helper()
	db, account, ctx := w.DB(w.A), uuid.New(), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	update := func(fn func(tx *tenancy.Tx) error) { t.Helper(); must(db.Update(ctx, fn)) }
	update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Zoë & Łódź', 'EUR', now(), now(), 'DE', '{}')`, account).Exec(ctx)
		return err
	})
	_, err := credit.GiveByHand(ctx, db, credit.Form{Key: "k", AccountID: account, Amount: "5.00", Currency: "EUR"}, time.UTC, olga)
	must(err)
	issue := func(key string) (inv invoicing.Invoice) {
		update(func(tx *tenancy.Tx) (err error) {
			inv, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: key, AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: eur(1000)}}})
			return err
		})
		return inv
	}
	first := issue("one")
	update(func(tx *tenancy.Tx) error {
		return invoicing.Applied(ctx, tx, invoicing.Application{InvoiceID: first.ID, PaymentID: uuid.New(), Gateway: "transfer", Amount: first.Due()})
	})
	w.Clock.Advance(31 * 24 * time.Hour)
	issue("two")
	w.Clock.Advance(40 * 24 * time.Hour)
	return db, account
}

func october() bookkeeping.Period {
	return bookkeeping.Period{From: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
}

func TestJournalTrialAndAged(t *testing.T) {
	w := tenancytest.New(t)
	db, account := shop(t, w)
	november := bookkeeping.Period{From: october().To, To: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	err := db.View(t.Context(), func(tx *tenancy.Tx) error {
		var told []string
		err := bookkeeping.Journal(t.Context(), tx, october(), func(m bookkeeping.Movement) error {
			told = append(told, fmt.Sprintf("%s %s %s %s %s", m.Debit, m.Credit, m.Amount.Decimal(), m.Document, m.Account))
			return nil
		})
		if err != nil {
			return err
		}
		all := strings.Join(told, "\n")
		for _, want := range []string{"promotions promotional_credit 5.00  Zoë & Łódź", "receivable revenue 10.00 INV-2026-00001 Zoë & Łódź", "promotional_credit receivable 5.00 INV-2026-00001", "cash/transfer receivable 5.00"} {
			if !strings.Contains(all, want) {
				t.Errorf("the journal does not say %q:\n%s", want, all)
			}
		}
		for i, p := range []bookkeeping.Period{october(), november} {
			lines, err := bookkeeping.Trial(t.Context(), tx, p)
			if err != nil {
				return err
			}
			var opening, moved, closing int64
			on := map[string]bookkeeping.Line{}
			for _, l := range lines {
				opening, moved, closing, on[l.Account] = opening+l.Opening.Minor, moved+l.Debit.Minor-l.Credit.Minor, closing+l.Closing().Minor, l
			}
			if opening != 0 || moved != 0 || closing != 0 {
				t.Errorf("%d: the trial balance is %d, %d, %d", i, opening, moved, closing)
			}
			if got := on[billing.Revenue].Closing(); got != eur(int64(-1000*(i+1))) {
				t.Errorf("%d: revenue is %s", i, got)
			}
		}
		aged, err := bookkeeping.Aged(t.Context(), tx)
		if err != nil {
			return err
		}
		// Issued 40 days ago, due after seven: for 33 days.
		if len(aged) != 1 || aged[0].AccountID != account || aged[0].Days60 != eur(1000) || aged[0].Total() != eur(1000) {
			t.Errorf("%+v", aged)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Given up, it is asked for no more, and is still the account's balance.
	err = db.Update(t.Context(), func(tx *tenancy.Tx) error {
		var open uuid.UUID
		if err := tx.NewRaw(`SELECT id FROM invoices WHERE state = 'open'`).Scan(t.Context(), &open); err != nil {
			return err
		}
		if err := invoicing.GiveUp(t.Context(), tx, open); err != nil {
			return err
		}
		aged, err := bookkeeping.Aged(t.Context(), tx)
		if err == nil && (len(aged) != 1 || aged[0].GivenUp != eur(1000) || aged[0].Days60 != eur(0) || aged[0].Total() != eur(1000)) {
			t.Errorf("given up: %+v", aged)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DB(w.B).View(t.Context(), func(tx *tenancy.Tx) error {
		return bookkeeping.Journal(t.Context(), tx, october(), func(m bookkeeping.Movement) error {
			t.Errorf("the neighbour has %+v", m)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDATEV(t *testing.T) {
	w := tenancytest.New(t)
	db, _ := shop(t, w)
	export := func(p bookkeeping.Period) (out bytes.Buffer, err error) {
		err = db.View(t.Context(), func(tx *tenancy.Tx) error {
			_, err := bookkeeping.Export(t.Context(), tx, p, time.UTC, "Alpha GmbH", "EUR", &out)
			return err
		})
		return out, err
	}
	if _, err := export(october()); !fault.Is(err, "bookkeeping.not_set") {
		t.Errorf("without the adviser's number: %v", err)
	}
	for field, f := range map[string]bookkeeping.Form{
		"chart": {Chart: "skr99", YearBegins: "1"}, "consultant": {Chart: "skr03", YearBegins: "1", Consultant: "17"}, "client": {Chart: "skr03", YearBegins: "1", Client: "x"},
		"year_begins": {Chart: "skr03", YearBegins: "13"}, "account.revenue": {Chart: "skr03", YearBegins: "1", Accounts: map[string]string{"revenue": "84'"}},
	} {
		if err := bookkeeping.Save(t.Context(), db, f, olga); fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	good := bookkeeping.Form{Chart: "skr04", YearBegins: "7", Consultant: "29098", Client: "55003", Accounts: map[string]string{"revenue": "43000", "cash/transfer": ""}}
	if err := bookkeeping.Save(t.Context(), db, good, olga); err != nil {
		t.Fatal(err)
	}
	out, err := export(october())
	if err != nil {
		t.Fatal(err)
	}
	// The year began in July, accounts have five digits, and Ł is no letter of Windows-1252.
	for _, want := range []string{`;29098;55003;20260701;5;20261001;20261031;"Alpha GmbH"`, `10,00;"S";"EUR";;;;12100;43000;;1510;"INV-2026-00001";;;"Zo` + "\xeb & ?\xf3d" + `?, net"`, `5,00;"S";"EUR";;;;18000;12100;;1510;`, `5,00;"S";"EUR";;;;66000;35000;;1510;`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the batch does not say %q:\n%s", want, out.String())
		}
	}
	two := october()
	two.From = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	if _, err := export(two); !fault.Is(err, "bookkeeping.bad_period") {
		t.Errorf("two years: %v", err)
	}
}

// Where one statement ends the next begins, and the last ends with what is receivable.
func TestStatementsFollowEachOther(t *testing.T) {
	w := tenancytest.New(t)
	db, account := shop(t, w)
	err := db.View(t.Context(), func(tx *tenancy.Tx) error {
		var before int64
		day := october().From
		for day.Before(w.Clock.Now()) {
			p := bookkeeping.Period{From: day, To: day.AddDate(0, 0, 9)}
			s, err := bookkeeping.StatementOf(t.Context(), tx, account, "EUR", p)
			if err != nil {
				return err
			}
			sum := s.OpeningMinor
			for _, r := range s.Rows {
				if sum += r.Minor; sum != r.BalanceMinor || r.At.Before(p.From) || !r.At.Before(p.To) {
					t.Errorf("%+v after %d", r, sum)
				}
			}
			if s.OpeningMinor != before || s.ClosingMinor != sum {
				t.Errorf("from %s: begins with %d after %d, ends with %d of %d", day, s.OpeningMinor, before, s.ClosingMinor, sum)
			}
			before, day = s.ClosingMinor, p.To
		}
		if before != 1000 {
			t.Errorf("%d are owed at the end", before)
		}
		all, err := bookkeeping.StatementOf(t.Context(), tx, account, "EUR", october())
		if err != nil || len(all.Rows) != 3 || all.Rows[0].Text != "Invoice" || all.Rows[0].Number != "INV-2026-00001" {
			t.Errorf("%+v %v", all.Rows, err)
		}
		if _, err := bookkeeping.StatementOf(t.Context(), tx, uuid.New(), "EUR", october()); !fault.Is(err, "account.not_found") {
			t.Error(err)
		}
		pdf, err := document.StatementPDF(all, document.Look{Name: "Alpha"})
		if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Errorf("%d bytes, %v", len(pdf), err)
		}
		if again, err := document.StatementPDF(all, document.Look{Name: "Alpha"}); err != nil || !bytes.Equal(pdf, again) {
			t.Error("the same statement is printed in two ways")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
