// Package letters owns a shop's own words for its mails: the table mail_texts. What may
// stand in them and how a letter is made of them is branding/mail's.
package letters

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Own is a shop's own words for a letter.
type Own struct {
	Template  string
	Subject   string
	Body      string
	ChangedBy string
	ChangedAt time.Time
}

// Customers are the letters a shop may put in its own words: those its customers get.
func Customers() []string {
	return []string{
		mail.VerifyAddress, mail.ResetPassword, mail.AccountInvitation, mail.MembershipChanged, mail.OrderReceived, mail.OrderCancelled, mail.InvoiceIssued, mail.InvoiceDue, mail.PaymentReceived, mail.CreditAdded, mail.PaymentFailed, mail.DebitAnnounced, mail.DebitMandate,
		mail.CreditNote, mail.RenewalUpcoming, mail.TrialEnding, mail.SubscriptionCancelled, mail.SubscriptionEnds, mail.SubscriptionEnding, mail.SubscriptionEnded, mail.MoreTime, mail.SubscriptionPaused, mail.SubscriptionStayed, mail.SubscriptionContinued, mail.PlanChanged, mail.ChangeFailed, mail.PriceChange, mail.PriceChangeCancelled, mail.PriceAgreed, mail.SpendLimit, mail.ServiceReady, mail.ServiceSuspended,
		mail.ServiceSuspendedUnpaid, mail.ServiceReleased, mail.ServiceGone,
	}
}

// Known is nil for a letter a shop may change, and else the fault mail_text.not_found.
func Known(template string) error {
	if slices.Contains(Customers(), template) {
		return nil
	}
	return fault.New(fault.NotFound, "mail_text.not_found", "There is no such mail.")
}

// List returns the words a shop has written.
func List(ctx context.Context, tx *tenancy.Tx) (found []Own, err error) {
	err = tx.NewRaw("SELECT template, subject, body, changed_by, changed_at FROM mail_texts WHERE locale = 'en' ORDER BY template").Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list mail texts: %w", err)
	}
	return found, nil
}

// Save keeps a shop's own words, which were checked by mail.Letters.Check. Fault:
// mail_text.not_found.
func Save(ctx context.Context, db *tenancy.DB, template string, t mail.Text, by audit.Origin) error {
	if err := Known(template); err != nil {
		return err
	}
	t.Subject, t.Body = strings.TrimSpace(t.Subject), strings.TrimSpace(strings.ReplaceAll(t.Body, "\r\n", "\n"))
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO mail_texts (template, locale, subject, body, changed_by, changed_at) VALUES (?, 'en', ?, ?, ?, ?)
			ON CONFLICT (template, locale) DO UPDATE SET subject = excluded.subject, body = excluded.body, changed_by = excluded.changed_by, changed_at = excluded.changed_at`,
			template, t.Subject, t.Body, by.Actor.Name, tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save the mail text %s: %w", template, err)
		}
		return by.Record(ctx, tx, "mail_text.changed", audit.Target{Kind: "mail_text", ID: template}, map[string]any{"subject": t.Subject})
	})
}

// Reset goes back to the built-in words. Fault: mail_text.not_found.
func Reset(ctx context.Context, db *tenancy.DB, template string, by audit.Origin) error {
	if err := Known(template); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw("DELETE FROM mail_texts WHERE template = ?", template).Exec(ctx)
		if err != nil {
			return fmt.Errorf("reset the mail text %s: %w", template, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return by.Record(ctx, tx, "mail_text.reset", audit.Target{Kind: "mail_text", ID: template}, nil)
	})
}
