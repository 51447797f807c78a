package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// PaidMany is Paid for many invoices: subscriptions that run and get their next period are
// given it together, anything else one by one.
func (d *Desk) PaidMany(ctx context.Context, db *tenancy.DB, invoices []uuid.UUID) error {
	var others []uuid.UUID
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		others = nil
		bills, err := billsOf(ctx, tx, "i.id IN (?)", bun.List(invoices))
		if err != nil || len(bills) == 0 {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		subs, late, err := ofBills(ctx, tx, bills)
		if err != nil {
			return err
		}
		var renewed []Subscription
		var events []activity.Event
		for _, b := range bills {
			s, once := subs[b.SubscriptionID]
			delete(subs, b.SubscriptionID)
			if !once || late[s.ID] || b.State != "paid" || s.State != Active || !strings.HasPrefix(b.Key, "renewal/") || !s.CancelAt.IsZero() || s.Change != nil || s.Pause != nil || s.Trial != nil || b.Tries > 0 || !b.PeriodTo.After(s.Period.To) {
				if n := len(others); n == 0 || others[n-1] != b.InvoiceID {
					others = append(others, b.InvoiceID)
				}
				continue
			}
			s.Period = billing.Period{From: b.PeriodFrom, To: b.PeriodTo}
			s.RenewsAt = p.look(s, tx.Now())
			renewed = append(renewed, s)
			events = append(events, eventOf(s, "renewed/"+b.InvoiceID.String(), activity.Event{
				Text: s.Label + " is paid until " + s.date(s.Period.To) + ".", CustomerSees: true, Programs: news(s, webhook.SubscriptionRenewed),
			}))
		}
		if err := saveMany(ctx, tx, renewed); err != nil {
			return err
		}
		if err := activity.Tell(ctx, tx, events...); err != nil {
			return err
		}
		return settle(ctx, tx)
	})
	if err != nil {
		return err
	}
	for _, id := range others {
		if err := d.Paid(ctx, db, id); err != nil {
			return err
		}
	}
	return nil
}

// ofBills locks the subscriptions of invoices, and says which have another that is overdue.
func ofBills(ctx context.Context, tx *tenancy.Tx, bills []bill) (subs map[uuid.UUID]Subscription, late map[uuid.UUID]bool, err error) {
	of, accounts := make([]uuid.UUID, len(bills)), make([]uuid.UUID, len(bills))
	for i, b := range bills {
		of[i], accounts[i] = b.SubscriptionID, b.AccountID
	}
	locked, err := lockAll(ctx, tx, of)
	if err != nil {
		return nil, nil, err
	}
	subs, late = make(map[uuid.UUID]Subscription, len(locked)), map[uuid.UUID]bool{}
	for _, s := range locked {
		subs[s.ID] = s
	}
	var ids []uuid.UUID
	err = tx.NewRaw(`SELECT DISTINCT l.subscription_id FROM invoices i, `+linesOn+`
		WHERE i.account_id IN (?) AND i.kind = 'invoice' AND i.state = 'open' AND i.due_at <= ? AND i.key NOT LIKE 'change/%' AND l.subscription_id IN (?)`, bun.List(accounts), tx.Now(), bun.List(of)).Scan(ctx, &ids)
	if err != nil {
		return nil, nil, fmt.Errorf("look for overdue invoices: %w", err)
	}
	for _, id := range ids {
		late[id] = true
	}
	return subs, late, nil
}

// saveMany keeps the periods that were paid.
func saveMany(ctx context.Context, tx *tenancy.Tx, all []Subscription) error {
	if len(all) == 0 {
		return nil
	}
	type row struct {
		ID       uuid.UUID  `json:"id"`
		From     time.Time  `json:"period_from"`
		To       time.Time  `json:"period_to"`
		RenewsAt *time.Time `json:"renews_at"`
	}
	rows := make([]row, len(all))
	for i, s := range all {
		rows[i] = row{ID: s.ID, From: s.Period.From, To: s.Period.To}
		if !s.RenewsAt.IsZero() {
			rows[i].RenewsAt = &s.RenewsAt
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE subscriptions s SET period_from = r.period_from, period_to = r.period_to, renews_at = r.renews_at, changed_at = ?
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, period_from timestamptz, period_to timestamptz, renews_at timestamptz) WHERE s.id = r.id`, tx.Now(), string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep %d subscriptions: %w", len(all), err)
	}
	return nil
}
