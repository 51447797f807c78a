package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// joinKey begins the natural keys of invoices over several renewals: account, day,
// currency and method follow, and the plan where it has days of its own (see DunningOf).
const joinKey = "renewal/together/"

func joined(key string) bool { return strings.HasPrefix(key, joinKey) }

// joins reports whether the renewals of a subscription are invoiced with others of its
// account.
func (p Policy) joins(s Subscription) bool {
	if s.Together != nil {
		return *s.Together
	}
	return p.Together
}

// renewing is a renewal as it may share its invoice with others.
func (p Policy) renewing(s Subscription, next billing.Period, lines int) billing.Renewing {
	if !p.joins(s) {
		return billing.Renewing{Alone: true}
	}
	r := billing.Renewing{Account: s.AccountID.String(), Day: next.From.In(s.Zone()).Format("2006-01-02"), Currency: s.Amount.Currency, Ahead: s.ahead(next), Lines: lines}
	if s.MethodID != uuid.Nil {
		r.Method = s.MethodID.String()
	}
	if _, own := p.Plans[s.PlanID]; own {
		r.Chased = s.PlanID.String()
	}
	return r
}

// joinedKey is the natural key of the invoice that renewals share.
func joinedKey(r billing.Renewing) string {
	method, made := r.Method, "ahead"
	if method == "" {
		method = "usual"
	}
	if !r.Ahead {
		made = "after"
	}
	parts := []string{r.Account, r.Day, r.Currency, method, made}
	if r.Chased != "" {
		parts = append(parts, r.Chased)
	}
	return joinKey + strings.Join(parts, "/")
}

// companions are what else is due of the account of the last of a full batch, so that it
// stays together.
func companions(ctx context.Context, w *work, ids []uuid.UUID) (more []uuid.UUID, err error) {
	err = w.tx.NewRaw(`SELECT s.id FROM subscriptions s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = (SELECT l.account_id FROM subscriptions l WHERE l.id = ?) AND coalesce(a.one_invoice, ?) AND s.renews_at <= ? AND s.id NOT IN (?)`,
		ids[len(ids)-1], w.policy.Together, w.tx.Now(), bun.List(ids)).Scan(ctx, &more)
	if err != nil {
		return nil, fmt.Errorf("look for what is due with subscription %s: %w", ids[len(ids)-1], err)
	}
	return more, nil
}

// issueTogether makes the invoices of renewals, each of which has a draft: one for those
// that share it. It returns the invoice of each.
func issueTogether(ctx context.Context, w *work, subs []Subscription, drafts []invoicing.Draft) ([]invoicing.Invoice, error) {
	all := make([]billing.Renewing, len(subs))
	for i, s := range subs {
		all[i] = w.policy.renewing(s, s.Next(), len(drafts[i].Lines))
		all[i].Alone = all[i].Alone || w.alone
	}
	groups := billing.Together(all)
	if len(groups) == len(subs) {
		return issueAll(ctx, w.tx, drafts)
	}
	var fewer []invoicing.Draft
	var of [][]int // whose each is
	made, known := make([]invoicing.Invoice, len(subs)), map[string]int{}
	for _, g := range groups {
		if len(g) == 1 {
			fewer, of = append(fewer, drafts[g[0]]), append(of, g)
			continue
		}
		left, n, err := standing(ctx, w.tx, subs, g, joinedKey(all[g[0]]), made)
		if err != nil {
			return nil, err
		}
		if len(left) > 0 {
			key := joinedKey(all[left[0]])
			n += known[key]
			known[key]++
			fewer, of = append(fewer, merged(key, n, drafts, left)), append(of, left)
		}
	}
	issued, err := issueAll(ctx, w.tx, fewer)
	if err != nil {
		return nil, err
	}
	for i, inv := range issued {
		for _, j := range of[i] {
			made[j] = inv
		}
	}
	return made, nil
}

// merged is one draft in place of several. n is how many invoices of the same key there
// are: what is due of the day later has one of its own.
func merged(key string, n int, drafts []invoicing.Draft, of []int) invoicing.Draft {
	d := drafts[of[0]]
	if d.Key = key; n > 0 {
		d.Key = fmt.Sprintf("%s/%d", key, n+1)
	}
	d.Lines = nil
	for _, i := range of {
		d.Lines = append(d.Lines, drafts[i].Lines...)
		if drafts[i].DueAt.Before(d.DueAt) {
			d.DueAt, d.CollectAt = drafts[i].DueAt, drafts[i].CollectAt
		}
	}
	return d
}

