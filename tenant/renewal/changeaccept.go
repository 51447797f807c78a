package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// changeLapses is how long a change waits for its payment. Nothing is renewed meanwhile.
const changeLapses = 24 * time.Hour

// closeToRenewal is how close to a renewal a change that costs something is not begun:
// the payment would come too late.
const closeToRenewal = 30 * time.Minute

// AcceptChange begins a quoted change, or refuses it: what is charged is to the cent what
// was quoted. What costs something is invoiced now and put in place when it is paid; what
// does not, at once or with the renewal. The same quote is one change; accepted again it
// returns the same. Faults: change.quote_unknown, change.quote_expired,
// change.price_changed, change.payment_under_way, change.too_close, and those of
// QuoteChange.
func (d *Desk) AcceptChange(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, by audit.Origin) (q ChangeQuote, err error) {
	offers, err := d.offers(ctx, db)
	if err != nil {
		return q, err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if q, err = readChange(ctx, tx, id, account, " FOR UPDATE"); err != nil || !q.AcceptedAt.IsZero() {
			return err
		}
		if !tx.Now().Before(q.ExpiresAt) {
			return fault.New(fault.Gone, "change.quote_expired", "This offer has expired. Please look at the new one and confirm it.")
		}
		c, err := q.Ask.read(ctx, tx, account, true)
		if err != nil {
			return err
		}
		if err := c.unchanged(ctx, tx, offers, q); err != nil {
			return err
		}
		return d.accept(ctx, tx, c, &q, by)
	})
	return q, err
}

var errChangePrice = fault.New(fault.Conflict, "change.price_changed", "The price has changed since you looked at it. Please look at the new one and confirm it.")

// unchanged prices the quote again, for the moment it was made for.
func (c changing) unchanged(ctx context.Context, tx *tenancy.Tx, offers []catalog.Offer, q ChangeQuote) error {
	again, err := c.price(ctx, tx, offers, q.Ask, q.At)
	if fault.Is(err, "change.nothing") {
		return errChangePrice
	}
	if err != nil {
		return err
	}
	if !q.same(again) {
		return errChangePrice
	}
	return nil
}

func (d *Desk) accept(ctx context.Context, tx *tenancy.Tx, c changing, q *ChangeQuote, by audit.Origin) error {
	s := c.s
	s.Change = &Change{QuoteID: q.ID, State: ChangeApplying, At: q.At, Asked: q.At, Terms: q.Terms, Restarts: q.Price.Restarts, Cycles: q.Ask.Prepay, Move: q.Move, Bought: q.Bought}
	if q.Terms.Cycle == billing.Hourly && !q.Price.AtRenewal {
		s.Change.Hours = q.HourEnd
	}
	if len(q.Bought) == 0 { // an invoice for the next period that nobody has paid would be of the old price
		if err := takeBackNext(ctx, tx, &s); err != nil {
			return err
		}
	}
	if q.Terms.PlanID != s.PlanID {
		p, _ := catalog.Find(c.plans, q.Terms.Picked.Path())
		if s.Change.TookStock = p.Stock != nil; s.Change.TookStock {
			if err := moveStock(ctx, tx, q.Terms.PlanID, -1); err != nil {
				return err
			}
		}
	}
	switch {
	case q.Price.AtRenewal:
		s.Change.State, s.Change.At = ChangeScheduled, q.Price.From
	case q.Total.Minor > 0:
		if err := d.invoiceChange(ctx, tx, &s, q); err != nil {
			return err
		}
	default:
		if q.Price.Net.Minor < 0 {
			s.Change.BackMinor, s.Change.Return = -q.Price.Net.Minor, q.Price.Return
		}
		if err := applySoon(ctx, tx, s); err != nil {
			return err
		}
	}
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	q.AcceptedAt = tx.Now()
	raw, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE quotes SET accepted_at = ?, body = ?::jsonb WHERE id = ?", q.AcceptedAt, string(raw), q.ID).Exec(ctx); err != nil {
		return fmt.Errorf("accept the quote: %w", err)
	}
	text := "A change of " + s.Label + " to " + q.Terms.Label + " was ordered."
	switch {
	case q.Ask.Prepay > 0:
		text = s.Label + " is to be paid ahead until " + s.date(q.Price.NextAt) + "."
	case len(q.Bought) > 0:
		text = BoughtWords(q.Bought) + " was ordered for " + s.Label + "."
	case q.Move != nil:
		text = s.Label + " is to renew on the " + billing.Ordinal(q.Move.To.In(s.Zone()).Day()) + " of the month."
	case q.Price.AtRenewal:
		text = s.Label + " changes to " + q.Terms.Label + " on " + s.date(q.Price.From) + "."
	}
	if err := tellBy(ctx, tx, s, "change_ordered/"+q.ID.String(), text, by.Actor.Name, webhook.SubscriptionChangeOrdered); err != nil {
		return err
	}
	return by.Record(ctx, tx, "subscription.change_ordered", audit.Target{Kind: "subscription", ID: s.ID.String()},
		map[string]any{"from": s.Label, "to": q.Terms.Label, "total": q.Total.String(), "at_renewal": q.Price.AtRenewal})
}

