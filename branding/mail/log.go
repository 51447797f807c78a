package mail

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Logged is a mail as the log shows it; what it says is not kept.
type Logged struct {
	ID        uuid.UUID
	Template  string
	ToAddress string
	Subject   string
	State     string
	Attempts  int
	LastError string
	CanRetry  bool
	CreatedAt time.Time
	SentAt    time.Time
	Total     int `json:"-"`
}

// LogFilter narrows and orders the log. Zero fields do not.
type LogFilter struct {
	Text   string // part of the address or subject
	State  string
	Sort   string // created, to, state; empty: created, newest first
	Desc   bool
	Offset int
	Limit  int
}

const maxLogPage = 200

const logColumns = `id, template, to_address, subject, state, attempts, coalesce(last_error, '') AS last_error,
	state = 'failed' AND sealed_body IS NOT NULL AS can_retry, created_at, sent_at`

// Log returns one page of the mails of tx's plane, and how many there are in all.
func Log(ctx context.Context, tx tenancy.Statements, f LogFilter) (mails []Logged, total int, err error) {
	if f.Limit <= 0 || f.Limit > maxLogPage {
		f.Limit = maxLogPage
	}
	where, args := "true", []any{}
	if f.State != "" {
		where, args = where+" AND state = ?", append(args, storable(f.State))
	}
	if text := strings.TrimSpace(storable(f.Text)); text != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
		where, args = where+" AND (to_address ILIKE ? OR subject ILIKE ? OR template ILIKE ?)", append(args, like, like, like)
	}
	order, ok := map[string]string{"created": "created_at", "to": "lower(to_address)", "state": "state"}[f.Sort]
	if !ok {
		order, f.Desc = "created_at", true
	}
	if f.Desc {
		order += " DESC"
	}
	err = tx.NewRaw("SELECT "+logColumns+", count(*) OVER () AS total FROM mails WHERE "+where+" ORDER BY "+order+", id DESC LIMIT ? OFFSET ?",
		append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &mails)
	if err != nil {
		return nil, 0, fmt.Errorf("read the mail log: %w", err)
	}
	if len(mails) > 0 {
		total = mails[0].Total
	}
	return mails, total, nil
}

// Find returns one mail of the log, or the fault mail.not_found.
func Find(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (m Logged, err error) {
	err = tx.NewRaw("SELECT "+logColumns+" FROM mails WHERE id = ?", id).Scan(ctx, &m)
	if tenancy.IsNoRows(err) {
		return Logged{}, fault.New(fault.NotFound, "mail.not_found", "There is no such mail.")
	}
	if err != nil {
		return Logged{}, fmt.Errorf("read the mail log: %w", err)
	}
	return m, nil
}

func storable(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "") }
