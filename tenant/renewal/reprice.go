package renewal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Repricing is a price that waits for the next periods of a subscription. It counts as long
// as the subscription is of the plan it was announced for.
type Repricing struct {
	ID     uuid.UUID  `json:"id"` // of the change of prices, or of the agreed price
	PlanID uuid.UUID  `json:"plan_id"`
	From   time.Time  `json:"from"`
	Told   time.Time  `json:"told,omitzero"` // when the customer was; zero: they need not be
	Days   int        `json:"days,omitempty"`
	Letter string     `json:"letter,omitempty"` // the key of the letter that has to have reached a mail server; empty: none has to
	Deaf   bool       `json:"deaf,omitempty"`   // there was nobody to write to: it never counts
	Back   bool       `json:"back,omitempty"`   // what it cost before an agreed price, which ends at From; zero: it has no end yet
	Prices []NewPrice `json:"prices"`
}

// NewPrice is what one of an item costs a cycle.
type NewPrice struct {
	Kind  string        `json:"kind"`
	Code  string        `json:"code,omitempty"`  // empty: any
	Label string        `json:"label,omitempty"` // empty: any
	Cycle billing.Cycle `json:"cycle"`
	Minor int64         `json:"minor"`
	Hour  *Hour         `json:"hour,omitempty"` // of what is paid by the hour; nil: it is not
}

func (p NewPrice) fits(it Item) bool {
	return p.Kind == it.Kind && (p.Code == "" || p.Code == it.Code) && (p.Label == "" || p.Label == it.Label)
}

func (r Repricing) announced() billing.Announced {
	return billing.Announced{From: r.From, Told: r.Told, Days: r.Days}
}

// counts reports whether a period that begins at a time is of the new price.
func (r Repricing) counts(from time.Time) bool {
	return !r.Deaf && !r.From.IsZero() && !r.announced().Begins().After(from)
}

func (r Repricing) units(s Subscription) (all []billing.UnitPrice) {
	for _, p := range r.Prices {
		if p.Cycle == s.Cycle && p.Hour == nil {
			all = append(all, billing.UnitPrice{Kind: p.Kind, Code: p.Code, Label: p.Label, Unit: billing.Money{Minor: p.Minor, Currency: s.Amount.Currency}})
		}
	}
	return all
}

// put gives the subscription's items the new prices. It reports whether any changed.
func (r Repricing) put(s *Subscription) (changed bool) {
	units := r.units(*s)
	if s.Cycle == billing.Hourly {
		changed = r.putHours(s)
	}
	if len(units) == 0 {
		return changed
	}
	items := slices.Clone(s.Items)
	var sum int64
	for _, it := range items {
		sum += it.AmountMinor
	}
	if len(items) == 0 || sum != s.Amount.Minor {
		items = []Item{{Kind: "plan", Label: s.Label, Quantity: 1, AmountMinor: s.Amount.Minor}}
	}
	parts := make([]billing.Part, len(items))
	for i, it := range items {
		parts[i] = billing.Part{Kind: it.Kind, Code: it.Code, Label: it.Label, Quantity: it.Quantity, Price: billing.Money{Minor: it.AmountMinor, Currency: s.Amount.Currency}}
	}
	priced, err := billing.Reprice(parts, units)
	if err != nil { // checked when it was announced
		return changed
	}
	total := int64(0)
	for i, p := range priced {
		if p.Price.Minor != items[i].AmountMinor && items[i].Hour.Rate.IsZero() {
			items[i].AmountMinor, items[i].PriceID, changed = p.Price.Minor, r.ID, true
			if r.Back {
				items[i].PriceID = uuid.Nil
			}
		}
		total += items[i].AmountMinor
	}
	if changed {
		s.Items, s.Amount.Minor = items, total
	}
	return changed
}

// putHours is put of what is paid by the hour.
func (r Repricing) putHours(s *Subscription) (changed bool) {
	items := slices.Clone(s.Items)
	for i, it := range items {
		for _, p := range r.Prices {
			if p.Cycle != s.Cycle || p.Hour == nil || it.Hour.Rate.IsZero() || !p.fits(it) {
				continue
			}
			one, err := p.Hour.Times(max(it.Quantity, 1))
			if now := HourOf(one); err == nil && now != it.Hour {
				items[i].Hour, items[i].PriceID, changed = now, r.ID, true
				if r.Back {
					items[i].PriceID = uuid.Nil
				}
			}
			break
		}
	}
	if changed {
		s.Items = items
	}
	return changed
}

// pricedFor is the subscription at the prices of a period that begins at a time.
func (s Subscription) pricedFor(from time.Time) Subscription {
	if from.IsZero() || len(s.Reprices) == 0 {
		return s
	}
	for _, r := range s.Reprices {
		if r.PlanID == s.PlanID && r.counts(from) {
			r.put(&s)
		}
	}
	return s
}