// takeBackNext withdraws the invoice of the next period, if it is made and not paid; it
// is made again at the price that is right then.
func takeBackNext(ctx context.Context, tx *tenancy.Tx, s *Subscription) error {
	gone, err := withdraw(ctx, tx, *s, s.Period.To)
	if err != nil {
		return err
	}
	s.Renewals -= gone
	if s.Next().From.After(s.Period.To) {
		if err := refuseUsage(ctx, tx, s.ID); err != nil {
			return err
		}
		return fault.New(fault.Conflict, "change.payment_under_way", "The invoice of the next period is being paid. Please come back when the payment has ended.")
	}
	if s.Credit, err = creditOf(ctx, tx, *s); err != nil {
		return err
	}
	return nil
}

// refuseUsage says which open invoice with usage keeps a subscription from being changed;
// nil: none does.
func refuseUsage(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	number, err := unpaidUsage(ctx, tx, id)
	if err != nil || number == "" {
		return err
	}
	return fault.New(fault.Conflict, "change.usage_unpaid", "Invoice "+number+" is not paid, and what you used stands on it, too. Please pay it first; then the subscription can be changed.")
}

// unpaidUsage is the number of an open invoice on which usage of a subscription stands:
// what was used is not taken back. Empty: there is none.
func unpaidUsage(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (number string, err error) {
	err = tx.NewRaw(`SELECT i.number FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id WHERE l.subscription_id = ? AND l.meter_id IS NOT NULL AND i.kind = 'invoice' AND i.state = 'open'
		AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state IN ('created', 'requires_action', 'processing')) ORDER BY i.issued_at LIMIT 1`, id).Scan(ctx, &number)
	if err != nil && !tenancy.IsNoRows(err) {
		return "", fmt.Errorf("look for unpaid usage of subscription %s: %w", id, err)
	}
	return number, nil
}

// invoiceChange makes the invoice of a change and has the saved method charged.
func (d *Desk) invoiceChange(ctx context.Context, tx *tenancy.Tx, s *Subscription, q *ChangeQuote) error {
	lapses := tx.Now().Add(changeLapses)
	if end := s.Period.To; !end.IsZero() && end.Before(lapses) {
		lapses = end
	}
	if lapses.Sub(tx.Now()) < closeToRenewal {
		return fault.New(fault.Conflict, "change.too_close", "This subscription is renewed within half an hour. Please change it after that.")
	}
	inv, err := invoicing.Issue(ctx, tx, invoicing.Draft{Key: "change/" + q.ID.String(), AccountID: q.AccountID, Currency: q.Total.Currency, Lines: q.lines(), DueAt: lapses})
	if err != nil {
		return err
	}
	if inv.Total != q.Total {
		return errChangePrice
	}
	s.Change.State, s.Change.InvoiceID, s.Change.At = ChangeAwaitsPayment, inv.ID, lapses
	q.InvoiceID = inv.ID
	_, err = payment.ChargeSaved(ctx, tx, inv.ID)
	return err
}

func applySoon(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	_, err := tx.Enqueue(ctx, ChangeJob{SubscriptionID: s.ID, QuoteID: s.Change.QuoteID}, tenancy.JobOptions{Key: s.Change.QuoteID.String()})
	return err
}

// changePaid follows when the invoice of a change is paid.
func (d *Desk) changePaid(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill) error {
	c := s.Change
	if c == nil || c.InvoiceID != b.InvoiceID {
		known, err := changeOver(ctx, tx, b)
		if err != nil || known || b.forgiven {
			return err
		}
		text := "Invoice " + b.Number + " was paid after the change of " + s.Label + " had lapsed. Give the money back, or change it by hand."
		return tell(ctx, tx, s, "change_paid_late/"+b.InvoiceID.String(), text, false)
	}
	if c.State != ChangeAwaitsPayment {
		return nil
	}
	c.State, c.At = ChangeApplying, c.Asked
	if err := keepChange(ctx, tx, s); err != nil {
		return err
	}
	return applySoon(ctx, tx, s)
}

// changeOver reports whether the change of an invoice was made or refused before.
func changeOver(ctx context.Context, tx *tenancy.Tx, b bill) (over bool, err error) {
	quote := b.Key[len("change/"):]
	subject := "subscription/" + b.SubscriptionID.String()
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM timeline WHERE key IN (?, ?))", subject+"/changed/"+quote, subject+"/change_refused/"+quote).Scan(ctx, &over)
	if err != nil {
		return false, fmt.Errorf("look for the change: %w", err)
	}
	return over, nil
}

