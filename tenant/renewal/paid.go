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
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Taxes has a tax service asked what it has not said yet, outside of any transaction. No answer
// is no error.
type Taxes interface {
	Ask(ctx context.Context, db *tenancy.DB, all []billing.TaxQuestion) error
}

// Desk is where subscriptions are renewed, collected and ended. It is safe for
// concurrent use.
type Desk struct {
	Mail    Mailer
	Links   *payment.Links       // in letters about what is overdue; nil: they lead to the page that asks to sign in
	Letters *account.LetterLinks // in letters that one can do without; nil: none
	Offers  catalog.Wholesale    // what plans are made of; nil: nothing is delivered by a platform
	Refunds Refunds              // of changes; needed where GiveBack is called
	Taxes   Taxes                // nil: no tax service is asked
}

// Paid follows when an invoice is paid in full (job invoice.paid): subscriptions of a
// first invoice begin now, those of a renewal get the period, and what was off for it is
// released. It may be called again: what is done stays as it is.
func (d *Desk) Paid(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		bills, err := billsOf(ctx, tx, "i.id = ?", invoice)
		if err != nil || len(bills) == 0 || bills[0].State != "paid" && !restIsFree(bills[0]) {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		for _, b := range bills { // in the order of the subscriptions: locks are taken in one order
			s, err := lock(ctx, tx, b.SubscriptionID)
			if err != nil {
				return err
			}
			if err := d.paid(ctx, tx, p, s, b); err != nil {
				return fmt.Errorf("invoice %s is paid: %w", b.Number, err)
			}
		}
		return settle(ctx, tx)
	})
}

// Forgiven follows when what was left to pay of an invoice was credited and nothing was paid
// (job invoice.forgiven): what renews gets its period, what was off for it is released and a
// change is made. What never began does not begin: its order is cancelled
// (checkout.Desk.Forgiven). It may be called again.
func (d *Desk) Forgiven(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		bills, err := billsOf(ctx, tx, "i.id = ? AND i.state = 'void'", invoice)
		if err != nil || len(bills) == 0 {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		for _, b := range bills {
			s, err := lock(ctx, tx, b.SubscriptionID)
			if err != nil {
				return err
			}
			if s.State == Pending || s.State == Ended {
				continue
			}
			b.forgiven = true
			if err := d.paid(ctx, tx, p, s, b); err != nil {
				return fmt.Errorf("invoice %s is forgiven: %w", b.Number, err)
			}
		}
		return settle(ctx, tx)
	})
}

// bill is an invoice as one subscription sees it.
type bill struct {
	InvoiceID, AccountID, SubscriptionID uuid.UUID
	Number, State, Key, Currency         string
	PeriodFrom, PeriodTo, DueAt          time.Time // of the period: zero for a first invoice
	IssuedAt, NextTryAt                  time.Time
	DueMinor                             int64
	Tries                                int
	AskedAt                              time.Time // the bank wants the customer since; zero: it does not
	WeekAt                               time.Time // the customer asked for a week more; zero: they have not
	HasFee                               bool      // a late fee is invoiced
	UnderWay                             bool      // a bank is collecting it
	Others                               int       // subscriptions on it, besides
	Plans                                int       // how many different ones stand on it
	forgiven                             bool      // nobody paid it
}

// base is the moment from which the days of the schedule count.
func (b bill) base() time.Time { return billing.Base(b.DueAt, b.WeekAt) }

// settled says why nothing is owed on it any more.
func (b bill) settled() string {
	if b.forgiven {
		return "was credited"
	}
	return "was paid"
}

func (b bill) until() string {
	if b.forgiven {
		return " runs until "
	}
	return " is paid until "
}

func (b bill) owed() billing.Money { return billing.Money{Minor: b.DueMinor, Currency: b.Currency} }

