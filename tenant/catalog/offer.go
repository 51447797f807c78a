package catalog

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// AddonType is the type of wholesale products that a service has besides its own: an
// address more, room for backups, a licence. Options are made of them, and no plans.
const AddonType Type = "addon"

// Offer is a wholesale product as the reseller can buy it: what a plan is made of, or, of
// AddonType, an option.
type Offer struct {
	SKU       string
	Type      Type
	Name      string
	Summary   string
	Spec      provisioners.Spec // what one of it is
	Cost      Cost              // a month; empty: it cannot be bought
	Regions   []Region
	Available bool // it has a price, and there is room somewhere
}

// Cost is what the reseller pays for an offer. Minor is a decimal of minor units that
// may be finer than one.
type Cost struct{ Minor, Currency string }

// Region is a place where an offer can be delivered.
type Region struct {
	Code      string
	Name      string
	Images    []Image
	Available bool // there is room
}

// Image is an operating system a customer can choose.
type Image struct{ Code, Name, Group string }

// Wholesale answers what a tenant can buy, in the order it is to be shown. The platform
// answers it.
type Wholesale interface {
	Offers(ctx context.Context, tenant tenancy.ID) ([]Offer, error)
}

// Region is the offer's region of that code.
func (o *Offer) Region(code string) (Region, bool) {
	i := slices.IndexFunc(o.Regions, func(r Region) bool { return r.Code == code })
	if i < 0 {
		return Region{}, false
	}
	return o.Regions[i], true
}

// offerOf finds a SKU; nil: it is not offered.
func offerOf(all []Offer, sku string) *Offer {
	for i := range all {
		if all[i].SKU == sku {
			return &all[i]
		}
	}
	return nil
}

// addonOf finds a wholesale add-on; nil: it is not offered, or has no price.
func addonOf(all []Offer, sku string) *Offer {
	if o := offerOf(all, sku); o != nil && o.Type == AddonType && o.Available {
		return o
	}
	return nil
}

// maxRemembered bounds the tenants whose offers are kept.
const maxRemembered = 4096

// Remembered keeps what a Wholesale answered for a short while: names of places and
// systems are asked for on every page of a plan, and whether there is room is asked of
// the platform again when an order is placed. It is safe for concurrent use.
type Remembered struct {
	from  Wholesale
	clock tenancy.Clock
	keep  time.Duration

	mu    sync.Mutex
	known map[tenancy.ID]remembered
}

type remembered struct {
	offers []Offer
	until  time.Time
}

// Remember keeps answers of from for a time by clock.
func Remember(from Wholesale, keep time.Duration, clock tenancy.Clock) *Remembered {
	return &Remembered{from: from, keep: keep, clock: clock, known: map[tenancy.ID]remembered{}}
}

// Offers answers from memory where it can. Callers do not change what they get.
func (r *Remembered) Offers(ctx context.Context, tenant tenancy.ID) ([]Offer, error) {
	now := r.clock()
	r.mu.Lock()
	had, ok := r.known[tenant]
	r.mu.Unlock()
	if ok && now.Before(had.until) {
		return had.offers, nil
	}
	offers, err := r.from.Offers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxRemembered {
		clear(r.known)
	}
	r.known[tenant] = remembered{offers: offers, until: now.Add(r.keep)}
	return offers, nil
}