// first is when a price that waits becomes the subscription's; zero: it does not.
func (s Subscription) first(r Repricing) time.Time {
	if r.Deaf || r.From.IsZero() || s.AnchorAt.IsZero() {
		return time.Time{}
	}
	return r.announced().First(s.Cycle, s.AnchorAt, 0, s.Zone()).From
}

// fold puts prices in place whose first period has begun. What is read is right from that
// moment on; Renew keeps it and tells of it.
func (s *Subscription) fold(now time.Time) {
	s.Reprices = slices.DeleteFunc(s.Reprices, func(r Repricing) bool { return r.PlanID != s.PlanID })
	if len(s.Reprices) == 0 || !s.Runs() {
		return
	}
	slices.SortStableFunc(s.Reprices, func(a, b Repricing) int { return a.announced().Begins().Compare(b.announced().Begins()) })
	var left []Repricing
	for _, r := range s.Reprices {
		at := s.first(r)
		if at.IsZero() || now.Before(at) {
			left = append(left, r)
			continue
		}
		was := s.Paid("en")
		r.put(s)
		s.folded = append(s.folded, folded{r.ID, was, at})
	}
	s.Reprices = left
}

// folded is a price that was put in place and is not kept yet.
type folded struct {
	id  uuid.UUID
	was string // what was paid before
	at  time.Time
}

// foldAt is when the next price that waits becomes the subscription's; zero: none does.
func (s Subscription) foldAt(now time.Time) time.Time {
	if len(s.folded) > 0 {
		return now
	}
	var at time.Time
	for _, r := range s.Reprices {
		at = sooner(at, s.first(r))
	}
	return at
}

// keepFolded keeps prices that became a subscription's, and tells of them.
func keepFolded(ctx context.Context, tx *tenancy.Tx, s *Subscription) error {
	all := s.folded
	s.folded = nil
	if err := keepChange(ctx, tx, *s); err != nil {
		return err
	}
	for _, f := range all {
		now := s.Paid("en")
		if f.was == now {
			continue
		}
		if _, err := s.priceHours(ctx, tx, f.at, s.discountAt(f.at)); err != nil {
			return err
		}
		err := put(ctx, tx, *s, "repriced/"+f.id.String(), activity.Event{
			Text:         s.Label + " costs " + now + " since " + s.date(f.at) + ", before that " + f.was + ".",
			CustomerSees: true, Programs: news(*s, webhook.SubscriptionChanged),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// NextPriced is the subscription at the next price that waits for it, and from when; false: none
// does.
func (s Subscription) NextPriced() (next Subscription, at time.Time, waits bool) {
	for _, r := range s.Reprices {
		first := s.first(r)
		if x := s.pricedFor(first); !first.IsZero() && x.Paid("en") != s.Paid("en") && (at.IsZero() || first.Before(at)) {
			next, at = x, first
		}
	}
	return next, at, !at.IsZero()
}

// wentOut moves on prices whose letter has not reached a mail server, or did late: no
// period is of a price of which its customer was not told in time. It reports whether
// anything moved.
func wentOut(ctx context.Context, tx *tenancy.Tx, subs []Subscription) (moved map[uuid.UUID]bool, err error) {
	var keys []string
	for _, s := range subs {
		for _, r := range s.Reprices {
			if r.Letter != "" && r.counts(s.Next().From) {
				keys = append(keys, r.Letter)
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	var rows []struct {
		Key string
		At  time.Time
	}
	err = tx.NewRaw("SELECT key, coalesce(sent_at, created_at) AS at FROM mails WHERE key IN (?) AND state = 'sent'", bun.List(keys)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("look for letters about prices: %w", err)
	}
	sent := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		sent[r.Key] = r.At
	}
	moved = map[uuid.UUID]bool{}
	for i := range subs {
		s := &subs[i]
		for j := range s.Reprices {
			r := &s.Reprices[j]
			if r.Letter == "" || !r.counts(s.Next().From) {
				continue
			}
			at, went := sent[r.Letter]
			if !went {
				at = tx.Now()
			}
			if at.After(r.Told) {
				r.Told, moved[s.ID] = at, true
			}
			if !went && r.counts(s.Next().From) { // told so late that it would count all the same
				r.From = s.Next().To
			}
			if !went {
				if err := alert(ctx, tx, "price_change.not_told", "subscription/"+s.ID.String(), "A customer could not be told of a new price, so they keep the old one for a period more.", nil); err != nil {
					return nil, err
				}
			}
		}
	}
	return moved, nil
}