// linesOn are the lines l of an invoice i, looked up for each invoice: by subscription all
// lines of the shop would be read. Who asks names invoices or their account.
const linesOn = `LATERAL (SELECT * FROM invoice_lines x WHERE x.invoice_id = i.id AND x.subscription_id IS NOT NULL AND x.withdrawn_at IS NULL OFFSET 0) l`

// billsOf reads invoices with the subscriptions that stand on them, each once.
func billsOf(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (found []bill, err error) {
	err = tx.NewRaw(`SELECT i.id AS invoice_id, i.account_id, l.subscription_id, coalesce(i.number, '') AS number, i.state, i.key, i.currency,
		min(l.period_from) FILTER (WHERE l.meter_id IS NULL) AS period_from, max(l.period_to) FILTER (WHERE l.meter_id IS NULL) AS period_to, i.due_at, i.issued_at, i.next_try_at,
		i.total_minor - i.paid_minor - i.credited_minor AS due_minor, i.tries, i.asked_at, i.week_at,
		CASE WHEN i.key LIKE '`+joinKey+`%' THEN (SELECT count(DISTINCT o.subscription_id) - 1 FROM invoice_lines o WHERE o.invoice_id = i.id AND o.withdrawn_at IS NULL) ELSE 0 END AS others,
		CASE WHEN i.key LIKE '`+joinKey+`%' OR i.key LIKE 'order/%' THEN (SELECT count(DISTINCT x.plan_id) FROM invoice_lines o JOIN subscriptions x ON x.id = o.subscription_id
			WHERE o.invoice_id = i.id AND o.withdrawn_at IS NULL) ELSE 1 END AS plans,
		EXISTS (SELECT FROM invoices f WHERE f.key = 'late_fee/' || i.id) AS has_fee,
		EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state = 'processing' AND p.gateway <> 'transfer') AS under_way
		FROM invoices i, `+linesOn+`
		WHERE i.kind = 'invoice' AND `+where+` GROUP BY i.id, l.subscription_id ORDER BY l.subscription_id, i.due_at, i.id`, args...).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("read invoices of subscriptions: %w", err)
	}
	return found, nil
}

func (d *Desk) paid(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill) error {
	switch {
	case strings.HasPrefix(b.Key, "change/"):
		return d.changePaid(ctx, tx, s, b)
	case s.State == Pending && s.Trial == nil: // a trial begins with its order or delivery
		if s.AwaitsTeam { // nobody pays for the time until it is delivered: see Delivered
			return nil
		}
		return begin(ctx, tx, p, s)
	case s.State == Ended && (isUsage(b.Key) || s.had(b)): // it was used
		return nil
	case s.State == Ended:
		return d.paidTooLate(ctx, tx, s, b)
	case b.PeriodFrom.IsZero() && !isUsage(b.Key) && (s.State == Active || s.State == Paused): // the first invoice once more
		return nil
	}
	return d.extend(ctx, tx, p, s, b)
}

// Delivered begins what the team delivered, if it is paid, or its trial. It may be repeated.
func (d *Desk) Delivered(ctx context.Context, db *tenancy.DB, service uuid.UUID) error {
	var row struct {
		Order   uuid.UUID
		Invoice *uuid.UUID
		Trial   bool
	}
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		err := tx.NewRaw(`SELECT o.id AS "order", o.invoice_id AS invoice, s.trial IS NOT NULL AS trial FROM services v
			JOIN subscriptions s ON s.id = v.subscription_id JOIN orders o ON o.id = s.order_id WHERE v.id = ?`, service).Scan(ctx, &row)
		if err != nil || !row.Trial {
			return err
		}
		return BeginTrials(ctx, tx, row.Order)
	})
	switch {
	case tenancy.IsNoRows(err):
		return nil
	case err != nil:
		return fmt.Errorf("begin what service %s delivers: %w", service, err)
	case row.Trial || row.Invoice == nil:
		return nil
	}
	return d.Paid(ctx, db, *row.Invoice)
}

