package billing

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Discount is what a code takes off the invoices of a subscription: a share or a fixed
// amount of each, never both. It is kept with what was sold, so that a code that is
// changed later changes nothing that was bought with it.
type Discount struct {
	Code   string `json:"code"`
	Ppm    int64  `json:"ppm,omitempty"`    // of each line, in parts per million
	Off    Money  `json:"off,omitzero"`     // of all lines together; of their currency
	Cycles int    `json:"cycles,omitempty"` // invoices it counts for, the first included; 0: all
	Setup  bool   `json:"setup,omitempty"`  // it is taken off fees for setting up as well

	Plans []string   `json:"plans,omitempty"` // it is for; empty: whatever the subscription becomes
	Also  []Discount `json:"also,omitempty"`  // by other codes, none of which has more of its own
}

// ErrDiscount is returned for a discount that is neither a share nor an amount, or both.
var ErrDiscount = errors.New("billing: not a discount")

// Stack is two discounts that are both taken off. Either may be nil.
func Stack(a, b *Discount) *Discount {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return stacked(append(a.each(), b.each()...))
}

func stacked(all []Discount) *Discount {
	if len(all) == 0 {
		return nil
	}
	ordered(all)
	one := all[0]
	if len(all) > 1 {
		one.Also = all[1:]
	}
	return &one
}

