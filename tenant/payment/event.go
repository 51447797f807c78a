package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MaxEvent is the most bytes of a notification that are read.
const MaxEvent = 512 << 10

// Receive takes a notification: verified with the shop's own secret, kept by its id,
// and worked on by a job, once, however often it comes. Faults: hook.unknown,
// hook.forged, hook.too_large, gateway.unavailable.
func (d *Desk) Receive(ctx context.Context, db *tenancy.DB, code string, header http.Header, body []byte) error {
	if len(body) > MaxEvent {
		return fault.New(fault.TooLarge, "hook.too_large", "That is more than a notification has.")
	}
	gw, _, err := d.Open(ctx, db, code)
	switch {
	case fault.Is(err, "gateway.unknown"), errors.Is(err, gateway.ErrCredentials), errors.Is(err, gateway.ErrUnsupported):
		return fault.Wrap(err, fault.NotFound, "hook.unknown", "Nothing is expected here.")
	case err != nil:
		return err
	}
	e, err := gw.Event(ctx, header, body, db.Now()) // may ask the gateway, so outside of a transaction
	switch {
	case errors.Is(err, gateway.ErrUnsupported):
		return fault.Wrap(err, fault.NotFound, "hook.unknown", "Nothing is expected here.")
	case errors.Is(err, gateway.ErrUnavailable), errors.Is(err, gateway.ErrCredentials): // it comes again
		return unavailable(d.noteRefusedKeys(ctx, db, code, err))
	case err != nil:
		return fault.Wrap(err, fault.Malformed, "hook.forged", "The signature of this notification is not valid.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error { return keepEvent(ctx, tx, code, e) })
}

func keepEvent(ctx context.Context, tx *tenancy.Tx, code string, e gateway.Event) error {
	kept, err := e.Stored()
	if err != nil {
		return fault.Wrap(err, fault.Malformed, "hook.forged", "The signature of this notification is not valid.")
	}
	res, err := tx.NewRaw(`INSERT INTO gateway_events (gateway, id, type, body, received_at, outcome) VALUES (?, ?, ?, ?::jsonb, ?, '') ON CONFLICT DO NOTHING`,
		code, e.ID, e.Type, string(kept), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep notification %s: %w", e.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 || e.Kind == gateway.OtherEvent {
		return err
	}
	_, err = tx.Enqueue(ctx, EventJob{Gateway: code, ID: e.ID}, tenancy.JobOptions{Key: code + "/" + e.ID})
	return err
}

// HandleEvent does what a notification asks for: it asks the gateway how things stand
// now, and keeps that. Notifications may be worked on in any order, and again.
func (d *Desk) HandleEvent(ctx context.Context, db *tenancy.DB, job EventJob) error {
	e, done, err := readEvent(ctx, db, job)
	if err != nil || done {
		return err
	}
	gw, _, err := d.Open(ctx, db, job.Gateway)
	if err != nil {
		return d.noteRefusedKeys(ctx, db, job.Gateway, err)
	}
	if e.Kind == gateway.AccountChanged {
		if _, err := d.RefreshConnect(ctx, db); err != nil {
			return err
		}
	}
	keep, err := d.news(ctx, db, gw, job.Gateway, e) // asks; nothing is kept yet
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		keep = func(context.Context, *tenancy.Tx) (string, error) { return "the gateway knows it no more", nil }
	case err != nil:
		return d.noteRefusedKeys(ctx, db, job.Gateway, fmt.Errorf("notification %s: %w", job.ID, err))
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		outcome, err := keep(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE gateway_events SET processed_at = ?, outcome = ? WHERE gateway = ? AND id = ?", tx.Now(), outcome, job.Gateway, job.ID).Exec(ctx)
		return err
	})
}

func readEvent(ctx context.Context, db *tenancy.DB, job EventJob) (e gateway.Stored, done bool, err error) {
	var row struct {
		Body []byte
		Done bool
	}
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT body, processed_at IS NOT NULL AS done FROM gateway_events WHERE gateway = ? AND id = ?", job.Gateway, job.ID).Scan(ctx, &row)
	})
	if err != nil {
		return e, false, fmt.Errorf("read notification %s: %w", job.ID, err)
	}
	if err := json.Unmarshal(row.Body, &e); err != nil {
		return e, false, fmt.Errorf("read notification %s: %w", job.ID, err)
	}
	return e, row.Done, nil
}

// keeping is what is to be kept of a notification, and what came of it in a few words.
type keeping func(ctx context.Context, tx *tenancy.Tx) (string, error)

const notOurs = "not ours"

