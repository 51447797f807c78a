package renewal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/metering"
)

// Hour is what is paid by the hour for a part, as it was sold.
type Hour struct {
	billing.HourPrice
	MonthMinor int64 `json:"month_minor,omitempty"` // that a full month of it comes to
}

// HourOf is a price of an hour as it is sold.
func HourOf(h billing.HourPrice) Hour {
	if h.Rate.IsZero() {
		return Hour{}
	}
	m, err := h.Month()
	if err != nil { // more than can be charged: no price is
		return Hour{}
	}
	return Hour{h, m.Minor}
}

// hourOf is what an hour of several parts costs together; false: nothing is paid by the hour.
func hourOf(items []Item) (Hour, bool) {
	var sum Hour
	all := make([]billing.HourPrice, len(items))
	for i, it := range items {
		all[i] = it.Hour.HourPrice
		sum.MonthMinor += it.Hour.MonthMinor
	}
	sum.HourPrice = billing.SumHours(all...)
	return sum, !sum.Rate.IsZero()
}

// Hour is what an hour of the subscription costs, with its options; false: it is not paid by the
// hour.
func (s Subscription) Hour() (Hour, bool) {
	if s.Cycle != billing.Hourly {
		return Hour{}, false
	}
	return hourOf(s.Items)
}

// Hour is what an hour costs by the terms, with the options; false: they are of another cycle.
func (t Terms) Hour() (Hour, bool) { return Subscription{Cycle: t.Cycle, Items: t.Items}.Hour() }

// Paid says what is paid, before tax: "€9.00 a month", or "€0.02 an hour, at most €12.00 a
// month" and what is paid a month besides.
func (s Subscription) Paid(locale string) string {
	hour, ok := s.Hour()
	switch {
	case !ok:
		return s.Amount.Format(locale) + " " + s.Cycle.Words()
	case s.Amount.IsZero():
		return hour.Words(locale)
	}
	return s.Amount.Format(locale) + " a month and " + hour.Words(locale)
}

// Paid says what the terms cost, as a subscription's Paid does; empty: not by the hour.
func (t Terms) Paid(locale string) string {
	hour, ok := t.Hour()
	if !ok {
		return ""
	}
	return Subscription{Amount: billing.Money{Minor: t.AmountMinor, Currency: hour.Rate.Currency}, Cycle: t.Cycle, Items: t.Items}.Paid(locale)
}

// hourParts are the items that are paid by the hour.
func hourParts(items []Item) (all []billing.HourPart) {
	for _, it := range items {
		if it.Hour.Rate.IsZero() {
			continue
		}
		p := billing.HourPart{Kind: it.Kind, Code: it.Code, Label: it.Label, Price: it.Hour.HourPrice}
		if it.PriceID != uuid.Nil {
			p.PriceID = it.PriceID.String()
		}
		all = append(all, p)
	}
	return all
}

// priceHours keeps what an hour of a subscription costs from a time on, and what is taken off a
// month of them, where it is paid by the hour. It returns from which hour on that counts.
func (s Subscription) priceHours(ctx context.Context, tx *tenancy.Tx, from time.Time, off *billing.Discount) (time.Time, error) {
	parts := hourParts(s.Items)
	if s.Cycle != billing.Hourly || len(parts) == 0 {
		return from, nil
	}
	return metering.PriceHours(ctx, tx, s.ID, billing.HourSpan{From: from, Parts: parts, Off: off})
}

// withMonth are the lines of a period with what a full month of the hours in it comes to: what
// discounts are compared by.
func (s Subscription) withMonth(lines []billing.Line) []billing.Line {
	if s.Cycle != billing.Hourly {
		return lines
	}
	for _, it := range s.Items {
		if it.Hour.MonthMinor > 0 {
			month := billing.Money{Minor: it.Hour.MonthMinor, Currency: s.Amount.Currency}
			lines = append(lines, billing.Line{Kind: it.Kind, Quantity: 1, Unit: month, Net: month})
		}
	}
	return lines
}

// Dearer reports whether it costs more than another one of its cycle.
func (s Subscription) Dearer(other Subscription) bool {
	return s.withFullMonth().Minor > other.withFullMonth().Minor
}

// HourlyItems are what is paid by the hour, each by itself.
func (s Subscription) HourlyItems() (all []Item) {
	for _, it := range s.Items {
		if s.Cycle == billing.Hourly && !it.Hour.Rate.IsZero() {
			all = append(all, it)
		}
	}
	return all
}

// HoursOff is what of a month of hours is taken off by the subscription's codes, loyalty or an offer
// now: "20 % off with WELCOME"; empty: nothing.
func (s Subscription) HoursOff() string {
	if s.Cycle != billing.Hourly || !s.Runs() || s.AnchorAt.IsZero() {
		return ""
	}
	d := s.discountAt(s.Period.From)
	if d == nil {
		return ""
	}
	return d.Words("en")
}

// withFullMonth is what a cycle comes to, with a full month of what is paid by the hour.
func (s Subscription) withFullMonth() billing.Money {
	sum := s.Amount
	if hour, ok := s.Hour(); ok {
		sum.Minor += hour.MonthMinor
	}
	return sum
}

// nextFullMonth is what the next period comes to before tax, with what is taken off, and with a full
// month of what is paid by the hour in it.
func (s Subscription) nextFullMonth() billing.Money {
	if s.Cycle != billing.Hourly {
		return s.NextAmount()
	}
	next := s.Next()
	sum := s.pricedFor(next.From).withFullMonth()
	d, err := s.discountFor(next)
	if err != nil || d == nil {
		return sum
	}
	_, off, err := d.Apply(s.pricedFor(next.From).withMonth(s.lines(next)))
	if err != nil {
		return sum
	}
	sum.Minor -= off.Minor
	return sum
}

// betweenHours reports whether a change is one of what is paid by the hour and nothing else: none
// of it is paid ahead, so there is nothing to wait for and nothing to give.
func betweenHours(was, now billing.Terms) bool {
	if was.Cycle != billing.Hourly || now.Cycle != billing.Hourly {
		return false
	}
	for _, p := range append(append([]billing.Part{}, was.Parts...), now.Parts...) {
		if !p.Price.IsZero() {
			return false
		}
	}
	return true
}

// nextHour is the end of the hour in which a time lies, of hours that are counted to the end of
// what is paid: where hours begin within a month, they end with it.
func (s Subscription) nextHour(at time.Time) time.Time {
	begin := billing.HourBegin(s.Period.To, at)
	if begin.Equal(at) {
		return at
	}
	return begin.Add(time.Hour)
}
