package billing

import (
	"errors"
	"time"
)

// Ahead is some periods of a subscription that are paid at once, before they begin.
type Ahead struct {
	Anchor    time.Time
	Zone      *time.Location
	First     int // number of the first of the periods, from 0
	Terms     Terms
	Discounts []*Discount // one for each of the periods; nil: none
	Running   *Discount   // that the period which runs was invoiced with; nil: none
}

// ErrUneven is returned where the periods, or the one that runs, do not have the same
// discount: what is left of them could not be told apart later.
var ErrUneven = errors.New("billing: the discount changes within the periods")

// Price is what the periods come to: for each the same lines and the same discount as
// its own renewal would have had, so that paying ahead costs what paying in turn would.
func (a Ahead) Price() (r Changed, err error) {
	if a.Zone == nil || len(a.Discounts) < 1 || a.First < 0 || a.Terms.Cycle.Months() == 0 {
		return r, ErrPeriod
	}
	if r.Amount, err = a.Terms.Amount(); err != nil {
		return r, err
	}
	r.Upgrade, r.Net, r.Forfeited = true, Money{Currency: r.Amount.Currency}, Money{Currency: r.Amount.Currency}
	for n, discount := range a.Discounts {
		p := a.Terms.Cycle.Period(a.Anchor, a.First+n, a.Zone)
		if n == 0 {
			r.From = p.From
		}
		r.NextAt = p.To
		if !discount.Same(a.Running) {
			return r, ErrUneven
		}
		lines := make([]Line, len(a.Terms.Parts))
		for i, part := range a.Terms.Parts {
			lines[i] = Line{Kind: part.Kind, Description: part.Label, Quantity: 1, Unit: part.Price, Net: part.Price}
		}
		if discount != nil {
			if lines, _, err = discount.Apply(lines); err != nil {
				return r, err
			}
		}
		for i, l := range lines {
			r.Lines = append(r.Lines, ChangeLine{Part: a.Terms.Parts[i], Period: p, Net: l.Net, Text: l.Description})
			if r.Net, err = r.Net.Add(l.Net); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}