// begin starts a subscription now: nobody pays for the time a payment took.
func begin(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription) (err error) {
	s.State, s.AnchorAt = Active, tx.Now().Truncate(time.Microsecond)
	s.Period = s.Cycle.Period(s.AnchorAt, 0, s.Zone())
	keep := save
	if s.Stub != nil {
		if err := s.beginStub(s.AnchorAt); err != nil {
			return fmt.Errorf("begin subscription %s on its bill day: %w", s.ID, err)
		}
		keep = keepChange
	}
	if s.MeteredTo, err = metering.Begin(ctx, tx, s.ID, s.PlanID, s.AnchorAt, s.Zone()); err != nil {
		return err
	}
	s.RenewsAt = p.look(s, tx.Now())
	if err := keep(ctx, tx, s); err != nil {
		return err
	}
	if !s.MeteredTo.IsZero() {
		if _, err := s.priceHours(ctx, tx, s.AnchorAt, s.codes().At(1)); err != nil {
			return err
		}
		if err := metering.Live(ctx, tx, s.ID); err != nil {
			return err
		}
	}
	if err := recognition.Begin(ctx, tx, s.ID, s.Period); err != nil {
		return err
	}
	return put(ctx, tx, s, "begun", activity.Event{Text: s.Label + " began.", CustomerSees: true, Programs: news(s, webhook.SubscriptionStarted)})
}

// extend gives a subscription the period that was paid, and lets it run when nothing
// else is overdue.
func (d *Desk) extend(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill) error {
	was := s
	if err := d.convert(ctx, tx, &s); err != nil {
		return err
	}
	given := b.PeriodTo.After(s.Period.To) && (!b.forgiven || !s.endsBy(b.PeriodFrom))
	if given {
		s.Period = billing.Period{From: b.PeriodFrom, To: b.PeriodTo}
		if !s.CancelAt.IsZero() && s.CancelAt.Before(b.PeriodTo) {
			s.CancelAt = b.PeriodTo // what was paid for is given
		}
	}
	if !b.forgiven { // a fee for it stays the shop's to credit
		if err := chargeFee(ctx, tx, b); err != nil {
			return err
		}
	}
	late, err := overdue(ctx, tx, s)
	if err != nil {
		return err
	}
	if !late && s.State != Active {
		s.State = Active
		if was.State == Suspended && s.ServiceID != uuid.Nil {
			if err := hosting.Release(ctx, tx, s.ServiceID, hosting.HoldBilling); err != nil {
				return err
			}
		}
		if err := tell(ctx, tx, s, "settled/"+b.InvoiceID.String(), "Invoice "+b.Number+" "+b.settled()+". "+s.Label+" runs as before.", true); err != nil {
			return err
		}
	}
	if s.mayRunOn(tx.Now()) { // the next one began while this one was overdue
		if err := runOn(ctx, tx, &s); err != nil {
			return err
		}
	}
	s.RenewsAt = p.look(s, tx.Now())
	if err := save(ctx, tx, s); err != nil || !given {
		return err
	}
	return put(ctx, tx, s, "renewed/"+b.InvoiceID.String(), activity.Event{
		Text: s.Label + b.until() + s.date(b.PeriodTo) + ".", CustomerSees: true, Programs: news(s, webhook.SubscriptionRenewed),
	})
}

// endsBy reports whether it is cancelled to an end at a time or sooner. Who credits by hand what
// was made for later means that end, too.
func (s Subscription) endsBy(at time.Time) bool { return !s.CancelAt.IsZero() && !s.CancelAt.After(at) }

// paidTooLate tells the reseller of money for what has ended: only a person can decide
// whether it is given back.
func (d *Desk) paidTooLate(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill) error {
	text := "Invoice " + b.Number + " was paid after " + s.Label + " had ended. Give the money back or open it anew."
	return tell(ctx, tx, s, "paid_late/"+b.InvoiceID.String(), text, false)
}

