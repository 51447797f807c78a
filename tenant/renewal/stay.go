package renewal

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/settings"
)

// StayPolicy is what people who cancel are offered, by their reason. It is the shop
// setting "stay".
type StayPolicy struct {
	Months int                          `json:"months"` // from an offer that was taken to the next; 0: never again
	Offers map[string]billing.StayOffer `json:"offers"` // by Reason.Value
}

const stayName = "stay"

// DefaultStayPolicy offers nothing.
func DefaultStayPolicy() StayPolicy { return StayPolicy{Months: 12} }

// StayPolicyOf is what the shop offers.
func StayPolicyOf(ctx context.Context, tx *tenancy.Tx) (StayPolicy, error) {
	p := DefaultStayPolicy()
	_, err := settings.Named(ctx, tx, stayName, &p)
	return p, err
}

// SaveStayPolicy changes what is offered from now on. Faults: stay.invalid at the fields
// months and offer.<reason>.
func SaveStayPolicy(ctx context.Context, db *tenancy.DB, p StayPolicy, by audit.Origin) error {
	wrong := map[string]string{}
	if p.Months < 0 || p.Months > 60 {
		wrong["months"] = "Give a number of months from 0 to 60."
	}
	kept := map[string]billing.StayOffer{}
	for _, r := range Reasons() {
		o := p.Offers[r.Value]
		if err := o.Check(); err != nil {
			wrong["offer."+r.Value] = stayWrong(o.Kind)
		}
		if o.Kind != billing.StayNone {
			kept[r.Value] = o
		}
	}
	if err := fault.Fields("stay.invalid", wrong); err != nil {
		return err
	}
	p.Offers = kept
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		for reason, o := range p.Offers {
			if o.Kind != billing.StayDowngrade {
				continue
			}
			var known bool
			if err := tx.NewRaw("SELECT EXISTS (SELECT FROM plans WHERE id::text = ? AND visibility <> 'archived')", o.PlanID).Scan(ctx, &known); err != nil {
				return fmt.Errorf("look for a plan: %w", err)
			}
			if !known {
				return fault.Field("offer."+reason, "stay.unknown_plan", "Please choose a plan from the list.")
			}
		}
		if err := settings.Put(ctx, tx, stayName, p); err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.stay_changed", audit.Target{Kind: "settings", ID: "cancellations"}, map[string]any{"months": p.Months, "offers": p.Offers})
	})
}

func stayWrong(kind billing.StayKind) string {
	switch kind {
	case billing.StayDiscount:
		return fmt.Sprintf("Give a percentage from 1 to 100 and a number of invoices from 1 to %d.", billing.MostStayCycles)
	case billing.StayPause:
		return fmt.Sprintf("Give a number of days from 1 to %d.", billing.MostStayDays)
	case billing.StayDowngrade:
		return "Please choose a plan."
	}
	return "Please choose one of these."
}

// Stays is what a subscription's customer was offered for staying, and what an offer that
// was taken takes off its invoices.
type Stays struct {
	Made     []billing.MadeOffer `json:"made,omitempty"`
	Discount *billing.Discount   `json:"discount,omitempty"`
}

func stays(d *billing.Discount) bool { return d != nil && d.Code == billing.StayCode }

// stay is what an offer takes off the next invoice; nil: nothing.
func (s Subscription) stay() *billing.Discount {
	if s.Stays == nil || s.Stays.Discount == nil || !s.Stays.Discount.Counts(s.nextInvoice()) {
		return nil
	}
	return s.Stays.Discount
}

// StayLeft is for how many more invoices an offer takes something off; 0: none.
func (s Subscription) StayLeft() int {
	d := s.stay()
	if d == nil {
		return 0
	}
	return d.Cycles - s.nextInvoice() + 1
}

// StayOff is what an offer takes off, in words: "30 % off the next 2 invoices"; empty:
// nothing.
func (s Subscription) StayOff() string {
	switch n := s.StayLeft(); n {
	case 0:
		return ""
	case 1:
		return billing.Percent(s.stay().Ppm) + " off the next invoice"
	default:
		return fmt.Sprintf("%s off the next %d invoices", billing.Percent(s.stay().Ppm), n)
	}
}

// restart counts what is taken off invoices anew, from the next one as the first: the
// periods are.
func (s *Subscription) restart() {
	s.Discount = s.left(s.Discount)
	if s.Stays != nil {
		next := *s.Stays
		next.Discount = s.left(next.Discount)
		s.Stays = &next
	}
}

