package payment

import (
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

func (f Filter) where() (string, []any) {
	where, args := "true", []any{}
	and := func(condition string, values ...any) {
		where += " AND " + condition
		args = append(args, values...)
	}
	if f.State != "" {
		and("p.state = ?", string(f.State))
	}
	if f.Disputed {
		and(`p.disputes @> '[{"state": "needs_response"}]'`)
	}
	if f.RefundWaiting {
		and("p.gateway = 'transfer' AND EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id AND r.state NOT IN ('succeeded', 'failed'))")
	}
	if f.Gateway != "" {
		and("p.gateway = ?", f.Gateway)
	}
	if f.AccountID != uuid.Nil {
		and("p.account_id = ?", f.AccountID)
	}
	if f.InvoiceID != uuid.Nil {
		and("p.invoice_id = ?", f.InvoiceID)
	}
	if text := strings.TrimSpace(f.Text); text != "" {
		like := roster.Like(text)
		and("(i.number ILIKE ? OR a.name ILIKE ? OR p.ref ILIKE ?)", like, like, like)
	}
	return where, args
}
