package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// What an hour of a plan costs is a meter on the lives of its subscriptions that are paid by
// the hour. The plan's editor makes it, and a row of the cycle hourly among its prices, which
// has the fee for setting up. Plans that were sold by the hour before hours were a cycle have a
// price of nothing a month and a meter on every life: it is read as the cycle, and becomes it
// when the plan is saved.

// hoursCode is the code of the meter that the editor of a plan makes.
const hoursCode = "hours"

// HourPrice is what an hour costs, and what a month does at most.
type HourPrice = billing.HourPrice

// Hours is what the meter costs by the hour in a currency; false: it is another kind of
// price.
func (m Meter) Hours(currency string) (h HourPrice, ok bool) {
	t, ok, err := m.Tariff(currency)
	if err != nil || !ok || !m.OfLife() || m.StepMinutes != 60 {
		return h, false
	}
	return t.HourPrice()
}

// byTheHour makes a price of an hour of a row that stands for one.
func (p *Price) byTheHour(all []Meter) {
	if p.Cycle != Hourly && (p.Cycle != Monthly || !p.Amount.IsZero()) {
		return
	}
	for _, m := range all {
		if p.Cycle == Monthly && m.Feed != FeedLife {
			continue
		}
		if h, ok := m.Hours(p.Amount.Currency); ok {
			p.Cycle, p.Hours = Hourly, &h
			return
		}
	}
}

// Shown are the plan's prices as they are sold: what stands for hours is of their cycle.
func (p FullPlan) Shown() []FullPrice {
	out := slices.Clone(p.Prices)
	for i, x := range out {
		price := Price{Cycle: x.Cycle, Amount: billing.Money{Minor: x.Amount, Currency: x.Currency}}
		price.byTheHour(p.Meters)
		out[i].Cycle = price.Cycle
	}
	return out
}

// byTheHour reports whether a price of an hour was typed.
func (in PlanForm) byTheHour() bool {
	for _, typed := range in.Hour {
		if strings.TrimSpace(typed) != "" {
			return true
		}
	}
	return false
}

// hourMeter reads the prices by the hour as a meter; nil: none was typed. What is wrong stands
// at hour.<currency>, hour_most.<currency> and hours_most.
func (in PlanForm) hourMeter(wrong form) *Meter {
	f := MeterForm{Code: hoursCode, Name: "Hours", Aggregation: string(billing.MeterSessions), Feed: FeedHours, Model: string(billing.Graduated), StepMinutes: "60", Tiers: map[string]string{}, Most: map[string]string{}}
	most := strings.TrimSpace(in.HoursMost)
	if most != "" {
		if n := wrong.number("hours_most", most, 1, 744); n > 0 {
			most = fmt.Sprint(n)
		}
	}
	for currency, typed := range in.Hour {
		if typed = strings.TrimSpace(typed); typed == "" {
			continue
		}
		rate, err := billing.ParseRate(typed, currency)
		if err != nil || rate.Units <= 0 {
			wrong["hour."+currency] = "Please enter a price such as 0.02 or 0.0042."
			continue
		}
		if whole, err := rate.Over(big.NewInt(744), big.NewInt(1)); err != nil || whole.Minor > MaxPrice {
			wrong["hour."+currency] = "This is more than can be charged."
			continue
		}
		for cycle, price := range in.Prices[currency] {
			if price = strings.TrimSpace(price); cycle.Months() > 0 && price != "" && strings.Trim(price, "0.") == "" {
				wrong["price."+currency+"."+string(cycle)] = "Paid so, it would cost nothing. Leave it empty: hours have a price of their own."
			}
		}
		if f.Tiers[currency] = typed; most != "" {
			f.Tiers[currency] = most + " | " + typed + "\n0"
		}
		if limit := strings.TrimSpace(in.HourCap[currency]); limit != "" {
			if m, err := billing.Parse(limit, currency); err != nil || m.Minor <= 0 || m.Minor > MaxPrice {
				wrong["hour_most."+currency] = "Please enter an amount such as 12.50."
			}
			f.Most[currency] = limit
		}
	}
	if len(f.Tiers) == 0 {
		return nil
	}
	if len(wrong) > 0 {
		return nil
	}
	m, err := f.check()
	if err != nil {
		wrong["hours_most"] = cmp.Or(fault.From(err).Message, "Please look at the prices by the hour.")
		return nil
	}
	return &m
}

