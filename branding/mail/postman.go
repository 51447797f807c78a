package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy"
)

// A mail that could not be delivered for so long has failed: what it says is old news.
const giveUpAfter = 72 * time.Hour

// noteWithin bounds the note of an outcome, which must be made even when the time of
// the delivery is over: a mail that was sent and not noted is sent twice.
const noteWithin = 10 * time.Second

// Senders says in whose name letters go out.
type Senders interface {
	Tenant(ctx context.Context, db *tenancy.DB) (Sender, error)
	Platform() Sender
}

// Postman delivers what lies in the outboxes of both planes. Register Send with
// queue.Handle and SendCentral with queue.HandleCentral.
type Postman struct {
	Sealer    Sealer
	Letters   *Letters
	Senders   Senders
	Transport Transport
	Log       *slog.Logger // nil: silent
}

// Send delivers one of a tenant's mails. It does nothing for one that is not queued.
// An error means that it may work later; a final refusal is noted in the mail's row
// and is no error.
// A sandbox's is not sent: see SendMany.
func (p *Postman) Send(ctx context.Context, db *tenancy.DB, job SendJob) error {
	if db.Tenant().Sandbox {
		return p.SendMany(ctx, db, []SendJob{job})
	}
	return p.deliver(ctx, job.Mail,
		func(ctx context.Context, fn func(tenancy.Statements) error) error {
			return db.Update(ctx, func(tx *tenancy.Tx) error { return fn(tx) })
		},
		func() (Sender, error) { return p.Senders.Tenant(ctx, db) })
}

// SendCentral delivers one of the platform's mails, as Send does.
func (p *Postman) SendCentral(ctx context.Context, c *tenancy.Central, job CentralSendJob) error {
	return p.deliver(ctx, job.Mail,
		func(ctx context.Context, fn func(tenancy.Statements) error) error {
			return c.Update(ctx, func(tx *tenancy.CentralTx) error { return fn(tx) })
		},
		func() (Sender, error) { return p.Senders.Platform(), nil })
}

// waiting is a mail that is to be delivered.
type waiting struct {
	ID        string    `bun:"id"`
	Template  string    `bun:"template"`
	To        string    `bun:"to_address"`
	Sealed    []byte    `bun:"sealed_body"`
	Attempts  int       `bun:"attempts"`
	CreatedAt time.Time `bun:"created_at"`
	now       time.Time
	own       Text // the shop's own words; zero: the built-in ones
}

type updater func(ctx context.Context, fn func(tenancy.Statements) error) error

func (p *Postman) deliver(ctx context.Context, id string, update updater, sender func() (Sender, error)) error {
	if _, err := uuid.Parse(id); err != nil {
		return fmt.Errorf("mail %q: %w", id, err)
	}
	var w waiting
	err := update(ctx, func(tx tenancy.Statements) error { return take(ctx, tx, id, &w) })
	if err != nil || w.ID == "" {
		return err
	}
	letter, err := p.post(ctx, w, sender)
	note, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if err == nil {
		return update(note, func(tx tenancy.Statements) error { return noteSent(note, tx, id, letter.Subject) })
	}
	final := w.now.Sub(w.CreatedAt) > giveUpAfter
	var refused *PermanentError
	if final = final || errors.As(err, &refused); final {
		p.log().WarnContext(ctx, "mail failed for good", "mail", id, "template", w.Template, "error", err)
	}
	if noted := update(note, func(tx tenancy.Statements) error { return noteError(note, tx, id, letter.Subject, err, final) }); noted != nil {
		return errors.Join(err, noted)
	}
	if final {
		return nil
	}
	return fmt.Errorf("mail %s, attempt %d: %w", id, w.Attempts, err)
}

func (p *Postman) log() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log
}

