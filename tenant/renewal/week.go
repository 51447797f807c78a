package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Week is how an invoice stands to "give me a week".
type Week struct {
	May   bool      // it can be asked for
	Asked time.Time // zero: nobody has
	Off   time.Time // when the service is turned off, as it is or as it would be with the week
}

// whyNot says why no week is given; nil: it may be.
func (p Policy) whyNot(state State, again bool) error {
	switch {
	case !p.Week:
		return fault.New(fault.Conflict, "week.not_offered", "More time cannot be given here. Please write to us.")
	case state == Suspended || state == Ended:
		return fault.New(fault.Conflict, "week.too_late", "It is turned off already. Once the invoice is paid it runs again within a minute.")
	case again:
		return fault.New(fault.Conflict, "week.given_before", "You were given a week more for this period already.")
	}
	return nil
}

// WeekOf says whether a week more can be had for an invoice. Any that is no open renewal
// has none.
func WeekOf(ctx context.Context, tx *tenancy.Tx, inv invoicing.Invoice) (w Week, err error) {
	if inv.State != invoicing.Open || inv.Due().Minor <= 0 || !strings.HasPrefix(inv.Key, "renewal/") {
		return w, nil
	}
	bills, err := billsOf(ctx, tx, "i.id = ?", inv.ID)
	if err != nil || len(bills) == 0 {
		return w, err
	}
	b := bills[0]
	var state State
	var plan uuid.UUID
	if err := tx.NewRaw("SELECT state, plan_id FROM subscriptions WHERE id = ?", b.SubscriptionID).Scan(ctx, &state, &plan); err != nil {
		return w, fmt.Errorf("read the subscription of invoice %s: %w", b.Number, err)
	}
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return w, err
	}
	w.Asked, w.Off = b.WeekAt, b.base().Add(p.dunning(Subscription{PlanID: plan}, b).SuspendAfter)
	if w.Asked.IsZero() {
		earlier, err := weekBefore(ctx, tx, b)
		if err != nil {
			return w, err
		}
		if w.May = p.whyNot(state, earlier) == nil; w.May {
			w.Off = w.Off.Add(billing.MoreTime)
		}
	}
	return w, nil
}

// weekBefore reports whether a week was given for another invoice of the same period,
// which was withdrawn.
func weekBefore(ctx context.Context, tx *tenancy.Tx, b bill) (was bool, err error) {
	period := strings.Join(strings.SplitN(b.Key, "/", 4)[:3], "/")
	if joined(b.Key) {
		err = tx.NewRaw(`SELECT EXISTS (SELECT FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND l.period_from = ? AND i.id <> ? AND i.week_at IS NOT NULL)`,
			b.SubscriptionID, b.PeriodFrom, b.InvoiceID).Scan(ctx, &was)
		if err != nil {
			return false, fmt.Errorf("look for a week given before: %w", err)
		}
		return was, nil
	}
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM invoices WHERE account_id = ? AND starts_with(key, ?) AND id <> ? AND week_at IS NOT NULL)", b.AccountID, period, b.InvoiceID).Scan(ctx, &was)
	if err != nil {
		return false, fmt.Errorf("look for a week given before: %w", err)
	}
	return was, nil
}

// GiveWeek gives the customer of an unpaid renewal a week more, once a period: tries,
// suspension and end that are ahead come a week later. Asked again for an invoice that
// has it, nothing changes. account uuid.Nil: whoever holds its link. Faults:
// invoice.not_found, week.nothing_due, week.not_offered, week.too_late,
// week.given_before.
func (d *Desk) GiveWeek(ctx context.Context, db *tenancy.DB, invoice, account uuid.UUID, by audit.Origin) (off time.Time, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(ctx, tx, invoice)
		if err == nil && account != uuid.Nil && inv.AccountID != account {
			err = fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
		}
		if err != nil {
			return err
		}
		subs, bills, err := take(ctx, tx, []uuid.UUID{invoice})
		if err != nil {
			return err
		}
		if len(bills) == 0 || bills[0].DueMinor <= 0 {
			return fault.New(fault.Conflict, "week.nothing_due", "More time can be given for an invoice of a renewal that is not paid.")
		}
		err = d.working(ctx, tx, func(w *work) error {
			off, err = d.giveWeek(ctx, w, subs, bills, by)
			return err
		})
		if err != nil {
			return err
		}
		return settle(ctx, tx)
	})
	return off, err
}

func (d *Desk) giveWeek(ctx context.Context, w *work, subs map[uuid.UUID]Subscription, bills []bill, by audit.Origin) (off time.Time, err error) {
	tx, p, b := w.tx, w.policy, bills[0]
	s := subs[b.SubscriptionID]
	if !b.WeekAt.IsZero() {
		return b.base().Add(p.dunning(s, b).SuspendAfter), nil
	}
	earlier, err := weekBefore(ctx, tx, b)
	if err != nil {
		return off, err
	}
	if err := p.whyNot(s.State, earlier); err != nil {
		return off, err
	}
	if err := invoicing.GiveTime(ctx, tx, b.InvoiceID); err != nil {
		return off, err
	}
	b.WeekAt = tx.Now()
	off = b.base().Add(p.dunning(s, b).SuspendAfter)
	if err := d.tellWeek(ctx, w, s, b, off, by); err != nil {
		return off, err
	}
	for _, x := range bills {
		x.WeekAt = b.WeekAt
		if err := d.chase(ctx, w, subs[x.SubscriptionID], x); err != nil {
			return off, err
		}
	}
	return off, nil
}

func (d *Desk) tellWeek(ctx context.Context, w *work, s Subscription, b bill, off time.Time, by audit.Origin) error {
	next := ""
	if at, more := w.policy.dunning(s, b).NextIn(b.base(), b.Tries, s.Zone()); more && s.HasMethod && b.AskedAt.IsZero() {
		next = s.date(at)
	}
	err := put(ctx, w.tx, s, "week/"+b.InvoiceID.String(), activity.Event{
		Text: "The customer gave themselves a week more to pay invoice " + b.Number + ". It is turned off on " + s.date(off) + " at the earliest.", CustomerSees: true, Actor: by.Actor.Name,
	})
	if err != nil {
		return err
	}
	err = d.letter(ctx, w.tx, s, message{
		key: "invoice/" + b.InvoiceID.String() + "/week", template: mail.MoreTime,
		data:    map[string]string{"what": b.what(s), "number": b.Number, "next": next, "off": s.date(off), "link": d.payLink(w.tx, b.InvoiceID, payment.LetterWeek)},
		amounts: map[string]billing.Money{"open": b.owed()},
	})
	if err != nil {
		return err
	}
	return by.Record(ctx, w.tx, "invoice.week_given", audit.Target{Kind: "invoice", ID: b.InvoiceID.String()}, map[string]any{"number": b.Number, "off": off})
}
