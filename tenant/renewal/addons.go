package renewal

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// Addon is something that can be added to what somebody has, or was.
type Addon struct {
	Code  string
	Label string
	Help  string
	Has   int           // so many
	Most  int           // may be had
	Step  int           // are added at once
	Price billing.Money // of one step a cycle, before tax
	Hour  billing.HourPrice
	Once  bool // it is charged once, and then not had: see ChangeAsk.Buy
}

// Single reports whether there is one or none of it.
func (a Addon) Single() bool { return a.Most == a.Step }

// More is the number after one step is added; 0: no more can be.
func (a Addon) More() int {
	if a.Has+a.Step > a.Most {
		return 0
	}
	return a.Has + a.Step
}

// AddonsFor are wholesale add-ons as a service has them.
func AddonsFor(all []catalog.Addition) []hosting.Addon {
	var out []hosting.Addon
	for _, a := range all {
		out = append(out, hosting.Addon{Code: a.Code, SKU: a.SKU, N: a.N})
	}
	return out
}

// madeOfBatch is how many subscriptions are told in one transaction what an option is made of.
const madeOfBatch = 50

// MadeOf tells the platform what those have who bought an option before it was made of other
// wholesale add-ons (job option.made_of), from that moment on. It may be repeated.
func (d *Desk) MadeOf(ctx context.Context, db *tenancy.DB, job catalog.MadeOfJob) error {
	for after, n := uuid.Nil, madeOfBatch; n == madeOfBatch; {
		err := db.Update(ctx, func(tx *tenancy.Tx) error {
			subs, err := read(ctx, tx, "SELECT "+columns+tables+` JOIN plans p ON p.id = s.plan_id WHERE p.product_id = ? AND s.id > ? AND v.ended_at IS NULL AND v.sku <> ''
				ORDER BY s.id LIMIT ? FOR UPDATE OF s`, job.ProductID, after, madeOfBatch)
			if err != nil {
				return err
			}
			n = len(subs)
			for _, s := range subs {
				after = s.ID
				if err := s.madeOf(ctx, tx, job); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("tell what option %s is made of: %w", job.Option.Code, err)
		}
	}
	return nil
}

func (s Subscription) madeOf(ctx context.Context, tx *tenancy.Tx, job catalog.MadeOfJob) error {
	picked, err := pickedOf(ctx, tx, s)
	if err != nil {
		return err
	}
	value, has := picked.Options[job.Option.Code]
	made, known := job.Option.MadeOf(value)
	if !has || !known {
		return nil
	}
	var want *hosting.Addon
	if made != nil {
		want = &AddonsFor([]catalog.Addition{*made})[0]
	}
	return hosting.SetAddon(ctx, tx, s.ServiceID, job.Key, job.Option.Code, want, job.At)
}

// Addons are what can be added to a subscription: what is sold with its plan and can be
// paid in its currency and cycle, and what it has of those; and what can be bought for it
// that is charged once.
func Addons(ctx context.Context, tx *tenancy.Tx, s Subscription) ([]Addon, error) {
	plan, err := catalog.ByID(ctx, tx, s.PlanID)
	if err != nil {
		return nil, err
	}
	var all []Addon
	for _, o := range plan.Options {
		if len(o.Choices) != 1 || o.Kind != catalog.Once && (o.Kind != catalog.Addon || s.Cycle.Months() == 0) {
			continue
		}
		if o.Kind == catalog.Once {
			if price, sold := o.Choices[0].Price(s.Amount.Currency, catalog.OneTime); sold && price.Minor > 0 && o.Visibility == catalog.Shown {
				all = append(all, Addon{Code: o.Code, Label: o.Label, Help: o.Help, Most: o.Maximum, Step: o.Step, Price: price, Once: true})
			}
			continue
		}
		a := Addon{Code: o.Code, Label: o.Label, Help: o.Help, Most: o.Maximum, Step: o.Step}
		for _, it := range s.Items {
			if it.Kind == "option" && it.Code == o.Code {
				a.Has = int(it.Quantity) * o.Step
			}
		}
		price, sold := o.Choices[0].Price(s.Amount.Currency, s.Cycle)
		if hour, _ := o.Choices[0].Hours(s.Amount.Currency); s.Cycle == billing.Hourly {
			a.Hour = hour
		}
		if a.Price = price; a.Has > 0 || sold && o.Visibility == catalog.Shown {
			all = append(all, a)
		}
	}
	return all, nil
}

// addons has a change that only adds add-ons take effect at once, paid for by the days
// that are left, and one that only removes some with the end of what is paid, whatever
// the plan says of other changes.
func (c *changing) addons(got catalog.Configured) {
	if got.Plan.ID != c.plan.ID || got.Picked.Cycle != c.s.Cycle {
		return
	}
	known := map[string]bool{}
	for _, o := range c.plan.Options {
		known[o.Code] = o.Kind == catalog.Addon
	}
	type thing struct{ code, label string } // of an add-on without its label, which says how many
	counts := map[thing]int64{}
	count := func(code, label string, n int64) {
		if known[code] {
			label = ""
		}
		counts[thing{code, label}] += n
	}
	for _, it := range c.s.Items {
		if it.Kind == "option" {
			count(it.Code, it.Label, -it.Quantity)
		}
	}
	for _, it := range got.Items {
		if it.Kind == "option" {
			count(it.Code, it.Label, it.Quantity)
		}
	}
	more, less := false, false
	for t, n := range counts {
		switch {
		case n == 0:
		case !known[t.code]:
			return
		case n > 0:
			more = true
		default:
			less = true
		}
	}
	switch {
	case more && !less:
		c.upgrade = billing.UpgradeProrate
	case less && !more:
		c.down = billing.DowngradeAtRenewal
	}
}
