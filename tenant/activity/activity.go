// Package activity owns the timeline: what happened to a service, an order, an
// invoice or an account, in plain words, in order. The customer sees the part that is
// meant for them. It is not the audit trail, which says who changed what and cannot
// be rewritten (tenancy/audit).
package activity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// The kinds of subject an event is about.
const (
	Account      = "account"
	Order        = "order"
	Subscription = "subscription"
	Service      = "service"
	Invoice      = "invoice"
	Payment      = "payment"
)

// System is the actor of what nobody did by hand.
const System = "system"

// Event is one thing that happened.
type Event struct {
	Key          string    // natural key, unique in the tenant: service/<id>/active
	AccountID    uuid.UUID // uuid.Nil: no customer's
	SubjectKind  string
	SubjectID    uuid.UUID
	Kind         string    // for programs: service.active
	Text         string    // what people read, one sentence
	Actor        string    // a name; empty: System
	CustomerSees bool      // false: the reseller's team alone
	At           time.Time // zero: the transaction's time
	// Programs is what it is to other people's programs: endpoints of webhooks that want
	// it are told with the same commit. Nil: nothing.
	Programs []webhook.News
}

// Told is one row of the timeline.
type Told struct {
	ID           uuid.UUID
	AccountID    uuid.UUID
	SubjectKind  string
	SubjectID    uuid.UUID
	Kind         string
	Text         string
	Actor        string
	CustomerSees bool
	At           time.Time
}

// maxText bounds what one row says, in bytes.
const maxText = 500

// eventRow is an event as the statement takes it.
type eventRow struct {
	ID           uuid.UUID  `json:"id"`
	Key          string     `json:"key"`
	AccountID    *uuid.UUID `json:"account_id"`
	SubjectKind  string     `json:"subject_kind"`
	SubjectID    uuid.UUID  `json:"subject_id"`
	Kind         string     `json:"kind"`
	Text         string     `json:"text"`
	Actor        string     `json:"actor"`
	CustomerSees bool       `json:"customer_sees"`
	At           time.Time  `json:"at"`
}

func (e Event) row(now time.Time) (eventRow, error) {
	id, err := uuid.NewV7()
	r := eventRow{
		ID: id, Key: e.Key, SubjectKind: e.SubjectKind, SubjectID: e.SubjectID, Kind: e.Kind, Text: short(e.Text), Actor: short(e.Actor),
		CustomerSees: e.CustomerSees, At: e.At.UTC(),
	}
	if e.At.IsZero() {
		r.At = now
	}
	if e.Actor == "" {
		r.Actor = System
	}
	if e.AccountID != uuid.Nil {
		r.AccountID = &e.AccountID
	}
	return r, err
}

// Tell adds events to the timeline with the transaction. It may be repeated: a key is
// told once, and the first telling stands, to people as to programs. It is one
// statement as long as no endpoint wants to hear of it.
func Tell(ctx context.Context, tx *tenancy.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	all := make([]eventRow, len(events))
	var happened []webhook.Happening
	for i, e := range events {
		var err error
		if all[i], err = e.row(tx.Now()); err != nil {
			return fmt.Errorf("tell %s: %w", e.Key, err)
		}
		if len(e.Programs) > 0 {
			happened = append(happened, webhook.Happening{Key: e.Key, AccountID: e.AccountID, News: e.Programs})
		}
	}
	rows, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("tell %s: %w", events[0].Key, err)
	}
	const keep = `INSERT INTO timeline (id, key, account_id, subject_kind, subject_id, kind, text, actor, customer_sees, at)
		SELECT r.id, r.key, r.account_id, r.subject_kind, r.subject_id, r.kind, r.text, r.actor, r.customer_sees, r.at
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, key text, account_id uuid, subject_kind text, subject_id uuid, kind text, text text, actor text, customer_sees boolean, at timestamptz)
		ON CONFLICT (key) DO NOTHING`
	if len(happened) > 0 {
		return webhook.SendWith(ctx, tx, happened, keep+" RETURNING key", string(rows))
	}
	if _, err := tx.NewRaw(keep, string(rows)).Exec(ctx); err != nil {
		return fmt.Errorf("tell %s: %w", events[0].Key, err)
	}
	return nil
}

// short is s as PostgreSQL can keep it, and no longer than one row says.
func short(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// MaxPage is the most rows List returns at once.
const MaxPage = 200

// Filter chooses rows. Zero fields do not narrow.
type Filter struct {
	Subjects     []uuid.UUID // any of them
	AccountID    uuid.UUID
	CustomerView bool     // only what the customer may see
	Without      []string // kinds of subject that are left out
	Before       time.Time
	BeforeID     uuid.UUID // with Before: the rows up to this one are left out, and no others of its moment
	Offset       int
	Limit        int // 0: 50
}

// List returns rows, newest first, in one statement.
func List(ctx context.Context, tx *tenancy.Tx, f Filter) ([]Told, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	where, args := "true", []any{}
	if len(f.Subjects) > 0 {
		where += " AND subject_id IN (?)"
		args = append(args, bun.List(f.Subjects))
	}
	if f.AccountID != uuid.Nil {
		where += " AND account_id = ?"
		args = append(args, f.AccountID)
	}
	if f.CustomerView {
		where += " AND customer_sees"
	}
	if len(f.Without) > 0 {
		where += " AND subject_kind NOT IN (?)"
		args = append(args, bun.List(f.Without))
	}
	switch {
	case f.BeforeID != uuid.Nil:
		where += " AND (at, id) < (?, ?)"
		args = append(args, f.Before, f.BeforeID)
	case !f.Before.IsZero():
		where += " AND at < ?"
		args = append(args, f.Before)
	}
	var found []Told
	err := tx.NewRaw(`SELECT id, coalesce(account_id, '00000000-0000-0000-0000-000000000000') AS account_id, subject_kind, subject_id,
		kind, text, actor, customer_sees, at FROM timeline WHERE `+where+` ORDER BY at DESC, id DESC LIMIT ? OFFSET ?`,
		append(args, min(f.Limit, MaxPage), max(f.Offset, 0))...).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list the timeline: %w", err)
	}
	return found, nil
}