var errNoStay = fault.New(fault.Conflict, "stay.none", "There is no such offer any more. You can cancel, or keep it as it is.")

// Staying is an offer to somebody who is about to cancel.
type Staying struct {
	billing.StayOffer
	Reason string
	Plan   string        // what the other plan is called
	Price  billing.Money // a cycle: of the next invoices, or of the other plan
}

// Offer is what somebody who cancels a subscription for a reason is offered instead, and
// counts it as made; false: nothing, or nothing they would gain by. Fault:
// subscription.not_found.
func (d *Desk) Offer(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, reason string) (o Staying, ok bool, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := theirs(ctx, tx, id, account)
		if err != nil {
			return err
		}
		if o, ok, err = staying(ctx, tx, s, reason); err != nil || !ok {
			return err
		}
		var made []billing.MadeOffer
		if s.Stays != nil {
			made = s.Stays.Made
		}
		next := Stays{Made: billing.Offered(made, o.StayOffer, reason, tx.Now())}
		if s.Stays != nil {
			next.Discount = s.Stays.Discount
		}
		return next.keep(ctx, tx, s.ID)
	})
	return o, ok, err
}

func (x Stays) keep(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID) error {
	text, err := orNull(&x)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE subscriptions SET stays = ?::jsonb WHERE id = ?", text, subscription).Exec(ctx); err != nil {
		return fmt.Errorf("keep an offer of subscription %s: %w", subscription, err)
	}
	return nil
}

// staying is the offer for a reason, if it can be made to a subscription and is worth
// something to its customer.
func staying(ctx context.Context, tx *tenancy.Tx, s Subscription, reason string) (o Staying, ok bool, err error) {
	p, err := StayPolicyOf(ctx, tx)
	if err != nil {
		return o, false, err
	}
	o = Staying{StayOffer: p.Offers[reason], Reason: reason}
	var made []billing.MadeOffer
	if s.Stays != nil {
		made = s.Stays.Made
	}
	now := tx.Now()
	if o.Kind == billing.StayNone || o.Check() != nil || !s.CancelAt.IsZero() || !billing.MayOffer(made, p.Months, now, s.Zone()) {
		return o, false, nil
	}
	switch o.Kind {
	case billing.StayDiscount:
		if s.Changeable(now) != nil || s.withFullMonth().IsZero() {
			return o, false, nil
		}
		x := s.unmade()
		before := x.nextFullMonth()
		x.Stays = &Stays{Discount: o.Discount(x.nextInvoice())}
		o.Price = x.nextFullMonth()
		return o, o.Price.Minor < before.Minor, nil
	case billing.StayPause:
		return o, s.Pausable(now) == nil, nil
	}
	if s.Changeable(now) != nil || s.Cycle == billing.Hourly || o.PlanID == s.PlanID.String() { // prices of a cycle say nothing about hours
		return o, false, nil
	}
	err = tx.NewRaw(`SELECT p.name || ' ' || l.name, pr.amount_minor FROM plans l JOIN products p ON p.id = l.product_id JOIN prices pr ON pr.plan_id = l.id AND pr.currency = ? AND pr.cycle = ?
		WHERE l.id::text = ? AND l.visibility = 'public' AND coalesce(l.stock, 1) > 0 AND l.product_id = (SELECT product_id FROM plans WHERE id = ?)`,
		s.Amount.Currency, s.Cycle, o.PlanID, s.PlanID).Scan(ctx, &o.Plan, &o.Price.Minor)
	if tenancy.IsNoRows(err) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("read the plan of an offer: %w", err)
	}
	o.Price.Currency = s.Amount.Currency
	return o, o.Price.Minor < s.Amount.Minor, nil
}

// StayTaken is what became of an offer that was taken.
type StayTaken struct {
	Subscription Subscription
	Quote        uuid.UUID // of a change that is still to be agreed to; uuid.Nil: it is done
}