// standing leaves out of a group what stands on an invoice of the day already, whose
// invoice it fills in, and says how many invoices of the key there are.
func standing(ctx context.Context, tx *tenancy.Tx, subs []Subscription, group []int, key string, made []invoicing.Invoice) (left []int, n int, err error) {
	var rows []struct {
		ID, SubscriptionID uuid.UUID
		Key                string
		PeriodFrom         time.Time
	}
	ids := make([]uuid.UUID, len(group))
	for i, j := range group {
		ids[i] = subs[j].ID
	}
	err = tx.NewRaw(`SELECT i.id, i.key, coalesce(l.subscription_id, '00000000-0000-0000-0000-000000000000') AS subscription_id, l.period_from
		FROM invoices i LEFT JOIN invoice_lines l ON l.invoice_id = i.id AND l.withdrawn_at IS NULL AND i.state <> 'void' AND l.subscription_id IN (?)
		WHERE i.account_id = ? AND starts_with(i.key, ?)`, bun.List(ids), subs[group[0]].AccountID, key).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, fmt.Errorf("look for an invoice of the same day: %w", err)
	}
	keys := map[string]bool{}
	for _, r := range rows {
		keys[r.Key] = true
	}
	for _, j := range group {
		on := uuid.Nil
		for _, r := range rows {
			if r.SubscriptionID == subs[j].ID && r.PeriodFrom.Equal(subs[j].Next().From) {
				on = r.ID
			}
		}
		if on == uuid.Nil {
			left = append(left, j)
		} else if made[j], err = invoicing.Get(ctx, tx, on); err != nil {
			return nil, 0, err
		}
	}
	return left, len(keys), nil
}

// restIsFree reports whether nothing is owed any more of an invoice that subscriptions
// share: what cost something was withdrawn.
func restIsFree(b bill) bool { return joined(b.Key) && b.State == string(invoicing.Void) }

// withdrawLines takes what a subscription owes on an invoice that it shares off it, by a
// credit note over its lines. The others are of it as before.
func withdrawLines(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill, reason string) error {
	_, err := tx.NewRaw("UPDATE invoice_lines SET withdrawn_at = ? WHERE invoice_id = ? AND subscription_id = ? AND withdrawn_at IS NULL", tx.Now(), b.InvoiceID, s.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("withdraw lines of invoice %s: %w", b.Number, err)
	}
	return invoicing.CreditPart(ctx, tx, invoicing.CreditRequest{
		Key: "withdrawn/" + b.InvoiceID.String() + "/" + s.ID.String(), InvoiceID: b.InvoiceID, Reason: reason, CreditBack: true,
	}, s.ID)
}

// giveUpOn stops collecting what a subscription that ended owes on an invoice. Of one that
// it shares: where another is turned off for it too, the last of them that ends gives the
// whole up; where others run on, its lines are withdrawn and the rest stays owed.
func giveUpOn(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill) error {
	if !joined(b.Key) {
		return abandonDebt(ctx, tx, b)
	}
	var others struct {
		Running, Off int
		Touched      bool
	}
	err := tx.NewRaw(`SELECT count(*) FILTER (WHERE o.state NOT IN ('suspended', 'ended')) AS running, count(*) FILTER (WHERE o.state = 'suspended') AS off,
			(SELECT i.paid_minor <> coalesce(i.credit_minor, 0) OR EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state IN ('created', 'requires_action', 'processing')) FROM invoices i WHERE i.id = ?) AS touched
		FROM subscriptions o WHERE o.id <> ? AND o.id IN (SELECT l.subscription_id FROM invoice_lines l WHERE l.invoice_id = ? AND l.withdrawn_at IS NULL)`, b.InvoiceID, s.ID, b.InvoiceID).Scan(ctx, &others)
	switch {
	case err != nil:
		return fmt.Errorf("read who shares invoice %s: %w", b.Number, err)
	case others.Off > 0 || others.Running > 0 && others.Touched:
		return nil
	case others.Running > 0:
		return withdrawLines(ctx, tx, s, b, "Given up")
	}
	return abandonDebt(ctx, tx, b)
}

// wakeToJoin has subscriptions looked at a day sooner, so that those of one day come
// together: of an account, or with uuid.Nil of all. Those that are looked at too soon are
// put back. A day less is counted in UTC: the session's zone would have a say otherwise,
// which Citus takes in no UPDATE.
func wakeToJoin(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) error {
	_, err := tx.NewRaw(`UPDATE subscriptions SET renews_at = greatest(?0, (renews_at AT TIME ZONE 'UTC' - interval '1 day') AT TIME ZONE 'UTC') WHERE renews_at > ?0 AND state IN ('active', 'past_due', 'suspended')
		AND (account_id = ?1 OR ?1 = '00000000-0000-0000-0000-000000000000')`, tx.Now(), account).Exec(ctx)
	if err != nil {
		return fmt.Errorf("plan renewals together: %w", err)
	}
	return settle(ctx, tx)
}

// foreseenTogether puts invoices that are foreseen together as they will be made: those that
// are made at one moment, as renewals that are not made ahead are not.
func foreseenTogether(all []Foreseen) []Foreseen {
	kinds := make([]billing.Renewing, len(all))
	for i, f := range all {
		kinds[i] = f.joins
		kinds[i].Day += " " + f.IssueAt.UTC().Format(time.RFC3339Nano)
	}
	groups := billing.Together(kinds)
	if len(groups) == len(all) {
		return all
	}
	out := make([]Foreseen, len(groups))
	for n, g := range groups {
		out[n] = all[g[0]]
		for _, i := range g[1:] {
			f := all[i]
			out[n].Lines, out[n].SoFar = append(out[n].Lines, f.Lines...), out[n].SoFar || f.SoFar
			if f.Period.From.Before(out[n].Period.From) {
				out[n].Period.From = f.Period.From
			}
			if f.DueAt.Before(out[n].DueAt) {
				out[n].DueAt = f.DueAt
			}
			f.Lines = nil
			out[n].With = append(out[n].With, f)
		}
	}
	return out
}
