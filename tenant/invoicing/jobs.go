package invoicing

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// PaidJob follows when nothing is owed on an invoice any more and money paid it, if only a
// part of it: the rest may have been credited. It may come again when an invoice was given
// back and paid anew.
type PaidJob struct {
	InvoiceID uuid.UUID `json:"invoice_id"`
}

// Kind names the job.
func (PaidJob) Kind() string { return "invoice.paid" }

// ForgivenJob follows when nothing is owed on an invoice any more and nothing was paid: all
// that was left was credited by hand. It may come again.
type ForgivenJob struct {
	InvoiceID uuid.UUID `json:"invoice_id"`
}

// Kind names the job.
func (ForgivenJob) Kind() string { return "invoice.forgiven" }

// LetterJob writes to the customer about an invoice.
type LetterJob struct {
	Letter      string    `json:"letter"` // a template of branding/mail
	InvoiceID   uuid.UUID `json:"invoice_id"`
	AmountMinor int64     `json:"amount_minor"` // of a receipt: what came
	Key         string    `json:"key"`          // of the mail
}

// Kind names the job.
func (LetterJob) Kind() string { return "invoice.letter" }

func enqueueLetter(ctx context.Context, tx *tenancy.Tx, l LetterJob) error {
	_, err := tx.Enqueue(ctx, l, tenancy.JobOptions{Key: l.Key})
	return err
}

// event is a line of the timeline.
type event struct {
	key     string
	invoice Invoice
	kind    string
	text    string
	news    []webhook.News
}

// data is an invoice as programs are told of it.
func data(inv Invoice) webhook.InvoiceData {
	return webhook.InvoiceData{
		ID: inv.ID, AccountID: inv.AccountID, Number: inv.Number, State: string(inv.State), Total: webhook.AmountOf(inv.Total), Due: webhook.AmountOf(inv.Owed()),
		IssuedAt: inv.IssuedAt.UTC(), DueAt: webhook.Moment(inv.DueAt),
	}
}

func (e event) told() activity.Event {
	return activity.Event{
		Key: e.key, AccountID: e.invoice.AccountID, SubjectKind: activity.Invoice, SubjectID: e.invoice.ID,
		Kind: e.kind, Text: e.text, CustomerSees: true, Programs: e.news,
	}
}

func tell(ctx context.Context, tx *tenancy.Tx, e event) error {
	return activity.Tell(ctx, tx, e.told())
}
