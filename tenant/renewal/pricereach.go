package renewal

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Why a subscription keeps its price.
const (
	KeepsBought    = "bought"    // the change is for new orders
	KeepsCancelled = "cancelled" // it ends
	KeepsAgreed    = "agreed"    // its price was agreed on with the customer
	KeepsSame      = "same"      // nothing of what it pays changes
	KeepsOnce      = "once"      // it is paid once
)

// reach says what a change means to a subscription that would be told at a time, or why it
// keeps its price. The day is never within what is invoiced already.
func (c PriceChange) reach(s Subscription, told time.Time, agreed bool) (r Repricing, keeps string) {
	next := s.Next()
	switch {
	case s.Cycle.Months() == 0:
		return r, KeepsOnce
	case !s.CancelAt.IsZero():
		return r, KeepsCancelled
	case agreed:
		return r, KeepsAgreed
	}
	r = Repricing{ID: c.ID, PlanID: s.PlanID, From: c.From, Told: told, Days: c.NoticeDays}
	if s.State == Paused {
		next.From = s.Pause.Until
	}
	if r.From.Before(next.From) {
		r.From = next.From
	}
	for _, x := range c.Cells {
		if x.Currency != s.Amount.Currency {
			continue
		}
		if c.PlanID != uuid.Nil {
			r.Prices = append(r.Prices, newPrice(NewPrice{Kind: "plan", Cycle: x.Cycle}, x))
			continue
		}
		p := newPrice(NewPrice{Kind: "option", Code: c.Code, Label: x.Label, Cycle: x.Cycle}, x)
		if c.Quantity {
			p.Label = ""
		}
		r.Prices = append(r.Prices, p)
		if x.Cycle == billing.Monthly { // a cycle without a price of its own costs its months' worth
			r.Prices = append(r.Prices, c.longer(p)...)
		}
	}
	if now := s; !r.put(&now) {
		return r, KeepsSame
	}
	return r, ""
}

// newPrice is what a cell says; of hours nothing but the hour.
func newPrice(p NewPrice, x PriceCell) NewPrice {
	if p.Minor = x.Minor; x.Hour != nil {
		hour := HourOf(*x.Hour)
		p.Minor, p.Hour = 0, &hour
	}
	return p
}

// longer are the prices of the cycles for which there is none but the month's.
func (c PriceChange) longer(p NewPrice) (all []NewPrice) {
	for _, cycle := range []billing.Cycle{billing.Hourly, billing.Quarterly, billing.SemiAnnual, billing.Annual, billing.Biennial, billing.Triennial} {
		own := false
		for _, x := range c.Cells {
			own = own || x.Cycle == cycle && x.Hour == nil && (c.Quantity || x.Label == p.Label)
		}
		if !own {
			q := p
			q.Cycle, q.Minor = cycle, p.Minor*int64(cycle.Months())
			all = append(all, q)
		}
	}
	return all
}

// PriceRow is one subscription as a change of prices reaches it.
type PriceRow struct {
	Subscription Subscription
	Then         Subscription // as it costs from Day on
	Day          time.Time
	Keeps        string // why it does not; empty: it does
}

// PriceSum is what a change comes to in one currency.
type PriceSum struct {
	Was, Now, Diff billing.Money // a month, net, before anything is taken off
}

// PricePreview is what a change of prices would do.
type PricePreview struct {
	Change   PriceChange
	Reached  int
	Accounts int
	Keeps    map[string]int // how many keep their price, by why
	Sums     []PriceSum     // by currency
	First    time.Time      // the first day somebody pays the new price; zero: nobody does
	Last     time.Time      // and the last
	Rows     []PriceRow     // the first PriceRows of them
}

// PriceRows is how many subscriptions a preview names.
const PriceRows = 50

// PreviewPrice says what a change would do, and keeps nothing. Faults: those of
// SchedulePrice.
func PreviewPrice(ctx context.Context, tx *tenancy.Tx, f PriceForm, shopZone string) (v PricePreview, err error) {
	c, err := PriceSubject(ctx, tx, f.PlanID, f.OptionID)
	if err != nil {
		return v, err
	}
	if err := c.read(f, tx.Now(), zone(shopZone)); err != nil {
		v.Change = c
		return v, err
	}
	return reachOf(ctx, tx, c)
}

