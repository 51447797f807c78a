package checkout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// OfInvoices are those of some invoices that are of orders.
func (d *Desk) OfInvoices(ctx context.Context, db *tenancy.DB, ids []uuid.UUID) (found []uuid.UUID, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT invoice_id FROM orders WHERE invoice_id IN (?) ORDER BY invoice_id", bun.List(ids)).Scan(ctx, &found)
	})
	if err != nil {
		return nil, fmt.Errorf("look for orders of %d invoices: %w", len(ids), err)
	}
	return found, nil
}

// Paid has delivered what the invoice's order is over. Invoices that belong to no order
// are nobody's business here. It may be repeated.
func (d *Desk) Paid(ctx context.Context, db *tenancy.DB, invoiceID uuid.UUID) error {
	var o Order
	found := false
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		o, found, err = byInvoice(ctx, tx, invoiceID)
		if err != nil || !found {
			return err
		}
		switch o.State {
		case AwaitingPayment:
			return d.paid(ctx, tx, &o)
		case Cancelled:
			return paidTooLate(ctx, tx, o)
		}
		return tellPaid(ctx, tx, o, "Order "+o.Name()+" is paid.") // what was delivered before is paid now
	})
	if err != nil || !found || o.State == Cancelled {
		return err
	}
	return d.useRoom(ctx, db, o)
}

// Trust has delivered what an order is over whose debit is under way, before it came: the
// shop decided so. It may be repeated.
func (d *Desk) Trust(ctx context.Context, db *tenancy.DB, invoiceID uuid.UUID) error {
	var o Order
	found := false
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		if o, found, err = byInvoice(ctx, tx, invoiceID); err != nil || !found || o.State != AwaitingPayment {
			return err
		}
		if err := d.deliver(ctx, tx, &o); err != nil {
			return err
		}
		return activity.Tell(ctx, tx, activity.Event{Key: "order/" + o.ID.String() + "/trusted", AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID,
			Kind: "order.trusted", Text: "Order " + o.Name() + " is set up while your bank account is collected from.", CustomerSees: true})
	})
	if err != nil || !found || o.State == Cancelled {
		return err
	}
	return d.useRoom(ctx, db, o)
}

// useRoom tells the platforms that what an order holds is used: they count the service
// themselves from now on. It is done after the commit, and again when it is called again.
func (d *Desk) useRoom(ctx context.Context, db *tenancy.DB, o Order) error {
	for i, x := range o.Items {
		if x.SKU == "" {
			continue
		}
		if err := d.Supply.Use(ctx, db.Tenant().ID, holdKey(o.QuoteID, i)); err != nil && !fault.Is(err, "platform.no_hold") {
			return err
		}
	}
	return nil
}

func (d *Desk) paid(ctx context.Context, tx *tenancy.Tx, o *Order) error {
	if err := d.deliver(ctx, tx, o); err != nil {
		return err
	}
	says := "Order " + o.Name() + " is paid."
	if o.InvoiceID == nil {
		says = "Order " + o.Name() + " begins with a trial: nothing is due today."
	}
	if o.State != Fulfilled {
		says += " What you ordered is being set up."
	}
	return tellPaid(ctx, tx, *o, says)
}

// deliver orders the services an order is over.
func (d *Desk) deliver(ctx context.Context, tx *tenancy.Tx, o *Order) error {
	o.State, o.PaidAt, o.ChangedAt = PaidState, tx.Now(), tx.Now()
	if err := d.tellOnce(ctx, tx, o); err != nil {
		return err
	}
	delivered := 0
	for _, x := range o.Items {
		if x.SKU == "" && !x.ByHand {
			continue
		}
		delivered++
		if o.remade {
			now, err := catalog.AdditionsNow(ctx, tx, x.PlanID, x.Picked, x.Additions)
			if err != nil {
				return err
			}
			x.Additions = now
		}
		_, err := hosting.Order(ctx, tx, hosting.New{
			SubscriptionID: x.SubscriptionID, AccountID: o.AccountID, Type: string(x.Type), SKU: x.SKU, Label: x.Label, Name: x.Picked.Hostname, Hostname: x.Picked.Hostname,
			PlatformID: x.PlatformID, Region: x.Picked.Region, Image: x.Picked.Image, Spec: x.Spec, SSHKeys: x.SSHKeys, Addons: renewal.AddonsFor(x.Additions),
		})
		if err != nil {
			return err
		}
	}
	if delivered == 0 {
		o.State = Fulfilled
	}
	if slices.ContainsFunc(o.Items, func(x Item) bool { return x.Trial != nil }) {
		if err := renewal.BeginTrials(ctx, tx, o.ID); err != nil { // after the services, for some wait for theirs
			return err
		}
	}
	_, err := tx.NewRaw("UPDATE orders SET state = ?, paid_at = ?, changed_at = ? WHERE id = ?", o.State, o.PaidAt, o.ChangedAt, o.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("mark order %s paid: %w", o.ID, err)
	}
	return nil
}

