package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// PlaceRequest accepts a quote.
type PlaceRequest struct {
	QuoteID   uuid.UUID
	AccountID uuid.UUID
	PersonID  uuid.UUID
	SSHKeys   []string // checked with ParseSSHKeys; for everything that takes them
	By        audit.Origin
}

const (
	// firstHold is how long room is kept for an order at first: longer than it takes to
	// pay by card. It is kept on for orders that still wait then; see Due.
	firstHold = 90 * time.Minute
	// holdOn is when room of an unpaid order is asked for again.
	holdOn = 45 * time.Minute
	// maxUnpaid is how many orders of one account may wait for payment.
	maxUnpaid = 5
)

// Place turns a quote into an order with its invoice and subscriptions, or refuses it:
// what is invoiced is to the cent what was quoted. The same quote is placed once; placed
// again it returns the same order. Faults: checkout.quote_unknown, quote_expired,
// price_changed, out_of_stock, not_allowed, too_many_unpaid, no_gateway; plan.archived
// and what else catalog.Configure says; what coupon.Use says; platform.full.
func (d *Desk) Place(ctx context.Context, db *tenancy.DB, r PlaceRequest) (Order, error) {
	if err := MaySell(db.Tenant()); err != nil {
		return Order{}, err
	}
	var q quoteRow
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		q, err = readQuote(ctx, tx, r, db.Tenant().MayTest(), "")
		return err
	})
	if err != nil {
		return Order{}, err
	}
	if q.OrderID != nil {
		return d.Get(ctx, db, *q.OrderID, r.AccountID)
	}
	offers, err := d.Offers.Offers(ctx, db.Tenant().ID)
	if err != nil {
		return Order{}, err
	}
	places, err := d.hold(ctx, db.Tenant().ID, q, q.now.Add(firstHold))
	if err != nil {
		return Order{}, err
	}
	var o Order
	err = db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		o, err = d.place(ctx, tx, db.Tenant(), r, offers, places)
		return err
	})
	if refused(err) {
		err = errors.Join(err, d.free(context.WithoutCancel(ctx), db.Tenant().ID, q.ID, len(q.items)))
	}
	if err != nil || o.InvoiceID != nil {
		return o, err
	}
	if err := d.Begin(ctx, db, o.ID); err != nil { // the job does it then
		return o, nil //nolint:nilerr // the order is placed
	}
	return d.Get(ctx, db, o.ID, r.AccountID)
}

// refused reports whether an order was refused for what it is, and would be again.
func refused(err error) bool {
	if err == nil {
		return false
	}
	switch fault.From(err).Kind {
	case fault.Conflict, fault.Gone, fault.Invalid:
		return true
	}
	return false
}

// place writes the order with everything that belongs to it.
func (d *Desk) place(ctx context.Context, tx *tenancy.Tx, t tenancy.Tenant, r PlaceRequest, offers []catalog.Offer, places []Placement) (Order, error) {
	q, err := readQuote(ctx, tx, r, t.MayTest(), " FOR UPDATE OF q")
	if err != nil {
		return Order{}, err
	}
	if q.OrderID != nil { // the other tab was faster
		return get(ctx, tx, *q.OrderID, r.AccountID)
	}
	if err := unchanged(ctx, tx, q, offers); err != nil {
		return Order{}, err
	}
	if err := useCoupons(ctx, tx, q); err != nil {
		return Order{}, err
	}
	_, off, err := lines(q.items)
	if err != nil {
		return Order{}, err
	}
	o := Order{QuoteID: q.ID, AccountID: r.AccountID, PersonID: r.PersonID, State: AwaitingPayment, Currency: q.Currency,
		Total: billing.Money{Minor: q.TotalMinor, Currency: q.Currency}, Coupon: q.coupon, Off: billing.Money{Minor: off.Minor, Currency: q.Currency}, PlacedAt: tx.Now(), ChangedAt: tx.Now()}
	if o.ID, err = uuid.NewV7(); err != nil {
		return Order{}, err
	}
	if o.Number, _, err = invoicing.NextNumber(ctx, tx, invoicing.SeriesOrder); err != nil {
		return Order{}, err
	}
	stack, err := stackOf(q)
	if err != nil {
		return Order{}, err
	}
	variant := ""
	if stack == nil {
		variant = q.variants[q.coupon]
	}
	var numbered bool // the account has a VAT number
	// jsonb_object and not jsonb_build_object, which is merely stable: Citus 13 breaks an
	// INSERT of a SELECT that has a function whose value it would have to know beforehand.
	err = tx.NewRaw(`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, coupon, variant, stack, off_minor, ip, placed_at, changed_at, evidence)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?, jsonb_strip_nulls(jsonb_object(ARRAY['billing_country', 'postcode', 'tax_id', 'ip', 'ip_country'],
			ARRAY[a.country, nullif(a.billing->>'postcode', ''), nullif(a.tax_id, ''), nullif(?, ''), nullif(?, '')])
			|| jsonb_set(jsonb_set('{}', '{tax_check}', coalesce(a.tax_check, 'null')), '{tax_exemption}', coalesce(a.tax_exemption, 'null')))
		FROM accounts a WHERE a.id = ? RETURNING coalesce(evidence->>'tax_id', '') <> ''`, o.ID, o.Number, o.QuoteID, o.AccountID, o.PersonID, o.State, o.Currency, o.Total.Minor, bun.NullZero(o.Coupon), bun.NullZero(variant), stack, bun.NullZero(o.Off.Minor), r.By.IP, o.PlacedAt, o.ChangedAt, r.By.IP, r.By.Country, o.AccountID).Scan(ctx, &numbered)
	if err != nil {
		return Order{}, fmt.Errorf("place the order: %w", err)
	}
	if numbered {
		if err := account.AskAboutNumber(ctx, tx, o.AccountID); err != nil {
			return Order{}, err
		}
	}
	if err := d.open(ctx, tx, &o, q, r, places); err != nil {
		return Order{}, err
	}
	if err := trials(ctx, tx, &o); err != nil {
		return Order{}, err
	}
	if err := d.invoice(ctx, tx, &o, q); err != nil {
		return Order{}, err
	}
	return o, d.announce(ctx, tx, o, q, r)
}

