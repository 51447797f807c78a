// Package catalog is what a reseller sells: products, their plans and the plans'
// prices. It owns the tables products, plans and prices. What a customer ordered, and
// what it costs after discounts and tax, is not its business.
package catalog

import (
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
)

// Type says what kind of thing a product delivers.
type Type string

// The types of product.
const (
	VPS          Type = "vps"
	Dedicated    Type = "dedicated"
	WebHosting   Type = "web_hosting"
	GameServer   Type = "game_server"
	CloudDesktop Type = "cloud_desktop"
	VPNServer    Type = "vpn_server"
	License      Type = "license"
	Generic      Type = "generic"
)

// Cycle is how often a price is due.
type Cycle = billing.Cycle

// The cycles, the shortest first.
const (
	Hourly     = billing.Hourly
	Monthly    = billing.Monthly
	Quarterly  = billing.Quarterly
	SemiAnnual = billing.SemiAnnual
	Annual     = billing.Annual
	Biennial   = billing.Biennial
	Triennial  = billing.Triennial
	OneTime    = billing.OneTime
)

// Product is one thing on the shelf, with the plans anyone may see, in the
// reseller's order.
type Product struct {
	Slug      string
	Type      Type
	Name      string
	Summary   string
	Plans     []Plan
	ChangedAt time.Time
}

// Plan is one size of a product.
type Plan struct {
	Slug        string
	Name        string
	Summary     string
	Facts       []Fact // what a customer compares, in order
	Recommended bool
	Prices      []Price // in the asked currency, the shortest cycle first
	TrialDays   int     // for which it can be tried; 0: it cannot
}

// Fact is one line of a comparison: "Memory", "4 GB".
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Price is what a plan costs a cycle.
type Price struct {
	Cycle  Cycle
	Amount billing.Money
	Setup  billing.Money // once, at the start

	Usual    billing.Money // what others pay, where AgreedID names what was agreed on with whoever asks
	AgreedID uuid.UUID

	Hours      *HourPrice // what an hour costs, of the cycle hourly; nil: it is another cycle
	UsualHours *HourPrice // what others pay, where the price of the hour was agreed on
}

// ByTheHour reports whether it is a price of an hour.
func (p Price) ByTheHour() bool { return p.Hours != nil }

// From is the plan's monthly price where it has one, otherwise the price of its
// shortest cycle, that of an hour where there is no other; false when it has none.
func (p Plan) From() (Price, bool) {
	for _, price := range p.Prices {
		if price.Cycle == Monthly {
			return price, true
		}
	}
	if len(p.Prices) == 0 {
		return Price{}, false
	}
	if p.Prices[0].ByTheHour() && len(p.Prices) > 1 {
		return p.Prices[1], true
	}
	return p.Prices[0], true
}

// From is the lowest of its plans' prices of the most common kind: monthly where a
// plan has that, otherwise the cheapest there is, one by the hour where there is no other;
// false when nothing has a price.
func (p Product) From() (Price, bool) {
	var lowest Price
	found := false
	for _, plan := range p.Plans {
		price, ok := plan.From()
		switch {
		case !ok, found && price.ByTheHour():
		case !found, lowest.ByTheHour(), price.Cycle == Monthly && lowest.Cycle != Monthly,
			price.Cycle == lowest.Cycle && price.Amount.Minor < lowest.Amount.Minor:
			lowest, found = price, true
		}
	}
	return lowest, found
}
