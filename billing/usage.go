package billing

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"
)

// UsageEvent is one row of a usage ledger. A start or change begins a stay of its
// subject and ends the one before; a stop ends it; a quantity was used at a moment.
type UsageEvent struct {
	Key, Subject, SKU string
	Kind              string // start, change, stop, quantity
	Quantity          int64
	At, RecordedAt    time.Time
}

// PriceSpan is a price with the time it holds; a zero To has no end. The empty tier is
// for all that have no price of their own. Own is a price agreed with the reseller alone:
// it wins over both, and has no tier.
type PriceSpan struct {
	SKU, Tier string
	Own       bool
	Rate      Rate
	Period
}

// TierSpan is a time on a tier: what it costs a month, and what is taken off, or the share
// of revenue that is taken, and the least a month costs; see Commission and Agreed.
type TierSpan struct {
	Tier          string
	Fee           Money
	DiscountPPM   int64
	CommissionPPM int64
	Minimum       Money // in the fee's currency
	Period
}

// Stay is a subject's time in a month at one price, or a quantity it used at From.
type Stay struct {
	Subject     string
	From, To    time.Time
	Quantity    int64
	Start, Stop string // keys of the events; an empty Stop: it ran on
}

// UsageLine is what one SKU costs at one price on one tier, with the stays behind it.
type UsageLine struct {
	Kind      string // fee, service, metered
	SKU, Tier string
	Rate      Rate
	Discount  int64 // parts per million that come off afterwards, on the sum of lines
	Net       Money // rounded once
	Stays     []Stay
}

// BillUsage works out a month, which is one of BillMonth's: each stay is cut to the month, to the times on tiers and
// to the times of prices, and every line is rounded once. What has no price is returned
// as missing. It is the rule that the platform's set-based run is held to.
func BillUsage(month Period, events []UsageEvent, prices []PriceSpan, tiers []TierSpan) (lines []UsageLine, missing []Stay, err error) {
	b := usageBill{month: month, prices: prices, lines: map[usageKey]*UsageLine{}}
	for _, t := range tiers {
		on, ok := cut(t.Period, month)
		if !ok {
			continue
		}
		if t.Fee.Minor > 0 {
			rate, err := RateOf(t.Fee)
			if err != nil {
				return nil, nil, err
			}
			b.add(usageKey{"fee", "", t.Tier, rate, 0}, Stay{Subject: "tier/" + t.Tier, From: on.From, To: on.To, Quantity: 1})
		}
		for _, s := range staysOf(events, month) {
			b.price(s, t, on)
		}
		for _, e := range events {
			if e.Kind == "quantity" && month.Contains(e.At) && on.Contains(e.At) {
				b.price(ranStay{Stay{e.Subject, e.At, e.At, e.Quantity, e.Key, ""}, e.SKU, "metered"}, t, on)
			}
		}
	}
	lines, err = b.done()
	return lines, b.missing, err
}

type usageKey struct {
	kind, sku, tier string
	rate            Rate
	discount        int64
}

type usageBill struct {
	month   Period
	prices  []PriceSpan
	lines   map[usageKey]*UsageLine
	missing []Stay
}

// ranStay is a stay with what it was of.
type ranStay struct {
	Stay
	sku, kind string
}

// staysOf pairs starts, changes and stops.
func staysOf(events []UsageEvent, month Period) (all []ranStay) {
	bySubject := map[string][]UsageEvent{}
	for _, e := range events {
		if e.Kind != "quantity" && e.At.Before(month.To) {
			bySubject[e.Subject] = append(bySubject[e.Subject], e)
		}
	}
	order := map[string]int{"start": 0, "change": 1, "stop": 2}
	for subject, list := range bySubject {
		slices.SortFunc(list, func(x, y UsageEvent) int {
			return cmp.Or(x.At.Compare(y.At), x.RecordedAt.Compare(y.RecordedAt), cmp.Compare(order[x.Kind], order[y.Kind]), strings.Compare(x.Key, y.Key))
		})
		for i, e := range list {
			s := Stay{Subject: subject, From: e.At, To: month.To, Quantity: e.Quantity, Start: e.Key}
			if i+1 < len(list) {
				s.To, s.Stop = list[i+1].At, list[i+1].Key
			}
			if e.Kind != "stop" {
				all = append(all, ranStay{s, e.SKU, "service"})
			}
		}
	}
	return all
}