// ReadHour reads what was typed for an hour and for the most a month, which may be empty. What is
// wrong stands at the field amount or most; empty: nothing is.
func ReadHour(typed, most, currency string) (h HourPrice, field, words string) {
	rate, err := billing.ParseRate(strings.TrimSpace(typed), currency)
	if err != nil || rate.Units <= 0 {
		return h, "amount", "Please enter a price such as 0.02 or 0.0042."
	}
	if whole, err := rate.Over(big.NewInt(744), big.NewInt(1)); err != nil || whole.Minor > MaxPrice {
		return h, "amount", "This is more than can be charged."
	}
	h = HourPrice{Rate: rate, Most: billing.Money{Currency: currency}}
	if most = strings.TrimSpace(most); most != "" {
		if h.Most, err = billing.Parse(most, currency); err != nil || h.Most.Minor < 0 || h.Most.Minor > MaxPrice {
			return h, "most", "Please enter an amount such as 12.50."
		}
	}
	return h, "", ""
}

// PriceHours puts prices of an hour, by currency, in place of those a plan has, for who buys from
// now on; other currencies stay.
func PriceHours(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID, prices map[string]HourPrice) error {
	all, err := meters(ctx, tx, "m.plan_id = ? AND m.code = ? AND m.feed = ? AND m.retired_at IS NULL", plan, hoursCode, FeedHours)
	if err != nil || len(all) == 0 || len(all[0].Tiers) == 0 {
		return err
	}
	want := all[0]
	tier := MeterTier{Prices: map[string]MeterPrice{}}
	for currency := range want.Tiers[0].Prices {
		h, ok := want.Hours(currency)
		if now, changed := prices[currency]; changed {
			h, ok = now, true
		}
		if ok {
			tier.Prices[currency] = MeterPrice{Unit: h.Rate.Minor(), Most: h.Most.Minor}
		}
	}
	want.Tiers = []MeterTier{tier}
	return saveHours(ctx, tx, plan, &want)
}

// HourMonths are what a full month of hours costs in each currency for which a price of an hour
// was typed that can be read.
func (in PlanForm) HourMonths() (all []billing.Money) {
	m := in.hourMeter(form{})
	if m == nil {
		return nil
	}
	for _, currency := range slices.Sorted(maps.Keys(in.Hour)) {
		if h, ok := m.Hours(currency); ok {
			if month, err := h.Month(); err == nil {
				all = append(all, month)
			}
		}
	}
	return all
}

// saveHours puts the meter of a plan's prices by the hour in place of the one it has, where it
// differs. Who has the plan keeps what was sold.
func saveHours(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID, want *Meter) error {
	all, err := meters(ctx, tx, "m.plan_id = ? AND m.code = ? AND m.retired_at IS NULL", plan, hoursCode)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, Meter.OfLife)
	if i >= 0 && want != nil && all[i].Feed == want.Feed && sameTiers(all[i].Tiers, want.Tiers) {
		return nil
	}
	if i >= 0 {
		if _, err := retire(ctx, tx, all[i].ID); err != nil {
			return err
		}
	}
	if want == nil {
		return nil
	}
	want.PlanID, want.CreatedAt = plan, tx.Now()
	if want.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	return want.write(ctx, tx)
}

func sameTiers(a, b []MeterTier) bool {
	return slices.EqualFunc(a, b, func(x, y MeterTier) bool {
		if x.UpTo != y.UpTo || len(x.Prices) != len(y.Prices) {
			return false
		}
		for currency, p := range x.Prices {
			if y.Prices[currency] != p {
				return false
			}
		}
		return true
	})
}

// HourForm is a plan's prices by the hour as its form takes them: an hour and the most a month
// by currency, and the most as hours.
func HourForm(all []Meter) (hour, limit map[string]string, most string) {
	hour, limit = map[string]string{}, map[string]string{}
	for _, m := range all {
		if m.Code != hoursCode || !m.OfLife() || len(m.Tiers) == 0 {
			continue
		}
		for currency, p := range m.Tiers[0].Prices {
			rate, err := billing.ParseMinorRate(p.Unit, currency)
			if err != nil {
				continue
			}
			if hour[currency] = rate.Decimal(); p.Most > 0 {
				limit[currency] = billing.Money{Minor: p.Most, Currency: currency}.Decimal()
			}
		}
		return hour, limit, m.Tiers[0].UpTo
	}
	return hour, limit, ""
}