// news asks the gateway what a notification is about.
func (d *Desk) news(ctx context.Context, db *tenancy.DB, gw gateway.Gateway, code string, e gateway.Stored) (keeping, error) {
	switch e.Kind {
	case gateway.PaymentChanged:
		gp, err := heard(ctx, db, gw, code, e.Ref)
		return func(ctx context.Context, tx *tenancy.Tx) (string, error) {
			p, ok, err := find(ctx, tx, "p.gateway = ? AND (p.ref = ? OR p.key = ?)", code, gp.Ref, gp.Key)
			if err != nil || !ok {
				return notOurs, err
			}
			p, err = Settle(ctx, tx, p.ID, gp)
			return string(p.State), err
		}, err
	case gateway.RefundChanged:
		return d.refundNews(ctx, gw, code, e)
	case gateway.DisputeChanged:
		return d.disputeNews(ctx, gw, code, e)
	case gateway.SetupChanged:
		saver, ok := gw.(gateway.Saver)
		if !ok {
			break
		}
		s, err := saver.SetupState(ctx, e.Ref)
		return func(ctx context.Context, tx *tenancy.Tx) (string, error) { return keepSetupNews(ctx, tx, code, s) }, err
	case gateway.MethodChanged, gateway.MethodGone:
		return func(ctx context.Context, tx *tenancy.Tx) (string, error) { return keepMethodNews(ctx, tx, code, e) }, nil
	}
	return func(context.Context, *tenancy.Tx) (string, error) { return "left alone", nil }, nil
}

// heard is how a payment stands of which the gateway tells: where its customer has agreed
// to it and it is still wanted, its money is taken.
func heard(ctx context.Context, db *tenancy.DB, gw gateway.Gateway, code, ref string) (gateway.Payment, error) {
	if _, finishes := gw.(gateway.Finisher); !finishes {
		return gw.Payment(ctx, ref)
	}
	var wanted bool
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT EXISTS (SELECT FROM payments p JOIN invoices i ON i.id = p.invoice_id WHERE p.gateway = ? AND p.ref = ? AND "+underWay+
			" AND i.total_minor - i.paid_minor - i.credited_minor >= p.amount_minor)", code, ref).Scan(ctx, &wanted)
	})
	switch {
	case err != nil:
		return gateway.Payment{}, fmt.Errorf("look for payment %s: %w", ref, err)
	case wanted:
		return stands(ctx, gw, ref)
	}
	return gw.Payment(ctx, ref)
}

// stands is how a payment that is wanted stands; one its customer has agreed to is
// finished.
func stands(ctx context.Context, gw gateway.Gateway, ref string) (gateway.Payment, error) {
	if f, ok := gw.(gateway.Finisher); ok {
		return f.Finish(ctx, ref)
	}
	return gw.Payment(ctx, ref)
}

// setupKey names saving a method of an account; the account stands in it, because
// nothing of a setup is kept here before it succeeded.
func setupKey(account, id uuid.UUID) string { return "setup/" + account.String() + "/" + id.String() }

func accountOfSetup(key string) (uuid.UUID, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[0] != "setup" {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(parts[1])
	return id, err == nil
}

func keepSetupNews(ctx context.Context, tx *tenancy.Tx, code string, s gateway.Setup) (string, error) {
	account, ok := accountOfSetup(s.Key)
	if !ok {
		return notOurs, nil
	}
	if s.State != gateway.Succeeded || s.Method == nil {
		return string(s.State), nil
	}
	var there bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM accounts WHERE id = ?)", account).Scan(ctx, &there); err != nil || !there {
		return notOurs, err
	}
	// News come in any order: what its owner took back meanwhile is not charged again.
	var gone bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM payment_methods WHERE gateway = ? AND ref = ? AND state = 'removed')", code, s.Method.Ref).Scan(ctx, &gone); err != nil || gone {
		return "removed", err
	}
	_, err := keepNewMethod(ctx, tx, account, code, *s.Method)
	return string(s.State), err
}

// keepMethodNews marks a method that its gateway has let go of.
func keepMethodNews(ctx context.Context, tx *tenancy.Tx, code string, e gateway.Stored) (string, error) {
	if !e.LetGo() {
		return "left alone", nil
	}
	return "removed", forgetRow(ctx, tx, "gateway = ? AND ref = ?", code, e.Ref)
}

// forgetUnknown takes away what a payment's gateway does not know: its card, or, of one
// that was entered, whoever the account was there.
func forgetUnknown(ctx context.Context, tx *tenancy.Tx, p Payment) error {
	where, arg := "account_id = ?", p.AccountID
	if p.MethodID != uuid.Nil {
		where, arg = "id = ?", p.MethodID
	}
	if err := forgetRow(ctx, tx, where+" AND gateway = ?", arg, p.Gateway); err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE payment_methods SET customer_ref = '' WHERE gateway = ? AND "+where, p.Gateway, arg).Exec(ctx); err != nil {
		return fmt.Errorf("forget whom the gateway does not know: %w", err)
	}
	return nil
}

// forgetRow marks methods as removed and keeps them from being anybody's default or a
// subscription's.
func forgetRow(ctx context.Context, tx *tenancy.Tx, where string, args ...any) error {
	_, err := tx.NewRaw(`WITH gone AS (UPDATE payment_methods SET state = 'removed', changed_at = ? WHERE state <> 'removed' AND `+where+` RETURNING id),
		of AS (UPDATE subscriptions SET method_id = NULL, changed_at = ? WHERE method_id IN (SELECT id FROM gone))
		UPDATE accounts SET default_method_id = NULL, changed_at = ? WHERE default_method_id IN (SELECT id FROM gone)`,
		append(append([]any{tx.Now()}, args...), tx.Now(), tx.Now())...).Exec(ctx)
	if err != nil {
		return fmt.Errorf("remove payment method: %w", err)
	}
	return nil
}