// overdue reports whether an invoice of the subscription should have been paid by now.
func overdue(ctx context.Context, tx *tenancy.Tx, s Subscription) (late bool, err error) {
	err = tx.NewRaw(`SELECT EXISTS (SELECT FROM invoices i, `+linesOn+`
		WHERE i.account_id = ? AND i.kind = 'invoice' AND i.state = 'open' AND i.due_at <= ? AND i.key NOT LIKE 'change/%' AND l.subscription_id = ?)`, s.AccountID, tx.Now(), s.ID).Scan(ctx, &late)
	if err != nil {
		return false, fmt.Errorf("look for overdue invoices: %w", err)
	}
	return late, nil
}

// save keeps what changes in a subscription's life.
func save(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	_, err := tx.NewRaw(`UPDATE subscriptions SET state = ?, anchor_at = ?, period_from = ?, period_to = ?, renewals = ?, renews_at = ?,
		cancel_at = ?, cancel_reason = ?, cancel_note = ?, ended_at = ?, changed_at = ? WHERE id = ?`,
		string(s.State), bun.NullZero(s.AnchorAt), bun.NullZero(s.Period.From), bun.NullZero(s.Period.To), s.Renewals, bun.NullZero(s.RenewsAt),
		bun.NullZero(s.CancelAt), s.CancelReason, s.CancelNote, bun.NullZero(s.EndedAt), tx.Now(), s.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep subscription %s: %w", s.ID, err)
	}
	return nil
}

// tell puts a line on the subscription's timeline, once a key.
func tell(ctx context.Context, tx *tenancy.Tx, s Subscription, what, text string, customer bool) error {
	return put(ctx, tx, s, what, activity.Event{Text: text, CustomerSees: customer})
}

// tellBy tells of what a person did.
func tellBy(ctx context.Context, tx *tenancy.Tx, s Subscription, what, text, actor string, t webhook.Type) error {
	return put(ctx, tx, s, what, activity.Event{Text: text, CustomerSees: true, Actor: actor, Programs: news(s, t)})
}

// pastDue notes that an invoice of a subscription that runs should have been paid.
func pastDue(ctx context.Context, tx *tenancy.Tx, s *Subscription, b bill) error {
	if s.State != Active {
		return nil
	}
	s.State = PastDue
	if err := save(ctx, tx, *s); err != nil {
		return err
	}
	return put(ctx, tx, *s, "past_due/"+b.InvoiceID.String(), activity.Event{
		Text: "Invoice " + b.Number + " of " + s.Label + " is due and not paid.", CustomerSees: true, Programs: news(*s, webhook.SubscriptionPastDue),
	})
}

// news is what a subscription is to programs.
func news(s Subscription, t webhook.Type) []webhook.News {
	data := webhook.SubscriptionData{
		ID: s.ID, AccountID: s.AccountID, Label: s.Label, State: string(s.State), Cycle: string(s.Cycle), Price: webhook.AmountOf(s.Amount),
		PeriodFrom: webhook.Moment(s.Period.From), PeriodTo: webhook.Moment(s.Period.To), CancelAt: webhook.Moment(s.CancelAt), EndedAt: webhook.Moment(s.EndedAt),
	}
	if h, ok := s.Hour(); ok {
		data.Hour = webhook.HourOf(h.HourPrice, h.MonthMinor)
	}
	if s.ServiceID != uuid.Nil {
		data.ServiceID = &s.ServiceID
	}
	return []webhook.News{{Type: t, Data: data}}
}

func put(ctx context.Context, tx *tenancy.Tx, s Subscription, what string, e activity.Event) error {
	return activity.Tell(ctx, tx, eventOf(s, what, e))
}

// eventOf is something that happened to a subscription, once a key.
func eventOf(s Subscription, what string, e activity.Event) activity.Event {
	kind, _, _ := strings.Cut(what, "/")
	e.Key, e.Kind = "subscription/"+s.ID.String()+"/"+what, "subscription."+kind
	e.AccountID, e.SubjectKind, e.SubjectID = s.AccountID, activity.Subscription, s.ID
	return e
}