// unchanged refuses a quote whose things are not sold so any more.
func unchanged(ctx context.Context, tx *tenancy.Tx, q quoteRow, offers []catalog.Offer) error {
	picked := make([]catalog.Picked, len(q.items))
	for i, x := range q.items {
		picked[i] = x.Picked
	}
	plans, err := plansOf(ctx, tx, q.Agreed, picked)
	if err != nil {
		return err
	}
	for i, x := range q.items {
		now, err := configure(tx, plans, offers, *q.AccountID, q.Currency, picked[i])
		if err != nil {
			return err
		}
		if now.Amount != x.Amount || now.Setup != x.Setup || !slices.Equal(now.Parts, x.Parts) || !slices.Equal(now.Once, x.Once) || !slices.Equal(now.Additions, x.Additions) || now.SKU != x.SKU || now.PlanID != x.PlanID {
			return errPriceChanged
		}
		p, _ := catalog.Find(plans, picked[i].Path())
		if !x.sameTrial(p) {
			return errPriceChanged
		}
	}
	if !slices.ContainsFunc(plans, func(p catalog.FullPlan) bool { return p.Stock != nil }) {
		return nil
	}
	return takeStock(ctx, tx, *q.AccountID, q.items)
}

var errPriceChanged = fault.New(fault.Conflict, "checkout.price_changed", "The price has changed since you looked at it. Please look at the new total and order again.")

// open begins a subscription for each thing.
func (d *Desk) open(ctx context.Context, tx *tenancy.Tx, o *Order, q quoteRow, r PlaceRequest, places []Placement) error {
	o.Items = q.items
	for i := range o.Items {
		x := &o.Items[i]
		if x.SKU != "" {
			x.PlatformID, x.SSHKeys = places[i].PlatformID, r.SSHKeys
		}
		n := renewal.New{AccountID: o.AccountID, OrderID: o.ID, PlanID: x.PlanID, Label: x.Label, Cycle: x.Picked.Cycle, Currency: o.Currency, Amount: x.Amount, Discount: x.Discount, Trial: x.tried(), Stub: x.Stub.sold()}
		for _, part := range x.Parts {
			n.Items = append(n.Items, renewal.Item{Kind: part.Kind, Code: part.Code, Label: part.Label, Quantity: part.Quantity, AmountMinor: part.Amount.Minor, PriceID: part.PriceID, Hour: renewal.HourOf(part.Hour)})
		}
		s, err := renewal.Open(ctx, tx, n)
		if err != nil {
			return err
		}
		x.SubscriptionID = s.ID
	}
	return nil
}

