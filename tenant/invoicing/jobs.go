package invoicing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// PaidJob follows when nothing is owed on an invoice any more because it was paid. It
// may come again when an invoice was given back and paid anew.
type PaidJob struct {
	InvoiceID uuid.UUID `json:"invoice_id"`
}

// Kind names the job.
func (PaidJob) Kind() string { return "invoice.paid" }

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
}

func tell(ctx context.Context, tx *tenancy.Tx, e event) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO timeline (id, key, account_id, subject_kind, subject_id, kind, text, actor, customer_sees, at)
		VALUES (?, ?, ?, 'invoice', ?, ?, ?, 'system', true, ?) ON CONFLICT (key) DO NOTHING`,
		id, e.key, e.invoice.AccountID, e.invoice.ID, e.kind, e.text, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("tell of %s: %w", e.key, err)
	}
	return nil
}
