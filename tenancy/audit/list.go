package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
)

// MaxPage is the most entries List returns at once.
const MaxPage = 200

// Filter narrows a list. Zero fields do not.
type Filter struct {
	ActorKind, ActorID   string
	Actor                string // part of the actor's name
	TargetKind, TargetID string
	Action               string    // exact, or a prefix when it ends with a dot: "tenant."
	From, Until          time.Time // half-open
	Before               int64     // only entries older than this one: the next page
	Limit                int       // 0 or too many: MaxPage
}

// List returns entries, newest first. The Seq of the last is Before of the next page.
func List(ctx context.Context, tx tenancy.Statements, f Filter) ([]Recorded, error) {
	q := tx.NewSelect().TableExpr("audit_entries").ColumnExpr(columns).OrderExpr("seq DESC")
	for column, value := range map[string]string{
		"actor_kind": f.ActorKind, "actor_id": f.ActorID, "target_kind": f.TargetKind, "target_id": f.TargetID,
	} {
		if value != "" {
			q = q.Where("? = ?", bun.Ident(column), clean(value))
		}
	}
	if f.Actor != "" {
		q = q.Where("position(lower(?) IN lower(actor_name)) > 0", clean(f.Actor))
	}
	if f.Action != "" {
		if f.Action[len(f.Action)-1] == '.' {
			q = q.Where("starts_with(action, ?)", clean(f.Action))
		} else {
			q = q.Where("action = ?", clean(f.Action))
		}
	}
	if !f.From.IsZero() {
		q = q.Where("at >= ?", f.From)
	}
	if !f.Until.IsZero() {
		q = q.Where("at < ?", f.Until)
	}
	if f.Before > 0 {
		q = q.Where("seq < ?", f.Before)
	}
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	var rows []row
	if err := q.Limit(int64(f.Limit)).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	out := make([]Recorded, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.recorded(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