// tellOnce writes to the team what an order holds that is charged once. What begins with a
// trial is not paid yet.
func (d *Desk) tellOnce(ctx context.Context, tx *tenancy.Tx, o *Order) error {
	for _, x := range o.Items {
		if len(x.Once) == 0 || x.Trial != nil {
			continue
		}
		s, err := renewal.Get(ctx, tx, x.SubscriptionID)
		if err != nil {
			return err
		}
		what := make([]string, len(x.Once))
		for i, it := range x.Once {
			what[i] = it.Label
		}
		if err := renewal.TellExtras(ctx, tx, d.Mail, s, o.ID.String(), strings.Join(what, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// tellPaid tells of an order that is paid, once.
func tellPaid(ctx context.Context, tx *tenancy.Tx, o Order, says string) error {
	news := o.news(webhook.OrderPaid)
	if o.State == Fulfilled {
		news = o.news(webhook.OrderPaid, webhook.OrderFulfilled)
	}
	return activity.Tell(ctx, tx, activity.Event{Key: "order/" + o.ID.String() + "/paid", AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID,
		Kind: "order.paid", Text: says, CustomerSees: true, Programs: news})
}

// news is what the order is to programs.
func (o Order) news(types ...webhook.Type) []webhook.News {
	out := make([]webhook.News, len(types))
	var code *string
	if o.Coupon != "" {
		code = &o.Coupon
	}
	for i, t := range types {
		out[i] = webhook.News{Type: t, Data: webhook.OrderData{
			ID: o.ID, AccountID: o.AccountID, Number: o.Number, State: string(o.State), Total: webhook.AmountOf(o.Total), Coupon: code, InvoiceID: o.InvoiceID, PlacedAt: o.PlacedAt.UTC(),
		}}
	}
	return out
}

// paidTooLate tells the team of money for an order that had ended: what becomes of it is
// for people to decide.
func paidTooLate(ctx context.Context, tx *tenancy.Tx, o Order) error {
	err := activity.Tell(ctx, tx, activity.Event{Key: "order/" + o.ID.String() + "/paid-late", AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID,
		Kind: "order.paid_late", Text: "Order " + o.Name() + " was paid after it had been cancelled. Give the money back, or deliver by a new order.", CustomerSees: false})
	if err != nil {
		return err
	}
	_, err = tx.RaiseAlert(ctx, tenancy.Alert{Key: "order/" + o.ID.String() + "/paid-late", Kind: "order.paid_late", Text: "An order was paid after it had been cancelled: " + o.Name(),
		Detail: map[string]any{"order": o.ID.String()}})
	return err
}

// ServiceActive ends an order when the last of its services runs. It may be repeated, and
// is called for services that belong to no order as well.
func (d *Desk) ServiceActive(ctx context.Context, db *tenancy.DB, serviceID uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var o struct {
			ID, AccountID uuid.UUID
			Number        int64
			InvoiceID     *uuid.UUID
			Currency      string
			TotalMinor    int64
			Coupon        string
			PlacedAt      time.Time
		}
		// The order is locked before its services are counted, or two that become active
		// at once would each see the other missing.
		err := tx.NewRaw(`SELECT o.id, o.account_id, o.number, o.invoice_id, o.currency, o.total_minor, coalesce(o.coupon, '') AS coupon, o.placed_at FROM orders o WHERE o.state = 'paid' AND o.id =
			(SELECT s.order_id FROM services v JOIN subscriptions s ON s.id = v.subscription_id WHERE v.id = ?) FOR UPDATE OF o`, serviceID).Scan(ctx, &o)
		if tenancy.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the order of service %s: %w", serviceID, err)
		}
		res, err := tx.NewRaw(`UPDATE orders SET state = 'fulfilled', changed_at = ? WHERE id = ? AND NOT EXISTS (
			SELECT FROM services v JOIN subscriptions s ON s.id = v.subscription_id WHERE s.order_id = orders.id AND v.began_at IS NULL)`, tx.Now(), o.ID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("end order %s: %w", o.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		done := Order{ID: o.ID, AccountID: o.AccountID, Number: o.Number, State: Fulfilled, InvoiceID: o.InvoiceID, Total: billing.Money{Minor: o.TotalMinor, Currency: o.Currency}, Coupon: o.Coupon, PlacedAt: o.PlacedAt}
		return activity.Tell(ctx, tx, activity.Event{Key: "order/" + o.ID.String() + "/fulfilled", AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID,
			Kind: "order.fulfilled", Text: "Everything of order " + done.Name() + " is running.", CustomerSees: true, Programs: done.news(webhook.OrderFulfilled)})
	})
}
