package renewal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
)

// comingPrice is a change of prices of which somebody who runs was not told yet: it is about to be
// announced, or they came to what it concerns since it was.
type comingPrice struct {
	PriceChange
	told   time.Time          // when they will be
	plans  []uuid.UUID        // of an option: those that have it
	agreed map[uuid.UUID]bool // subscriptions that pay an agreed price
}

// comingPrices are those that may concern an account's subscriptions before they are told, in the
// order in which they will be.
func comingPrices(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, subs []Subscription) (all []comingPrice, err error) {
	if len(subs) == 0 || subs[0].noPrices { // all were read alike
		return nil, nil
	}
	changes, err := priceChanges(ctx, tx, `c.running AND c.state <> 'cancelled' AND c.due_at IS NOT NULL ORDER BY c.from_at, c.id`)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	who, err := account.ForInvoice(ctx, tx, id)
	if err != nil || who.Email == "" { // there is nobody to tell
		return nil, err
	}
	agreed, err := agreedOf(ctx, tx, subs)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		next := comingPrice{PriceChange: c, told: tx.Now(), agreed: agreed}
		if !c.AnnouncedAt.IsZero() && c.From.After(next.told) {
			next.told = c.From
		}
		if c.PlanID == uuid.Nil {
			if err := tx.NewRaw("SELECT id FROM plans WHERE product_id = ?", c.ProductID).Scan(ctx, &next.plans); err != nil {
				return nil, fmt.Errorf("read the plans of an option: %w", err)
			}
		}
		all = append(all, next)
	}
	slices.SortStableFunc(all, func(a, b comingPrice) int { return a.told.Compare(b.told) })
	return all, nil
}

// isFor reports whether a subscription would be told of the change, see concerns and each.
func (c comingPrice) isFor(s Subscription) bool {
	knows := slices.ContainsFunc(s.Reprices, func(r Repricing) bool { return r.ID == c.ID }) || slices.ContainsFunc(s.Items, func(it Item) bool { return it.PriceID == c.ID })
	switch {
	case knows || !s.Runs() || s.Trial != nil && c.told.Before(s.Trial.Until): // who tries it is not told
		return false
	case c.PlanID != uuid.Nil:
		return s.PlanID == c.PlanID
	}
	return slices.Contains(c.plans, s.PlanID) && slices.ContainsFunc(s.Items, func(it Item) bool { return it.Kind == "option" && it.Code == c.Code })
}

// hear has a subscription, as it was until an invoice is made, told of the changes that come
// before that. It returns those that come later.
func (s *Subscription) hear(coming []comingPrice, was Subscription, issued time.Time) []comingPrice {
	for len(coming) > 0 && coming[0].told.Before(issued) {
		c := coming[0]
		coming = coming[1:]
		was.Reprices = s.Reprices
		if !c.isFor(was) {
			continue
		}
		if r, keeps := c.reach(was, c.told, c.agreed[s.ID]); keeps == "" {
			s.Reprices = append(slices.Clip(s.Reprices), r)
		}
	}
	return coming
}
