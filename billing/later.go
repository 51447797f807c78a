package billing

import "slices"

// On is what of a discount counts for a plan: codes that are for other plans only take
// nothing off. Nil: nothing.
func (d *Discount) On(plan string) *Discount {
	if d == nil {
		return nil
	}
	return stacked(slices.DeleteFunc(d.each(), func(one Discount) bool { return len(one.Plans) > 0 && !slices.Contains(one.Plans, plan) }))
}

// Once is what of a discount is taken off things that are bought after the order and charged
// once: shares that count for all invoices and for what is charged once as well. What is for
// the first invoices was given with them, and an amount is taken off each cycle already. Nil:
// nothing.
func (d *Discount) Once() *Discount {
	if d == nil {
		return nil
	}
	return stacked(slices.DeleteFunc(d.each(), func(one Discount) bool { return one.Ppm == 0 || one.Cycles > 0 || !one.Setup }))
}

// Parts takes the discount off parts of what a cycle costs, as Apply does off the lines of
// its invoice, and names its codes at each it lessens. So a part that is bought within a cycle
// costs its share of what it would have added to the cycle's invoice. Nil takes nothing off.
func (d *Discount) Parts(parts []Part) ([]Part, error) {
	if d == nil {
		return parts, nil
	}
	lines := make([]Line, len(parts))
	for i, p := range parts {
		lines[i] = Line{Kind: p.Kind, Quantity: 1, Unit: p.Price}
	}
	lines, _, err := d.Apply(lines)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(parts)
	for i := range out {
		if out[i].Price != lines[i].Net {
			out[i].Price, out[i].Label = lines[i].Net, out[i].Label+" with "+d.Codes()
		}
	}
	return out, nil
}