// Stay takes the offer that was made for a reason: the share comes off the next invoices,
// the pause begins, or the change to the other plan is quoted, which its customer then
// agrees to. Taking it twice takes it once. Faults: subscription.not_found, stay.none,
// those of Pausable and QuoteChange, change.payment_under_way.
func (d *Desk) Stay(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, reason string, by audit.Origin) (out StayTaken, err error) {
	offered := billing.StayOffer{}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := theirs(ctx, tx, id, account)
		if err != nil {
			return err
		}
		o, ok, err := staying(ctx, tx, s, reason)
		if err != nil {
			return err
		}
		if out.Subscription = s; !ok || s.Stays == nil || len(s.Stays.Made) == 0 {
			return errNoStay
		}
		made := slices.Clone(s.Stays.Made)
		last := &made[len(made)-1]
		if !last.TakenAt.IsZero() || last.StayOffer != o.StayOffer {
			return errNoStay
		}
		last.TakenAt, offered = tx.Now().UTC(), o.StayOffer
		s.Stays = &Stays{Made: made, Discount: s.Stays.Discount}
		if err := d.take(ctx, tx, &s, o, by); err != nil {
			return err
		}
		out.Subscription = s
		if o.Kind == billing.StayDowngrade { // it is taken once it is agreed to; see StayReport
			return nil
		}
		return by.Record(ctx, tx, "subscription.stayed", audit.Target{Kind: "subscription", ID: s.ID.String()}, map[string]any{"label": s.Label, "reason": reason, "offer": o.StayOffer})
	})
	if err != nil || offered.Kind != billing.StayDowngrade {
		return out, err
	}
	plan, err := d.slugOf(ctx, db, offered.PlanID)
	if err != nil {
		return out, err
	}
	q, err := d.QuoteChange(ctx, db, ChangeAsk{SubscriptionID: id, AccountID: account, Plan: plan})
	out.Quote = q.ID
	return out, err
}

// take does what an offer promises to a locked subscription.
func (d *Desk) take(ctx context.Context, tx *tenancy.Tx, s *Subscription, o Staying, by audit.Origin) error {
	switch o.Kind {
	case billing.StayPause:
		return d.pause(ctx, tx, s, PauseRequest{SubscriptionID: s.ID, AccountID: s.AccountID, Days: o.Days}, by)
	case billing.StayDiscount:
		if err := takeBackNext(ctx, tx, s); err != nil {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		s.Stays.Discount = o.Discount(s.nextInvoice())
		s.RenewsAt = p.look(*s, tx.Now())
		if err := keepChange(ctx, tx, *s); err != nil {
			return err
		}
		at := strconv.FormatInt(tx.Now().UnixMicro(), 10)
		err = put(ctx, tx, *s, "stayed/"+at, activity.Event{Actor: by.Actor.Name, CustomerSees: true,
			Text: s.Label + " goes on with " + s.StayOff() + "."})
		if err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return d.letter(ctx, tx, *s, message{key: "subscription/" + s.ID.String() + "/stayed/" + at, template: mail.SubscriptionStayed,
			data: map[string]string{"what": s.what(), "off": s.StayOff(), "price": s.NextAmount().Format("en"), "full": s.Amount.Format("en"), "link": s.path()}})
	}
	return s.Stays.keep(ctx, tx, s.ID)
}

func (d *Desk) slugOf(ctx context.Context, db *tenancy.DB, plan string) (slug string, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT slug FROM plans WHERE id::text = ?", plan).Scan(ctx, &slug)
	})
	if tenancy.IsNoRows(err) {
		return "", errNoStay
	}
	if err != nil {
		return "", fmt.Errorf("read the plan of an offer: %w", err)
	}
	return slug, nil
}

// StayLine is what came of the offers for one reason.
type StayLine struct {
	Reason  string
	Offered int
	Taken   int
	Old     int // taken 90 days ago or longer
	Stayed  int // of those, who are still here
}

// stayAfter is after how many days it is asked who is still here.
const stayAfter = 90

// StayReport is what came of offers, by reason. A change to another plan counts as taken
// where the subscription is on that plan or about to be.
func StayReport(ctx context.Context, tx *tenancy.Tx) (all []StayLine, err error) {
	err = tx.NewRaw(`WITH m AS (SELECT s.id, s.state, s.ended_at, m->>'reason' AS reason, (m->>'taken_at')::timestamptz AS taken_at, m->>'kind' <> 'downgrade' OR m->>'plan_id' IN (s.plan_id::text, s.change->'terms'->>'plan_id') AS done
			FROM subscriptions s, jsonb_array_elements(s.stays->'made') AS m WHERE s.stays IS NOT NULL)
		SELECT reason, count(*) AS offered, count(*) FILTER (WHERE taken_at IS NOT NULL AND done) AS taken,
			count(*) FILTER (WHERE taken_at <= ?0 AND done) AS old, count(*) FILTER (WHERE taken_at <= ?0 AND done AND (ended_at IS NULL OR ended_at >= taken_at + make_interval(days => ?1))) AS stayed
		FROM m GROUP BY reason ORDER BY offered DESC, reason`, tx.Now().AddDate(0, 0, -stayAfter), stayAfter).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("report offers to stay: %w", err)
	}
	return all, nil
}