// post renders the letter and hands it to the mail server. It returns the letter as
// far as it came.
func (p *Postman) post(ctx context.Context, w waiting, sender func() (Sender, error)) (Letter, error) {
	s, err := sender()
	if err != nil {
		return Letter{}, err
	}
	plain, err := p.Sealer.Open(sealPurpose, []byte(w.ID), w.Sealed)
	if err != nil {
		return Letter{}, err // a key that is missing now may be configured later
	}
	var data map[string]string
	if err := json.Unmarshal(plain, &data); err != nil {
		return Letter{}, &PermanentError{Err: err}
	}
	letter, err := p.Letters.Render(s, w.Template, data)
	if w.own != (Text{}) {
		// Words that cannot be filled in keep no letter back: the built-in ones go out.
		if own, ownErr := p.Letters.RenderOwn(s, w.Template, data, w.own); ownErr == nil {
			letter, err = own, nil
		} else {
			p.log().WarnContext(ctx, "a shop's own words cannot be used", "template", w.Template, "error", ownErr)
		}
	}
	if err != nil {
		return letter, &PermanentError{Err: err}
	}
	return letter, p.Transport.Send(ctx, Envelope{ID: w.ID, From: s.FromAddress, FromName: s.FromName, ReplyTo: s.ReplyTo,
		To: w.To, Host: s.Host, CreatedAt: w.CreatedAt, Letter: letter})
}

// take counts an attempt of a queued mail and reads it; w stays empty for another.
func take(ctx context.Context, tx tenancy.Statements, id string, w *waiting) error {
	var rows []waiting
	err := tx.NewRaw(`UPDATE mails SET attempts = attempts + 1 WHERE id = ? AND state = 'queued' AND sealed_body IS NOT NULL
		RETURNING id::text AS id, template, to_address, sealed_body, attempts, created_at`, id).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("take mail %s: %w", id, err)
	}
	if len(rows) == 1 {
		*w = rows[0]
		w.now = tx.Now()
		return ownWords(ctx, tx, w)
	}
	return nil
}

// ownWords reads what a shop wrote instead of the built-in words.
func ownWords(ctx context.Context, tx tenancy.Statements, w *waiting) error {
	if _, shop := tx.(*tenancy.Tx); !shop {
		return nil
	}
	err := tx.NewRaw("SELECT subject, body FROM mail_texts WHERE template = ? ORDER BY locale LIMIT 1", w.Template).Scan(ctx, &w.own.Subject, &w.own.Body)
	if err != nil && !tenancy.IsNoRows(err) {
		return fmt.Errorf("read the shop's words for %s: %w", w.Template, err)
	}
	return nil
}

func noteSent(ctx context.Context, tx tenancy.Statements, id, subject string) error {
	_, err := tx.NewRaw("UPDATE mails SET state = 'sent', sent_at = ?, subject = ?, sealed_body = NULL, last_error = NULL WHERE id = ?",
		tx.Now(), subject, id).Exec(ctx)
	return err
}

func noteError(ctx context.Context, tx tenancy.Statements, id, subject string, why error, final bool) error {
	state := Queued
	if final {
		state = Failed
	}
	_, err := tx.NewRaw("UPDATE mails SET state = ?, last_error = ?, subject = ? WHERE id = ? AND state = 'queued'",
		state, shorten(oneLine(why.Error()), 500), subject, id).Exec(ctx)
	return err
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// House is the usual Senders: each tenant writes in its own brand, from the address
// its brand names or else from no-reply at its primary host.
type House struct {
	Desk  *branding.Desk
	Own   Sender                             // the platform's
	Sites func(host string) (baseURL string) // of a tenant's host: scheme, host and port
	Host  func(tenancy.Tenant) string        // the tenant's primary host
}

// Platform is who writes for the platform.
func (h *House) Platform() Sender { return h.Own }

// Tenant is who writes for a tenant.
func (h *House) Tenant(ctx context.Context, db *tenancy.DB) (Sender, error) {
	b, err := h.Desk.Brand(ctx, db)
	if err != nil {
		return Sender{}, err
	}
	host := h.Host(db.Tenant())
	s := Sender{Brand: b, FromName: b.Texts.SenderName, FromAddress: b.Texts.SenderEmail, ReplyTo: b.Texts.SupportEmail, Host: host, BaseURL: h.Sites(host)}
	if s.FromName == "" {
		s.FromName = b.Name
	}
	if s.FromAddress == "" {
		s.FromAddress = "no-reply@" + host
	}
	return s, nil
}