// ordered puts discounts in the order in which they are taken off: shares first, each of
// what the one before has left, and then amounts; among them by their codes. So it is the
// same whoever entered which first, and an amount is never taken off what a share takes.
func ordered(all []Discount) {
	slices.SortStableFunc(all, func(a, b Discount) int {
		if share, other := a.Ppm > 0, b.Ppm > 0; share != other {
			if share {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Code, b.Code)
	})
}

// each is every discount by itself, in the order in which they are taken off.
func (d Discount) each() []Discount {
	all := append([]Discount{d}, d.Also...)
	for i := range all {
		all[i].Also = nil
	}
	ordered(all)
	return all
}

// Codes names all of it: "TEN", "TEN and FIVE".
func (d Discount) Codes() string {
	return strings.Join(d.ByCode(), " and ")
}

// At is what of it is taken off the invoice of a number; nil: nothing.
func (d *Discount) At(invoice int) *Discount {
	if d == nil {
		return nil
	}
	return stacked(slices.DeleteFunc(d.each(), func(one Discount) bool { return !one.Counts(invoice) }))
}

// After is what is left of it when so many invoices are over, counted anew from the next
// one; nil: nothing.
func (d *Discount) After(invoices int) *Discount {
	if d == nil {
		return nil
	}
	var left []Discount
	for _, one := range d.each() {
		if one.Cycles > 0 {
			if one.Cycles -= invoices; one.Cycles <= 0 {
				continue
			}
		}
		left = append(left, one)
	}
	return stacked(left)
}

// Left is for how many invoices from the one of a number on the same is taken off, that
// one included; 0: nothing is, negative: for all of them.
func (d *Discount) Left(invoice int) int {
	now := d.At(invoice)
	if now == nil {
		return 0
	}
	left := -1
	for _, one := range now.each() {
		if n := one.Cycles - invoice + 1; one.Cycles > 0 && (left < 0 || n < left) {
			left = n
		}
	}
	return left
}

// Same reports whether two discounts are the same, whichever way they were put together.
func (d *Discount) Same(other *Discount) bool {
	if d == nil || other == nil {
		return d == nil && other == nil
	}
	return slices.EqualFunc(d.each(), other.each(), func(a, b Discount) bool {
		return a.Code == b.Code && a.Ppm == b.Ppm && a.Off == b.Off && a.Cycles == b.Cycles && a.Setup == b.Setup && slices.Equal(a.Plans, b.Plans)
	})
}

func (d Discount) check() error {
	share, fixed := d.Ppm > 0 && d.Ppm <= PpmWhole, d.Off.Minor > 0 && d.Off.Currency != ""
	if share == fixed || d.Ppm < 0 || d.Ppm > PpmWhole || d.Off.Minor < 0 || d.Cycles < 0 {
		return fmt.Errorf("%w: %+v", ErrDiscount, d)
	}
	return nil
}

// Counts reports whether the discount is taken off the invoice of this number; the first
// invoice of a subscription is 1.
func (d Discount) Counts(invoice int) bool {
	if invoice >= 1 && (d.Cycles == 0 || invoice <= d.Cycles) {
		return true
	}
	return slices.ContainsFunc(d.Also, func(one Discount) bool { return one.Counts(invoice) })
}

// takes reports whether something is taken off a line of this kind: off what is sold, and
// off nothing that is given or set right.
func (d Discount) takes(l Line) bool {
	switch l.Kind {
	case "plan", "option":
		return l.Net.Minor > 0
	case "setup":
		return d.Setup && l.Net.Minor > 0
	}
	return false
}

// Apply takes the discount off lines, which it leaves as they were, and says how much it
// was. A share is taken of each line and rounded there, half away from zero; an amount is
// spread over the lines by what they cost and sums to itself, or to all that they cost.
// No line comes to less than nothing, and none is added: an invoice says at the line what
// was taken off. Net is Quantity of Unit where it is not set. Of several each is taken off
// what the one before has left, in one order.
func (d Discount) Apply(lines []Line) (out []Line, off Money, err error) {
	out, offs, err := d.ApplyEach(lines)
	if err != nil {
		return nil, off, err
	}
	for i, one := range offs {
		if i == 0 {
			off = one
		} else if off, err = off.Add(one); err != nil {
			return nil, off, err
		}
	}
	return out, off, nil
}

// ApplyEach is Apply that says of each discount how much it was, in the order of ByCode.
func (d Discount) ApplyEach(lines []Line) (out []Line, offs []Money, err error) {
	out = lines
	for _, one := range d.each() {
		var off Money
		if out, off, err = one.apply(out); err != nil {
			return nil, nil, err
		}
		offs = append(offs, off)
	}
	return out, offs, nil
}

// ByCode are the codes of all discounts, in the order in which they are taken off.
func (d Discount) ByCode() []string {
	var codes []string
	for _, one := range d.each() {
		codes = append(codes, one.Code)
	}
	return codes
}

// apply takes one discount off.
func (d Discount) apply(lines []Line) (out []Line, off Money, err error) {
	if err := d.check(); err != nil {
		return nil, off, err
	}
	out = make([]Line, len(lines))
	weights := make([]int64, len(lines))
	var sum Money
	for i, l := range lines {
		if l.Net == (Money{}) {
			if l, err = l.Priced(); err != nil {
				return nil, off, err
			}
		}
		out[i] = l
		if i == 0 {
			sum = Money{Currency: l.Net.Currency}
		}
		if !d.takes(l) {
			continue
		}
		weights[i] = l.Net.Minor
		if sum, err = sum.Add(l.Net); err != nil {
			return nil, off, err
		}
	}
	off = Money{Currency: sum.Currency}
	if sum.IsZero() {
		return out, off, nil
	}
	parts, err := d.parts(sum, weights)
	if err != nil {
		return nil, off, err
	}
	for i, part := range parts {
		if part.IsZero() {
			continue
		}
		if out[i].Net, err = out[i].Net.Sub(part); err != nil {
			return nil, off, err
		}
		if off, err = off.Add(part); err != nil {
			return nil, off, err
		}
		out[i].Description += ", " + d.words(part) + " off with " + d.Code
	}
	return out, off, nil
}

// parts are what is taken off each line.
func (d Discount) parts(sum Money, weights []int64) ([]Money, error) {
	if d.Ppm == 0 {
		less, err := d.Off.Compare(sum)
		if err != nil {
			return nil, err
		}
		if less > 0 {
			return sum.Split(weights...)
		}
		return d.Off.Split(weights...)
	}
	parts := make([]Money, len(weights))
	for i, w := range weights {
		var err error
		if parts[i], err = (Money{Minor: w, Currency: sum.Currency}).Ratio(d.Ppm, PpmWhole); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Share is the part of the discount that belongs to each of several things that are
// bought together, by what they cost: all of a percentage, their share of an amount. It is
// nil for what costs nothing and of an amount too small to be shared.
func (d Discount) Share(costs []Money) ([]*Discount, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	shares := make([]*Discount, len(costs))
	weights, some := make([]int64, len(costs)), false
	for i, c := range costs {
		if d.Ppm == 0 && c.Currency != d.Off.Currency {
			return nil, fmt.Errorf("%w: %s and %s", ErrMixed, c.Currency, d.Off.Currency)
		}
		weights[i], some = max(c.Minor, 0), some || c.Minor > 0
	}
	if !some {
		return shares, nil
	}
	var parts []Money
	if d.Ppm == 0 {
		var err error
		if parts, err = d.Off.Split(weights...); err != nil {
			return nil, err
		}
	}
	for i, w := range weights {
		one := d
		if d.Ppm == 0 {
			one.Off = parts[i]
		}
		if w > 0 && one.check() == nil {
			shares[i] = &one
		}
	}
	return shares, nil
}

// words say what is taken off: "20 %", "€5.00".
func (d Discount) words(part Money) string {
	if d.Ppm > 0 {
		return Percent(d.Ppm)
	}
	return part.Format("en")
}

// Words say what is taken off by whom: "20 % off with WELCOME", "5 % and then €2.00 off with TEN
// and TWO".
func (d Discount) Words(locale string) string {
	var offs []string
	for _, one := range d.each() {
		if one.Ppm > 0 {
			offs = append(offs, Percent(one.Ppm))
		} else {
			offs = append(offs, one.Off.Format(locale))
		}
	}
	return strings.Join(offs, " and then ") + " off with " + d.Codes()
}

// Percent writes parts per million for people: "12.5 %".
func Percent(ppm int64) string {
	return strconv.FormatFloat(float64(ppm)/10_000, 'f', -1, 64) + " %"
}

// ErrPercent is returned for what is no percentage from 0 to 100 of at most four decimals.
var ErrPercent = errors.New("billing: not a percentage")

// ParsePercent reads "20", "12.5" or "12.5 %" as parts per million.
func ParsePercent(typed string) (int64, error) {
	whole, part, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(typed), "%")), ".")
	if len(whole) < 1 || len(whole) > 3 || len(part) > 4 || strings.Trim(whole+part, "0123456789") != "" {
		return 0, ErrPercent
	}
	ppm, err := strconv.ParseInt(whole+part+strings.Repeat("0", 4-len(part)), 10, 64)
	if err != nil || ppm > PpmWhole {
		return 0, ErrPercent
	}
	return ppm, nil
}