// cut is what two periods have in common.
func cut(p, q Period) (Period, bool) {
	if p.From.Before(q.From) {
		p.From = q.From
	}
	if p.To.IsZero() || p.To.After(q.To) {
		p.To = q.To
	}
	return p, p.From.Before(p.To)
}

// price finds the prices of a stay while the reseller was on a tier.
func (b *usageBill) price(s ranStay, t TierSpan, on Period) {
	if s.kind == "metered" {
		if rate, ok := b.rateAt(s.sku, t, s.From); ok {
			b.add(usageKey{s.kind, s.sku, t.Tier, rate, t.DiscountPPM}, s.Stay)
		} else {
			b.missing = append(b.missing, s.Stay)
		}
		return
	}
	ran, ok := cut(Period{s.From, s.To}, on)
	if !ok {
		return
	}
	for ran.From.Before(ran.To) {
		rate, ok := b.rateAt(s.sku, t, ran.From)
		part := s.Stay
		part.From, part.To = ran.From, b.nextCut(s.sku, t, ran)
		if !part.To.Equal(s.To) {
			part.Stop = ""
		}
		if ok {
			b.add(usageKey{s.kind, s.sku, t.Tier, rate, t.DiscountPPM}, part)
		} else {
			b.missing = append(b.missing, part)
		}
		ran.From = part.To
	}
}

// rateAt is the price at a moment: the reseller's own, or the tier's, or the one for all.
func (b *usageBill) rateAt(sku string, t TierSpan, at time.Time) (found Rate, ok bool) {
	best := -1
	for _, p := range b.prices {
		holds := !at.Before(p.From) && (p.To.IsZero() || at.Before(p.To))
		if p.SKU != sku || p.Rate.Currency != t.Fee.Currency || !holds || (p.Tier != "" && p.Tier != t.Tier) {
			continue
		}
		if rank := p.rank(); rank > best {
			found, ok, best = p.Rate, true, rank
		}
	}
	return found, ok
}

func (p PriceSpan) rank() int {
	switch {
	case p.Own:
		return 2
	case p.Tier != "":
		return 1
	}
	return 0
}

// nextCut is the first moment within ran, after its beginning, at which a price may change.
func (b *usageBill) nextCut(sku string, t TierSpan, ran Period) time.Time {
	next := ran.To
	for _, p := range b.prices {
		if p.SKU != sku || p.Rate.Currency != t.Fee.Currency || (p.Tier != "" && p.Tier != t.Tier) {
			continue
		}
		for _, at := range []time.Time{p.From, p.To} {
			if at.After(ran.From) && at.Before(next) {
				next = at
			}
		}
	}
	return next
}

func (b *usageBill) add(k usageKey, s Stay) {
	l := b.lines[k]
	if l == nil {
		l = &UsageLine{Kind: k.kind, SKU: k.sku, Tier: k.tier, Rate: k.rate, Discount: k.discount}
		b.lines[k] = l
	}
	l.Stays = append(l.Stays, s)
}

// done rounds each line, once.
func (b *usageBill) done() ([]UsageLine, error) {
	var all []UsageLine
	month := big.NewInt(MonthLength(b.month).Microseconds())
	for _, l := range b.lines {
		used := new(big.Int)
		for _, s := range l.Stays {
			n := big.NewInt(s.Quantity)
			if l.Kind != "metered" {
				n.Mul(n, big.NewInt(s.To.Sub(s.From).Microseconds()))
			}
			used.Add(used, n)
		}
		whole := month
		if l.Kind == "metered" {
			whole = big.NewInt(1)
		}
		var err error
		if l.Net, err = l.Rate.Over(used, whole); err != nil {
			return nil, err
		}
		slices.SortFunc(l.Stays, func(x, y Stay) int {
			return cmp.Or(strings.Compare(x.Subject, y.Subject), x.From.Compare(y.From), strings.Compare(x.Start, y.Start))
		})
		all = append(all, *l)
	}
	slices.SortFunc(all, func(x, y UsageLine) int {
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.SKU, y.SKU), strings.Compare(x.Tier, y.Tier),
			cmp.Compare(x.Discount, y.Discount), cmp.Compare(x.Rate.Units, y.Rate.Units))
	})
	return all, nil
}