// invoice issues the order's invoice, which must come to what was quoted.
func (d *Desk) invoice(ctx context.Context, tx *tenancy.Tx, o *Order, q quoteRow) error {
	all, _, err := lines(o.Items)
	if err != nil {
		return err
	}
	if len(all) == 0 { // nothing is due today, and so there is nothing to wait for
		if _, err := tx.Enqueue(ctx, BeginJob{OrderID: o.ID}, tenancy.JobOptions{Key: o.ID.String()}); err != nil {
			return err
		}
		return o.accept(ctx, tx, q)
	}
	inv, err := invoicing.Issue(ctx, tx, invoicing.Draft{Key: "order/" + o.ID.String(), AccountID: o.AccountID, Currency: o.Currency, Lines: all})
	if err != nil {
		return err
	}
	if inv.Total != o.Total {
		return errPriceChanged
	}
	o.InvoiceID = &inv.ID
	return o.accept(ctx, tx, q)
}

// accept keeps what became of the quote.
func (o *Order) accept(ctx context.Context, tx *tenancy.Tx, q quoteRow) error {
	var b body
	if err := json.Unmarshal(q.Body, &b); err != nil {
		return err
	}
	b.Items = o.Items
	raw, err := json.Marshal(b)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH o AS (UPDATE orders SET invoice_id = ? WHERE id = ?)
		UPDATE quotes SET accepted_at = ?, body = ?::jsonb WHERE id = ?`, o.InvoiceID, o.ID, tx.Now(), string(raw), q.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("accept the quote: %w", err)
	}
	return nil
}

// announce tells everybody who waits for an order.
func (d *Desk) announce(ctx context.Context, tx *tenancy.Tx, o Order, q quoteRow, r PlaceRequest) error {
	key := "order/" + o.ID.String()
	if err := tx.AdvanceAgenda(ctx, AgendaKind, o.PlacedAt.Add(holdOn)); err != nil {
		return fmt.Errorf("put the order on the agenda: %w", err)
	}
	err := activity.Tell(ctx, tx, activity.Event{Key: key + "/placed", AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID, Kind: "order.placed",
		Text: "Order " + o.Name() + " was placed: " + What(o.Items) + ", " + o.Total.Format("en") + ".", Actor: q.Name, CustomerSees: true, Programs: o.news(webhook.OrderPlaced)})
	if err != nil {
		return err
	}
	err = d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/received", Template: mail.OrderReceived, To: q.Email,
		Data: map[string]string{"name": q.Name, "number": o.Name(), "what": What(o.Items), "total": o.Total.Format("en"), "link": "/client/orders/" + o.ID.String()}})
	if err != nil {
		return err
	}
	if large := largeOrder(q.Large); large > 0 && o.Total.Minor >= large {
		_, err := tx.RaiseAlert(ctx, tenancy.Alert{Key: key + "/large", Kind: "order.large", Text: "A large order was placed: " + o.Total.String(),
			Detail: map[string]any{"order": o.ID.String(), "number": o.Number, "what": What(o.Items)}})
		if err != nil {
			return err
		}
	}
	return r.By.Record(ctx, tx, "order.placed", audit.Target{Kind: "order", ID: o.ID.String()}, map[string]any{"number": o.Number, "total": o.Total.String(), "what": What(o.Items)})
}

// largeOrder is from what total, in minor units, staff are told of an order.
func largeOrder(set *int64) int64 {
	if set == nil {
		return 100_000
	}
	return *set
}

// Name is the order's number as people read it.
func (o Order) Name() string { return fmt.Sprintf("#%d", o.Number) }

// What says in a few words what an order holds.
func What(items []Item) string {
	switch len(items) {
	case 0:
		return "nothing"
	case 1:
		return items[0].Label
	default:
		return fmt.Sprintf("%s and %d more", items[0].Label, len(items)-1)
	}
}

// reschedule is schedule for who may take the tenant off the agenda. The first call waits
// for others who put it there; what they committed meanwhile is seen by the second.
func reschedule(ctx context.Context, tx *tenancy.Tx) error {
	if err := schedule(ctx, tx); err != nil {
		return err
	}
	return schedule(ctx, tx)
}

// schedule puts the tenant on the agenda for the next thing that happens to an order
// nobody pays.
func schedule(ctx context.Context, tx *tenancy.Tx) error {
	err := tx.SetAgendaTo(ctx, AgendaKind, `SELECT min(CASE WHEN placed_at + ? * interval '1 second' > ? THEN placed_at + ? * interval '1 second'
			ELSE placed_at + ? * interval '1 second' END) FROM orders WHERE state = 'awaiting_payment'`,
		holdOn.Seconds(), tx.Now(), holdOn.Seconds(), LapseAfter.Seconds())
	if err != nil {
		return fmt.Errorf("look for unpaid orders: %w", err)
	}
	return nil
}