// reachOf is what a change of prices does to those who have it now.
func reachOf(ctx context.Context, tx *tenancy.Tx, c PriceChange) (v PricePreview, err error) {
	v = PricePreview{Change: c, Keeps: map[string]int{}}
	where, args := c.concerns()
	subs, err := read(ctx, tx, "SELECT "+columns+tables+" WHERE "+where+" ORDER BY s.account_id, s.id", args...)
	if err != nil {
		return v, err
	}
	agreed, err := agreedOf(ctx, tx, subs)
	if err != nil {
		return v, err
	}
	accounts, place := map[uuid.UUID]bool{}, map[string]int{}
	for _, s := range subs {
		r, keeps := c.reach(s, tx.Now(), agreed[s.ID])
		if keeps == "" && !c.Running {
			keeps = KeepsBought
		}
		row := PriceRow{Subscription: s, Then: s, Keeps: keeps}
		if keeps != "" {
			v.Keeps[keeps]++
		} else {
			row.Day = s.first(r)
			if s.State == Paused { // as it is when the pause ends
				row.Day = s.continued(s.Pause.Until).first(r)
			}
			now := s
			r.put(&now)
			row.Then = now
			v.Reached++
			accounts[s.AccountID] = true
			v.First = sooner(v.First, row.Day)
			if row.Day.After(v.Last) {
				v.Last = row.Day
			}
			if err := v.add(place, s, row.Then); err != nil {
				return v, err
			}
		}
		if len(v.Rows) < PriceRows {
			v.Rows = append(v.Rows, row)
		}
	}
	v.Accounts = len(accounts)
	return v, nil
}

func (v *PricePreview) add(place map[string]int, s, now Subscription) error {
	i, known := place[now.Amount.Currency]
	if !known {
		i = len(v.Sums)
		none := billing.Money{Currency: now.Amount.Currency}
		place[now.Amount.Currency], v.Sums = i, append(v.Sums, PriceSum{none, none, none})
	}
	months := int64(s.Cycle.Months())
	was, err := s.withFullMonth().Ratio(1, months)
	if err != nil {
		return err
	}
	is, err := now.withFullMonth().Ratio(1, months)
	if err != nil {
		return err
	}
	v.Sums[i].Was.Minor += was.Minor
	v.Sums[i].Now.Minor += is.Minor
	v.Sums[i].Diff.Minor += is.Minor - was.Minor
	return nil
}

// concerns are the subscriptions that have what a change is about, and run.
func (c PriceChange) concerns() (where string, args []any) {
	where = "s.state IN ('active', 'past_due', 'suspended', 'paused') AND s.anchor_at IS NOT NULL"
	if c.PlanID != uuid.Nil {
		return where + " AND s.plan_id = ?", []any{c.PlanID}
	}
	return where + ` AND s.plan_id IN (SELECT id FROM plans WHERE product_id = ?) AND s.items @> ?::jsonb`,
		[]any{c.ProductID, fmt.Sprintf(`[{"kind": "option", "code": %q}]`, c.Code)}
}

// agreedOf says for which of subscriptions a price agreed on with the customer counts now.
func agreedOf(ctx context.Context, tx *tenancy.Tx, subs []Subscription) (map[uuid.UUID]bool, error) {
	if len(subs) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(subs))
	for i, s := range subs {
		ids[i] = s.ID
	}
	var found []uuid.UUID
	err := tx.NewRaw(`SELECT s.id FROM subscriptions s WHERE s.id IN (?) AND EXISTS (SELECT FROM agreed_prices g WHERE g.account_id = s.account_id AND g.plan_id = s.plan_id
		AND g.currency = s.currency AND (g.cycle IS NULL OR g.cycle = s.cycle) AND g.from_at <= ? AND (g.until_at IS NULL OR g.until_at > ?))`, bun.List(ids), tx.Now(), tx.Now()).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("look for agreed prices: %w", err)
	}
	agreed := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		agreed[id] = true
	}
	return agreed, nil
}

// Told is how far a change has come with those it concerns.
type Told struct {
	Accounts, Subscriptions int // that were told, or are at the new price
	Deaf                    int // subscriptions of customers without an address: they keep their price
}

// ToldOf counts who was told of a change.
func ToldOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (t Told, err error) {
	err = tx.NewRaw(`SELECT count(DISTINCT account_id) FILTER (WHERE NOT deaf) AS accounts, count(*) FILTER (WHERE NOT deaf) AS subscriptions, count(*) FILTER (WHERE deaf) AS deaf
		FROM (SELECT s.account_id, coalesce(s.reprices @> ?::jsonb, false) AS deaf FROM subscriptions s
			WHERE s.reprices @> ?::jsonb OR s.items @> ?::jsonb) x`,
		fmt.Sprintf(`[{"id": %q, "deaf": true}]`, id), fmt.Sprintf(`[{"id": %q}]`, id), fmt.Sprintf(`[{"price_id": %q}]`, id)).Scan(ctx, &t)
	if err != nil {
		return t, fmt.Errorf("count who was told: %w", err)
	}
	return t, nil
}
