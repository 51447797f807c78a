package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// A plan is sold by the hour through a meter on its subscriptions' lives, which its editor
// makes of a price an hour and a number of hours a month.

// hoursCode is the code of the meter that the editor of a plan makes.
const hoursCode = "hours"

// HourPrice is what an hour costs, and what a month does at most.
type HourPrice struct {
	Rate billing.Rate
	Most billing.Money // zero: there is no most
}

// Words say it: "€0.02 an hour, at most €12.00 a month".
func (h HourPrice) Words(locale string) string {
	words := h.Rate.Format(locale) + " an hour"
	if h.Most.Minor > 0 {
		words += ", at most " + h.Most.Format(locale) + " a month"
	}
	return words
}

// Hours is what the meter costs by the hour in a currency; false: it is another kind of
// price.
func (m Meter) Hours(currency string) (h HourPrice, ok bool) {
	t, ok, err := m.Tariff(currency)
	if err != nil || !ok || m.Feed != FeedLife || t.Model != billing.Graduated || t.Included.Sign() > 0 || m.StepMinutes != 60 || len(t.Tiers) > 2 || t.Tiers[0].Flat.Minor > 0 {
		return h, false
	}
	h.Rate = t.Tiers[0].Unit
	if len(t.Tiers) == 1 {
		return h, true
	}
	if last := t.Tiers[1]; !last.Unit.IsZero() || last.Flat.Minor > 0 {
		return h, false
	}
	h.Most, err = h.Rate.Over(t.Tiers[0].UpTo.Num(), t.Tiers[0].UpTo.Denom())
	return h, err == nil
}

// hoursOf is a plan's price by the hour among its meters; nil: it has none in the currency.
func hoursOf(all []Meter, currency string) *HourPrice {
	for _, m := range all {
		if h, ok := m.Hours(currency); ok {
			return &h
		}
	}
	return nil
}

// hourMeter reads the prices by the hour as a meter; nil: none was typed. What is wrong stands
// at hour.<currency> and hours_most.
func (in PlanForm) hourMeter(wrong form) *Meter {
	f := MeterForm{Code: hoursCode, Name: "Hours", Aggregation: string(billing.MeterSessions), Feed: FeedLife, Model: string(billing.Graduated), StepMinutes: "60", Tiers: map[string]string{}}
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
		if rate, err := billing.ParseRate(typed, currency); err != nil || rate.Units <= 0 {
			wrong["hour."+currency] = "Please enter a price such as 0.02 or 0.0042."
			continue
		}
		for cycle, price := range in.Prices[currency] {
			if cycle.Months() > 0 && strings.Trim(strings.TrimSpace(price), "0.") != "" {
				wrong["hour."+currency] = "A plan is sold by the hour or by months. Make another plan of the product for the other."
			}
		}
		if f.Tiers[currency] = typed; most != "" {
			f.Tiers[currency] = most + " | " + typed + "\n0"
		}
	}
	if len(f.Tiers) == 0 {
		return nil
	}
	m, err := f.check()
	if err != nil && len(wrong) == 0 {
		wrong["hours_most"] = cmp.Or(fault.From(err).Message, "Please look at the prices by the hour.")
	}
	return &m
}

// saveHours puts the meter of a plan's prices by the hour in place of the one it has, where it
// differs. Who has the plan keeps what was sold.
func saveHours(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID, want *Meter) error {
	all, err := meters(ctx, tx, "m.plan_id = ? AND m.code = ? AND m.retired_at IS NULL", plan, hoursCode)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(m Meter) bool { return m.Feed == FeedLife })
	if i >= 0 && want != nil && sameTiers(all[i].Tiers, want.Tiers) {
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

// HourForm is a plan's prices by the hour as its form takes them.
func HourForm(all []Meter) (hour map[string]string, most string) {
	hour = map[string]string{}
	for _, m := range all {
		if m.Code != hoursCode || m.Feed != FeedLife || len(m.Tiers) == 0 {
			continue
		}
		for currency, p := range m.Tiers[0].Prices {
			if rate, err := billing.ParseMinorRate(p.Unit, currency); err == nil {
				hour[currency] = rate.Decimal()
			}
		}
		return hour, m.Tiers[0].UpTo
	}
	return hour, ""
}
