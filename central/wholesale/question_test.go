package wholesale_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// A line is questioned, answered to and fro, declined, asked again and accepted: with one
// credit note, never more than the line or the invoice, in the books and in the letters.
func TestAQuestionBecomesACredit(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	d.Mail, d.PartnerURL = outbox(t), "https://partners.test"
	must(t, d.SetSeller(ctx, wholesale.Seller{Party: sellerIn("DE"), DueDays: 14}, anna))
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-10-01")}, anna))
		use(t, w, who, "start", "service/1", "vps-m", 10, "2026-10-01 00:00")
		must(t, d.SetProfile(ctx, who.ID, document.Party{Company: "A", Line1: "1", City: "B", Country: "DE", Email: "a@b.test"}, anna)) // 19 % VAT
	}
	w.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, d, "2026-10")
	rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	inv := rows[0]
	if inv.NetMinor != 12250 || inv.TaxMinor != 2328 { // 49 + 84 - 10.50
		t.Fatalf("invoice: %+v", inv)
	}
	ask := wholesale.Question{Invoice: inv.ID, Position: 2, Text: "We had five."}
	for name, q := range map[string]wholesale.Question{
		"question.invalid":          {Invoice: inv.ID, Position: 2},
		"wholesale_invoice.unknown": {Invoice: inv.ID, Position: 77, Text: "x"},
	} {
		if err := d.Ask(ctx, w.A.ID, q, anna); !fault.Is(err, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Ask(ctx, w.B.ID, ask, anna); !fault.Is(err, "wholesale_invoice.unknown") {
		t.Errorf("another's line: %v", err)
	}
	must(t, d.Ask(ctx, w.A.ID, ask, anna))
	must(t, d.Ask(ctx, w.A.ID, ask, anna)) // twice is once
	asked := func() wholesale.Line {
		t.Helper()
		_, l, _, err := d.Line(ctx, inv.ID, 2, w.A.ID, 0, 10)
		must(t, err)
		return l
	}
	q := asked().Open()
	if q == nil || len(q.Notes) != 1 || q.Notes[0].Text != "We had five." {
		t.Fatalf("asked: %+v", q)
	}
	must(t, d.Answer(ctx, q.ID, "Which ones?", anna))
	must(t, d.Ask(ctx, w.A.ID, wholesale.Question{Invoice: inv.ID, Position: 2, Text: "The others were yours."}, anna))
	must(t, d.Decline(ctx, q.ID, "They ran.", anna))
	for name, err := range map[string]error{"answer": d.Answer(ctx, q.ID, "x", anna), "decline": d.Decline(ctx, q.ID, "x", anna)} {
		if !fault.Is(err, "question.decided") {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	if _, err := d.Accept(ctx, wholesale.Acceptance{Question: uuid.New(), Amount: "1", Text: "x"}, anna); !fault.Is(err, "question.unknown") {
		t.Errorf("no such question: %v", err)
	}
	must(t, d.Ask(ctx, w.A.ID, wholesale.Question{Invoice: inv.ID, Position: 2, Text: "Please look once more."}, anna))
	again := asked().Open()
	for amount, name := range map[string]string{"0": "question.invalid", "-1": "question.invalid", "84.01": "question.too_much", "1e9": "question.invalid"} {
		if _, err := d.Accept(ctx, wholesale.Acceptance{Question: again.ID, Amount: amount, Text: "x"}, anna); !fault.Is(err, name) {
			t.Errorf("%s: %v", amount, err)
		}
	}
	done := make(chan error)
	for range 4 { // clicks at once
		go func() {
			_, err := d.Accept(ctx, wholesale.Acceptance{Question: again.ID, Amount: "42.00", Text: "You are right."}, anna)
			done <- err
		}()
	}
	refused := 0
	for range 4 {
		if err := <-done; fault.Is(err, "question.decided") {
			refused++
		} else {
			must(t, err)
		}
	}
	got, err := d.Invoice(ctx, inv.ID, w.A.ID)
	must(t, err)
	if refused != 3 || len(got.Payments) != 1 || got.Payments[0].Gateway != wholesale.Noted || got.Open().Minor != 14578-4998 || got.State != "open" { // 42.00 and 7.98
		t.Errorf("after: %d refused, %+v, %+v", refused, got.InvoiceRow, got.Payments)
	}
	note, err := d.CreditNote(ctx, got.Payments[0].ID, w.A.ID)
	must(t, err)
	if note.Number != "WC-000001" || note.Document.Kind != document.CreditNote || note.Document.Corrects.Number != inv.Number || note.Document.TotalMinor != 4998 || note.Document.Reason != "You are right." {
		t.Errorf("credit note: %+v", note)
	}
	if _, err := d.CreditNote(ctx, note.ID, w.B.ID); !fault.Is(err, "wholesale_credit.unknown") {
		t.Errorf("another's credit note: %v", err)
	}
	if file, err := document.PDF(note.Document, document.Look{}); err != nil || !strings.HasPrefix(string(file), "%PDF-") {
		t.Errorf("pdf: %v", err)
	}
	booksBalance(t, w)
	reportsAgree(t, d)
	if wrong, err := d.Books(ctx); err != nil || len(wrong) > 0 {
		t.Errorf("books: %q, %v", wrong, err)
	}
	if n := count(t, w, "SELECT count(*) FROM mails WHERE template = 'wholesale_answer'"); n != 3 {
		t.Errorf("%d letters", n)
	}
	list, n, err := d.Questions(ctx, wholesale.QuestionFilter{Tenant: w.A.ID})
	if err != nil || n != 2 || list[0].State != wholesale.QuestionAccepted || list[0].Credit != "WC-000001" || list[1].State != wholesale.QuestionDeclined {
		t.Errorf("questions: %+v, %v", list, err)
	}
	if _, n, err := d.Questions(ctx, wholesale.QuestionFilter{Tenant: w.B.ID}); err != nil || n != 0 {
		t.Errorf("the other's questions: %d, %v", n, err)
	}

	// The rest is paid; what is credited then is set against what else is owed.
	must(t, d.TakeByHand(ctx, inv.ID, wholesale.ByHand{Key: "k", Amount: got.Open().Decimal(), Note: "n"}, anna))
	must(t, d.Ask(ctx, w.A.ID, wholesale.Question{Invoice: inv.ID, Position: 2, Text: "And the rest?"}, anna))
	last := asked().Open()
	if _, err := d.Accept(ctx, wholesale.Acceptance{Question: last.ID, Amount: "42.01", Text: "x"}, anna); !fault.Is(err, "question.too_much") {
		t.Errorf("more than is left of the line: %v", err)
	}
	if _, err := d.Accept(ctx, wholesale.Acceptance{Question: last.ID, Amount: "42", Text: "Yes."}, anna); err != nil {
		t.Fatal(err)
	}
	w.Clock.Set(on(t, "2026-12-02"))
	mustRun(t, d, "2026-11")
	must(t, d.Collect(ctx))
	rows, _, err = d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	if rows[0].Open().Minor != 14578-4998 || rows[1].Open().Minor != 0 {
		t.Errorf("set against the next: %v and %v are open", rows[0].Open(), rows[1].Open())
	}
	booksBalance(t, w)
	if wrong, err := d.Books(ctx); err != nil || len(wrong) > 0 {
		t.Errorf("books: %q, %v", wrong, err)
	}
	if _, err := w.Owner.Exec(ctx, "UPDATE central.wholesale_credits SET net_minor = net_minor + 1, total_minor = total_minor + 1, document = document || '{\"x\": 1}' WHERE sequence = 2"); err != nil {
		t.Fatal(err)
	}
	if wrong, err := d.Books(ctx); err != nil || len(wrong) != 3 { // changed, more than the line, not as taken off
		t.Errorf("the books of a credit note that was changed: %q, %v", wrong, err)
	}
}
