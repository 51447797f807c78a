package invoicing_test

import (
	"strings"
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

// A draft is checked, changed, shown as a pro-forma invoice, which takes no number and
// posts nothing, and issued once.
func TestInvoicesByHand(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	id := uuid.New()
	form := func(change func(*invoicing.SheetForm)) invoicing.SheetForm {
		f := invoicing.SheetForm{ID: id, AccountID: s.account, Currency: "EUR", TermDays: "14", Lines: []invoicing.SheetFormLine{
			{Text: "Moving a shop, by the hour", Quantity: "3", Unit: "80.00"}, {}, {Text: "Because you waited", Unit: "-40"}}}
		if change != nil {
			change(&f)
		}
		return f
	}
	save := func(db *tenancy.DB, f invoicing.SheetForm) error {
		return invoicing.SaveSheet(t.Context(), db, f, olga)
	}
	for what, change := range map[string]func(*invoicing.SheetForm){
		"no lines": func(f *invoicing.SheetForm) { f.Lines = nil }, "no words": func(f *invoicing.SheetForm) { f.Lines[0].Text = " " },
		"no amount": func(f *invoicing.SheetForm) { f.Lines[0].Unit = "1,5" }, "a part": func(f *invoicing.SheetForm) { f.Lines[0].Quantity = "1.5" },
		"no class": func(f *invoicing.SheetForm) { f.Lines[0].Class = "compensation" }, "a day": func(f *invoicing.SheetForm) { f.From = "2026-11-01" },
		"backwards": func(f *invoicing.SheetForm) { f.From, f.To = "2026-11-30", "2026-11-01" }, "a term": func(f *invoicing.SheetForm) { f.TermDays = "91" },
	} {
		if err := save(s.db, form(change)); !fault.Is(err, "invoice_draft.invalid") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := save(s.db, form(func(f *invoicing.SheetForm) { f.Lines[0].Unit = "1" })); !fault.Is(err, "invoice.bad_sum") {
		t.Errorf("less than nothing: %v", err)
	}
	if err := save(other.db, form(nil)); !fault.Is(err, "account.not_found") {
		t.Errorf("for the neighbour's customer: %v", err)
	}
	for range 2 {
		if err := save(s.db, form(nil)); err != nil {
			t.Fatal(err)
		}
	}
	year := form(func(f *invoicing.SheetForm) { f.From, f.To = "2026-10-15", "2027-10-14" })
	if err := save(s.db, year); err != nil {
		t.Fatal(err)
	}
	var doc document.Document
	s.update(func(tx *tenancy.Tx) error {
		all, err := invoicing.Sheets(t.Context(), tx)
		if err != nil || len(all) != 1 || len(all[0].Lines) != 2 {
			t.Fatalf("%v: %+v", err, all)
		}
		doc, err = invoicing.SheetProForma(t.Context(), tx, s.db, all[0])
		return err
	})
	if doc.Kind != document.ProForma || doc.Number != "" || doc.Total() != eur(23_800) || len(doc.Lines) != 2 {
		t.Errorf("the pro-forma invoice: %+v", doc)
	}
	if pdf, err := document.PDF(doc, document.Look{}); err != nil || len(pdf) < 1000 || doc.Title() != "Pro-forma invoice" || doc.FileName() != "pro-forma" {
		t.Errorf("%s as PDF: %v", doc.Title(), err)
	}
	if _, _, err := invoicing.Electronic(doc, invoicing.UBL); !fault.Is(err, "invoice.not_electronic") {
		t.Errorf("as an electronic invoice: %v", err)
	}
	if n := s.jobs("invoice.letter"); n != 0 {
		t.Errorf("%d letters before anything is issued", n)
	}
	if _, err := invoicing.IssueSheet(t.Context(), other.db, id, olga); !fault.Is(err, "invoice_draft.not_found") {
		t.Errorf("by the neighbour: %v", err)
	}
	first, err := invoicing.IssueSheet(t.Context(), s.db, id, olga)
	if err != nil {
		t.Fatal(err)
	}
	again, err := invoicing.IssueSheet(t.Context(), s.db, id, olga)
	if err != nil || again.ID != first.ID || first.Number != "INV-2026-00001" || !first.DueAt.Equal(first.IssuedAt.Add(14*24*time.Hour)) {
		t.Errorf("%v: %+v and %+v", err, first, again)
	}
	if stored := s.document(first.ID); stored.Total() != doc.Total() || strings.Join(stored.Buyer.Address(), "") != strings.Join(doc.Buyer.Address(), "") {
		t.Errorf("issued: %+v", stored)
	}
	if err := save(s.db, year); !fault.Is(err, "invoice_draft.issued") {
		t.Errorf("changed after it was issued: %v", err)
	}
	if err := invoicing.DropSheet(t.Context(), s.db, id, olga); !fault.Is(err, "invoice_draft.issued") {
		t.Errorf("thrown away after it was issued: %v", err)
	}
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		deferred := int64(0)
		for _, b := range r.Balances {
			if b.Account == billing.DeferredRevenue {
				deferred = b.Minor
			}
		}
		if err == nil && (!r.Holds() || deferred != -20_000) { // for a year ahead
			t.Errorf("%v, %d deferred", r.Problems, deferred)
		}
		return err
	})
}
