// Package mail writes letters in a tenant's brand and sees to it that each is sent
// once. It owns the table mails of both planes, the templates of the letters and the
// way to the mail server. It does not decide who is told what: that is said where
// the thing happens, by Enqueue, in the same transaction.
//
// A letter's words are Liquid templates, which cannot run code; its HTML and its
// plain text are both made from the same words. What a letter holds (single-use
// links) is sealed while it waits, and removed when it is sent.
package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// The states of a mail.
const (
	Queued = "queued"
	Sent   = "sent"
	Failed = "failed"
)

// sealPurpose binds a sealed body to this use; the mail's id is its associated data.
const sealPurpose = "mail"

// Sealer seals what waits in the database; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Message is a letter to be sent.
type Message struct {
	Key      string            // natural key: of two with one key, the second is not sent
	Template string            // one of this package's constants
	To       string            // one address
	Data     map[string]string // what the template needs; see Templates. A link may be a path of the sender's host
}

// SendJob sends one of a tenant's mails.
type SendJob struct {
	Mail string `json:"mail"`
}

// Kind names the job.
func (SendJob) Kind() string { return "mail.send" }

// CentralSendJob sends one of the platform's mails.
type CentralSendJob struct {
	Mail string `json:"mail"`
}

// Kind names the job.
func (CentralSendJob) Kind() string { return "mail.send_central" }

// Outbox takes letters. It is safe for concurrent use.
type Outbox struct{ sealer Sealer }

// NewOutbox makes an outbox that seals with s.
func NewOutbox(s Sealer) *Outbox { return &Outbox{sealer: s} }

// Enqueue has the letter sent after the commit. With a key that was used before it
// does nothing. An address nobody can write to is the fault mail.bad_address; an
// unknown template or missing data is an error of the program.
func (o *Outbox) Enqueue(ctx context.Context, tx tenancy.Statements, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	body, err := json.Marshal(m.Data)
	if err != nil {
		return err
	}
	sealed, err := o.sealer.Seal(sealPurpose, []byte(id.String()), body)
	if err != nil {
		return fmt.Errorf("seal mail %s: %w", m.Key, err)
	}
	res, err := tx.NewRaw(`INSERT INTO mails (id, key, template, to_address, subject, sealed_body, state, created_at)
		VALUES (?, ?, ?, ?, '', ?, 'queued', ?) ON CONFLICT (key) DO NOTHING`,
		id.String(), m.Key, m.Template, m.To, sealed, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("enqueue mail %s: %w", m.Key, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return enqueueSend(ctx, tx, id.String())
}

// EnqueueAll is Enqueue for many of a shop's letters, at the cost of two statements. One
// that is refused refuses all.
func (o *Outbox) EnqueueAll(ctx context.Context, tx *tenancy.Tx, all []Message) error {
	if len(all) == 0 {
		return nil
	}
	type row struct {
		ID       uuid.UUID `json:"id"`
		Key      string    `json:"key"`
		Template string    `json:"template"`
		To       string    `json:"to_address"`
		Sealed   []byte    `json:"sealed"`
	}
	rows := make([]row, len(all))
	for i, m := range all {
		if err := m.check(); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		body, err := json.Marshal(m.Data)
		if err != nil {
			return err
		}
		rows[i] = row{ID: id, Key: m.Key, Template: m.Template, To: m.To}
		if rows[i].Sealed, err = o.sealer.Seal(sealPurpose, []byte(id.String()), body); err != nil {
			return fmt.Errorf("seal mail %s: %w", m.Key, err)
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	var fresh []string
	err = tx.NewRaw(`INSERT INTO mails (id, key, template, to_address, subject, sealed_body, state, created_at)
		SELECT r.id, r.key, r.template, r.to_address, '', decode(r.sealed, 'base64'), 'queued', ?
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, key text, template text, to_address text, sealed text) ON CONFLICT (key) DO NOTHING RETURNING id::text`, tx.Now(), string(text)).Scan(ctx, &fresh)
	if err != nil {
		return fmt.Errorf("enqueue %d mails: %w", len(all), err)
	}
	jobs := make([]tenancy.Queued, len(fresh))
	for i, id := range fresh {
		jobs[i] = tenancy.Queued{Job: SendJob{Mail: id}}
	}
	return tx.EnqueueAll(ctx, jobs)
}

// enqueueSend has the mail sent by the plane that keeps it.
func enqueueSend(ctx context.Context, tx tenancy.Statements, id string) error {
	var job tenancy.Job = SendJob{Mail: id}
	if _, central := tx.(*tenancy.CentralTx); central {
		job = CentralSendJob{Mail: id}
	}
	_, err := tx.Enqueue(ctx, job, tenancy.JobOptions{})
	return err
}

// Again sends a failed mail once more. It is the fault mail.not_failed for any other.
func (o *Outbox) Again(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	res, err := tx.NewRaw("UPDATE mails SET state = 'queued', attempts = 0, created_at = ? WHERE id = ? AND state = 'failed' AND sealed_body IS NOT NULL",
		tx.Now(), id.String()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("send mail %s again: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.New(fault.Conflict, "mail.not_failed", "Only a mail that failed can be sent again.")
	}
	return enqueueSend(ctx, tx, id.String())
}

func (m *Message) check() error {
	needs, ok := Templates[m.Template]
	if !ok {
		return fmt.Errorf("mail %s: there is no template %q", m.Key, m.Template)
	}
	if m.Key == "" || len(m.Key) > 200 || strings.ContainsRune(m.Key, 0) {
		return fmt.Errorf("mail: %q is no key", m.Key)
	}
	clean := make(map[string]string, len(needs))
	for _, key := range needs {
		v, ok := m.Data[key]
		if !ok {
			return fmt.Errorf("mail %s: template %s needs %q", m.Key, m.Template, key)
		}
		clean[key] = oneLine(v)
	}
	if len(m.Data) != len(needs) {
		return fmt.Errorf("mail %s: template %s takes %v and nothing else", m.Key, m.Template, needs)
	}
	m.Data = clean
	to, err := parseAddress(m.To)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "mail.bad_address", "This mail address cannot be written to.")
	}
	m.To = to
	return nil
}

// parseAddress takes one bare address, of the kind that fits in a header as it is.
func parseAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "", fmt.Errorf("%.60q is no mail address", s)
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return "", err
	}
	if a.Address != s {
		return "", fmt.Errorf("%.60q is not a bare mail address", s)
	}
	return s, nil
}

const maxValue = 2000

// oneLine keeps what people wrote from becoming headers, paragraphs or another
// direction of reading.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return -1
		case unicode.IsControl(r) || r == 0x2028 || r == 0x2029:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxValue {
		s = string(r[:maxValue])
	}
	return strings.TrimSpace(s)
}
