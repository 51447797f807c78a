package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
)

// usageDue reports whether a month of usage has ended.
func (s Subscription) usageDue(now time.Time) bool {
	return s.Runs() && !s.MeteredTo.IsZero() && !s.MeteredTo.After(now)
}

// usageKey is the natural key of an invoice over nothing but usage. It is collected as a
// renewal is.
func usageKey(s Subscription, until string) string {
	return "renewal/" + s.ID.String() + "/usage/" + until
}

func isUsage(key string) bool { return strings.Contains(key, "/usage/") }

// usageOf is what of usage is to be invoiced of those subscriptions whose month has ended.
// Besides is what their invoices come to anyway, before credit.
func usageOf(ctx context.Context, w *work, subs []Subscription, besides map[uuid.UUID]int64) (map[uuid.UUID]metering.Bill, error) {
	var ids []uuid.UUID
	for _, s := range subs {
		if s.usageDue(w.tx.Now()) {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := metering.Close(ctx, w.tx, ids, besides, false)
	if err != nil {
		return nil, fmt.Errorf("close the usage of %d subscriptions from %s: %w", len(ids), ids[0], err)
	}
	bills := make(map[uuid.UUID]metering.Bill, len(found))
	for _, b := range found {
		bills[b.SubscriptionID] = b
	}
	return bills, nil
}

// addUsage puts the usage of a month that ended on the invoices of the next periods.
// Whoever pays by hand gets as long to pay as without it. What was used and is credited is
// taken off by a credit that is left.
func addUsage(ctx context.Context, w *work, subs []Subscription, drafts []invoicing.Draft, credits []int64) (map[uuid.UUID]metering.Bill, error) {
	besides := map[uuid.UUID]int64{}
	for i, s := range subs {
		if !s.usageDue(w.tx.Now()) {
			continue
		}
		net, err := netOf(drafts[i].Lines)
		if err != nil {
			return nil, err
		}
		besides[s.ID] = net
	}
	bills, err := usageOf(ctx, w, subs, besides)
	if err != nil {
		return nil, err
	}
	for i, s := range subs {
		b, metered := bills[s.ID]
		if !metered {
			continue
		}
		drafts[i].Lines = append(drafts[i].Lines, b.Lines...)
		if left := min(s.Credit.Minor-credits[i], b.Net()); left > 0 {
			drafts[i].Lines, credits[i] = append(drafts[i].Lines, creditLine(s, left)), credits[i]+left
		}
		if !s.HasMethod {
			at := w.tx.Now().Add(w.policy.lead(s.Next()))
			drafts[i].DueAt, drafts[i].CollectAt = at, at
		}
	}
	return bills, nil
}

func netOf(lines []billing.Line) (minor int64, err error) {
	for _, l := range lines {
		if l.Net == (billing.Money{}) {
			if l, err = l.Priced(); err != nil {
				return 0, err
			}
		}
		minor += l.Net.Minor
	}
	return minor, nil
}

func creditLine(s Subscription, minor int64) billing.Line {
	return billing.Line{Kind: "credit", SubscriptionID: s.ID.String(), Description: "Credit of an earlier change", Quantity: 1, Unit: billing.Money{Minor: -minor, Currency: s.Amount.Currency}}
}

// settleUsage notes which usage stands on the invoices that were made, and turns services
// on again whose month was used up.
func settleUsage(ctx context.Context, w *work, subs []Subscription, made []invoicing.Invoice, bills map[uuid.UUID]metering.Bill) error {
	var settled []metering.Bill
	for i, s := range subs {
		b, metered := bills[s.ID]
		if !metered || made[i].ID != uuid.Nil && made[i].IssuedAt.Before(w.tx.Now()) { // it was made before, without this usage
			continue
		}
		settled = append(settled, b)
		subs[i].MeteredTo = b.Next
	}
	return settleBills(ctx, w.tx, settled)
}

func settleBills(ctx context.Context, tx *tenancy.Tx, bills []metering.Bill) error {
	if len(bills) == 0 {
		return nil
	}
	if err := metering.Settle(ctx, tx, bills); err != nil {
		return err
	}
	for _, b := range bills {
		if b.Service == uuid.Nil {
			continue
		}
		if err := hosting.Release(ctx, tx, b.Service, hosting.HoldSpend); err != nil && !fault.Is(err, "service.not_found") {
			return err
		}
		if err := metering.Live(ctx, tx, b.SubscriptionID); err != nil {
			return err
		}
	}
	return nil
}

// invoiceUsage makes the invoices of months of usage that end while the period that is
// paid for runs on. A month that costs nothing has none.
func (d *Desk) invoiceUsage(ctx context.Context, w *work, subs []Subscription) error {
	if len(subs) == 0 {
		return nil
	}
	bills, err := usageOf(ctx, w, subs, nil)
	if err != nil {
		return err
	}
	var paying, idle []Subscription
	var drafts []invoicing.Draft
	var free []metering.Bill
	for _, s := range subs {
		b := bills[s.ID]
		if b.Net() == 0 {
			idle, free = append(idle, s), append(free, b)
			continue
		}
		draft, err := s.usageDraft(ctx, w, b)
		if err != nil {
			return err
		}
		paying, drafts = append(paying, s), append(drafts, draft)
	}
	if len(drafts) > 0 {
		made, err := issueAll(ctx, w.tx, drafts)
		if err != nil {
			return fmt.Errorf("invoice what was used of %d subscriptions from %s: %w", len(paying), paying[0].ID, err)
		}
		if err := settleUsage(ctx, w, paying, made, bills); err != nil {
			return err
		}
		for i, inv := range made {
			if paying[i].Debit && inv.State == invoicing.Open && w.tx.Now().Before(inv.DueAt) { // announced now, and collected when it is due
				w.charge(bill{InvoiceID: inv.ID, Tries: inv.Tries, Key: inv.Key})
			}
		}
	}
	if err := settleBills(ctx, w.tx, free); err != nil {
		return err
	}
	for _, s := range idle {
		s.MeteredTo = bills[s.ID].Next
		w.advance(s, w.policy.look(s, w.tx.Now()))
	}
	for _, s := range paying {
		w.advance(s, w.policy.look(s, w.tx.Now()))
	}
	return nil
}

// usageDraft is an invoice over what was used and nothing else.
func (s *Subscription) usageDraft(ctx context.Context, w *work, b metering.Bill) (invoicing.Draft, error) {
	lines := b.Lines
	if used := min(s.Credit.Minor, b.Net()); used > 0 {
		lines = append(lines, creditLine(*s, used))
		if _, err := w.tx.NewRaw("UPDATE subscriptions SET credit_minor = nullif(credit_minor - ?, 0) WHERE id = ?", used, s.ID).Exec(ctx); err != nil {
			return invoicing.Draft{}, fmt.Errorf("take credit off subscription %s: %w", s.ID, err)
		}
	}
	at := w.tx.Now()
	if !s.HasMethod {
		at = at.Add(w.policy.lead(billing.Period{}))
	}
	return invoicing.Draft{Key: usageKey(*s, b.Until.UTC().Format(time.RFC3339)), AccountID: s.AccountID, Currency: s.Amount.Currency, Lines: lines, DueAt: at, CollectAt: at, OnTerms: true}, nil
}

// lastUsage invoices what a subscription that ends has used and not paid for, whyever it
// ends: it was supplied, so it has a place in the books. It is collected as a debt is.
func lastUsage(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	if err := metering.Stop(ctx, tx, s.ID); err != nil {
		return err
	}
	bills, err := metering.Close(ctx, tx, []uuid.UUID{s.ID}, nil, true)
	if err != nil || len(bills) == 0 {
		return err
	}
	if bills[0].Net() > 0 {
		_, err := invoicing.Issue(ctx, tx, invoicing.Draft{
			Key: usageKey(s, "end"), AccountID: s.AccountID, Currency: s.Amount.Currency, Lines: bills[0].Lines, DueAt: tx.Now(), CollectAt: tx.Now(), OnTerms: true,
		})
		if err != nil {
			return fmt.Errorf("invoice the last usage of subscription %s: %w", s.ID, err)
		}
	}
	return metering.Settle(ctx, tx, bills)
}
