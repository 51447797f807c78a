package invoicing_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// A customer is written to once of an invoice, of what came, and of a credit note.
func TestCustomersAreWrittenToOnce(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	key, err := secrets.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	inv := s.issue(s.draft("order/1", 1000))
	s.pay(inv, uuid.New(), 190)
	if _, err := s.credit(invoicing.CreditRequest{Key: "credit/1", InvoiceID: inv.ID, Reason: "Outage"}); err != nil {
		t.Fatal(err)
	}
	rows, err := w.Owner.Query(t.Context(), "SELECT args FROM river.river_job WHERE kind = 'invoice.letter' ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var jobs []invoicing.LetterJob
	for rows.Next() {
		var args []byte
		var job invoicing.LetterJob
		if err := rows.Scan(&args); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(args, &job); err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
	}
	letters := invoicing.Letters{Mail: mail.NewOutbox(ring)}
	for _, job := range append(jobs, jobs...) {
		if err := letters.Write(t.Context(), s.db, job); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	err = w.Owner.QueryRow(t.Context(), "SELECT string_agg(template || ' ' || to_address, ', ' ORDER BY template) FROM "+w.A.ID.Schema()+".mails").Scan(&got)
	if err != nil || got != "credit_note ida@example.com, invoice_issued ida@example.com, payment_received ida@example.com" {
		t.Errorf("%q %v", got, err)
	}
	if err := letters.Write(t.Context(), s.db, invoicing.LetterJob{Letter: "nonsense", InvoiceID: inv.ID, Key: "x"}); err == nil {
		t.Error("a letter nobody knows was written")
	}
	if err := letters.Write(t.Context(), w.DB(w.B), jobs[0]); err == nil {
		t.Error("another shop wrote about this invoice")
	}
}