// DropChange takes back a change that is not made yet: one that nobody has paid, or that
// waits for the renewal. Faults: subscription.not_found, change.none, change.being_made.
func (d *Desk) DropChange(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, by audit.Origin) (s Subscription, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, id, account); err != nil {
			return err
		}
		if s.Change == nil {
			return fault.New(fault.Conflict, "change.none", "There is no change to take back.")
		}
		gone, err := drop(ctx, tx, &s)
		if err != nil {
			return err
		}
		if !gone {
			return errBeingMade
		}
		if err := d.close(ctx, tx, s); err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.change_dropped", audit.Target{Kind: "subscription", ID: s.ID.String()}, map[string]any{"label": s.Label})
	})
	return s, err
}

var errBeingMade = fault.New(fault.Conflict, "change.being_made", "This change is being paid or made just now. Please wait until it is done.")

// voidUnpaid credits an invoice of which nothing was paid and nothing is under way. It
// reports false for any other.
func voidUnpaid(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID, reason string) (bool, error) {
	bills, err := billsOf(ctx, tx, `i.id = ? AND i.state = 'open' AND i.paid_minor = coalesce(i.credit_minor, 0)
		AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state IN ('created', 'requires_action', 'processing'))`, invoice)
	if err != nil || len(bills) == 0 {
		return false, err
	}
	_, err = invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "withdrawn/" + invoice.String(), InvoiceID: invoice, Reason: reason, CreditBack: true})
	return err == nil, err
}

// lapse gives a change up that nobody has paid; while a payment is under way it waits.
func (d *Desk) lapse(ctx context.Context, w *work, s Subscription) error {
	gone, err := drop(ctx, w.tx, &s)
	if err != nil {
		return err
	}
	if !gone {
		s.Change.At = w.tx.Now().Add(time.Hour)
	}
	s.RenewsAt = w.policy.look(s, w.tx.Now())
	return keepChange(ctx, w.tx, s)
}

// beginInvoiced has a change made whose period has begun.
func beginInvoiced(ctx context.Context, w *work, s Subscription) error {
	s.Change.State = ChangeApplying
	s.RenewsAt = w.policy.look(s, w.tx.Now())
	if err := keepChange(ctx, w.tx, s); err != nil {
		return err
	}
	return applySoon(ctx, w.tx, s)
}

// takeScheduled puts the terms of a change in place with whose period they begin. The
// service follows when the period does.
func (s *Subscription) takeScheduled() bool {
	c := s.Change
	if c == nil || c.State != ChangeScheduled || s.Next().From.Before(c.At) {
		return false
	}
	if c.Restarts {
		s.restart()
		s.AnchorAt, s.Renewals = c.At, -1
	}
	s.takeOn(c.Terms)
	next := *c
	next.State, next.TookStock, next.Placed = ChangeInvoiced, false, true
	s.Change = &next
	return true
}
