package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Who tells what a meter measures.
const (
	FeedAPI     = "api"     // programs of the shop
	FeedPower   = "power"   // the service, by being switched on and off
	FeedTraffic = "traffic" // the service, by what goes over its network
	FeedLife    = "life"    // the subscription, from its begin to its end, however it is paid
	FeedHours   = "hours"   // the subscription, from its begin to its end, where it is paid by the hour
)

// Meter is what a plan is billed by besides its price: how events become a quantity a
// month, and what the quantity costs. A meter is never changed. Another takes its place,
// and whoever bought the plan before keeps the old one.
type Meter struct {
	ID          uuid.UUID           `json:"id"`
	PlanID      uuid.UUID           `json:"plan_id"`
	Code        string              `json:"code"`
	Name        string              `json:"name"`
	Unit        string              `json:"unit"`
	Aggregation billing.Aggregation `json:"aggregation"`
	Attribute   string              `json:"attribute"` // whose value is counted once, or names a session
	StepMinutes int                 `json:"step_minutes"`
	Feed        string              `json:"feed"`
	Model       billing.TierModel   `json:"model"`
	Package     string              `json:"package"` // units of one package; empty: none
	Included    string              `json:"included"`
	Capped      bool                `json:"capped"` // no more than what is included is taken
	Tiers       []MeterTier         `json:"tiers"`
	Position    int                 `json:"position"`
	CreatedAt   time.Time           `json:"created_at"`
	RetiredAt   *time.Time          `json:"retired_at,omitempty"` // nil: it is sold
}

// MeterTier is a step of the price. UpTo is counted after what is included; empty: the last.
type MeterTier struct {
	UpTo   string                `json:"up_to,omitempty"`
	Prices map[string]MeterPrice `json:"prices"` // by currency
}

// MeterPrice is what a unit costs in minor units, as a decimal, and what the tier costs
// once it is reached.
type MeterPrice struct {
	Unit string `json:"unit"`
	Flat int64  `json:"flat,omitempty"`
	Most int64  `json:"most,omitempty"` // of the first tier: all tiers cost no more a month
}

// Step is how long a begun part of a session is billed at least.
func (m Meter) Step() time.Duration { return time.Duration(m.StepMinutes) * time.Minute }

// Tariff is what the meter costs in a currency; false where it has no price in it.
func (m Meter) Tariff(currency string) (t billing.Tariff, ok bool, err error) {
	t = billing.Tariff{Model: m.Model}
	if t.Included, err = billing.ParseQuantity(m.Included); err != nil {
		return t, false, err
	}
	if m.Package != "" {
		if t.Package, err = billing.ParseQuantity(m.Package); err != nil {
			return t, false, err
		}
	}
	for _, x := range m.Tiers {
		p, has := x.Prices[currency]
		if !has {
			return t, false, nil
		}
		tier := billing.Tier{Flat: billing.Money{Minor: p.Flat, Currency: currency}}
		if p.Flat == 0 {
			tier.Flat = billing.Money{}
		}
		if p.Most > 0 {
			t.Most = billing.Money{Minor: p.Most, Currency: currency}
		}
		if tier.Unit, err = billing.ParseMinorRate(p.Unit, currency); err != nil {
			return t, false, err
		}
		if x.UpTo != "" {
			if tier.UpTo, err = billing.ParseQuantity(x.UpTo); err != nil {
				return t, false, err
			}
		}
		t.Tiers = append(t.Tiers, tier)
	}
	return t, true, t.Check()
}

// Amount writes a quantity with the meter's unit: "1,250 GB".
func (m Meter) Amount(q *big.Rat) string {
	s := billing.FormatQuantity(q)
	if m.Aggregation == billing.MeterSessions {
		if s == "1" {
			return s + " hour"
		}
		return s + " hours"
	}
	return strings.TrimSpace(s + " " + m.Unit)
}

// per is the unit as it is priced.
func (m Meter) per() string {
	if m.Aggregation == billing.MeterSessions {
		return " an hour"
	}
	if m.Unit == "" {
		return " each"
	}
	return " per " + m.Unit
}

// Words says in plain words what the meter costs in a currency; empty: it is not sold so.
func (m Meter) Words(currency, locale string) string {
	t, ok, err := m.Tariff(currency)
	if err != nil || !ok {
		return ""
	}
	var parts []string
	if t.Included.Sign() > 0 {
		parts = append(parts, m.Amount(t.Included)+" a month included")
	}
	if m.Capped {
		if len(parts) == 0 {
			return "none"
		}
		return parts[0] + ", no more than that"
	}
	if h, ok := m.Hours(currency); ok {
		return h.Words(locale) + ", each hour that is begun"
	}
	parts = append(parts, m.priceWords(t, locale)...)
	if t.Most.Minor > 0 {
		parts = append(parts, "at most "+t.Most.Format(locale)+" a month")
	}
	if m.Aggregation == billing.MeterSessions {
		parts = append(parts, fmt.Sprintf("billed in steps of %d minutes", m.StepMinutes))
	}
	return strings.Join(parts, ", ")
}

func (m Meter) priceWords(t billing.Tariff, locale string) (parts []string) {
	then := ""
	if t.Included.Sign() > 0 {
		then = "then "
	}
	if t.Model == billing.Packages {
		return []string{then + t.Tiers[0].Unit.Format(locale) + " for each " + m.Amount(t.Package) + " begun"}
	}
	for i, x := range t.Tiers {
		text := x.Unit.Format(locale) + m.per()
		if x.Flat.Minor > 0 {
			text += " and " + x.Flat.Format(locale) + " once"
		}
		switch {
		case len(t.Tiers) == 1:
			text = then + text
		case t.Model == billing.Volume && x.UpTo != nil:
			text = text + " for all of it up to " + m.Amount(x.UpTo)
		case t.Model == billing.Volume:
			text += " for all of it beyond"
		case x.UpTo != nil && i == 0:
			text = then + text + " for the first " + m.Amount(x.UpTo)
		case x.UpTo != nil:
			text += " up to " + m.Amount(x.UpTo)
		default:
			text += " for what is more"
		}
		parts = append(parts, text)
	}
	return parts
}

// MeterJSON is a meter m as a statement of another package reads it along, for Meter.
const MeterJSON = meterJSON

const meterJSON = `jsonb_build_object('id', m.id, 'plan_id', m.plan_id, 'code', m.code, 'name', m.name, 'unit', m.unit, 'aggregation', m.aggregation, 'attribute', m.attribute,
	'step_minutes', m.step_minutes, 'feed', m.feed, 'model', m.model, 'package', coalesce(m.package::text, ''), 'included', m.included::text, 'capped', m.capped,
	'tiers', m.tiers, 'position', m.position, 'created_at', m.created_at, 'retired_at', m.retired_at)`

// Meters are meters by their ids, retired ones too.
func Meters(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) ([]Meter, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return meters(ctx, tx, "m.id IN (?)", bun.List(ids))
}

// MetersOf are the meters plans ever had, the retired ones too, in order.
func MetersOf(ctx context.Context, tx *tenancy.Tx, plans []uuid.UUID) ([]Meter, error) {
	if len(plans) == 0 {
		return nil, nil
	}
	return meters(ctx, tx, "m.plan_id IN (?)", bun.List(plans))
}

// Counts reports whether the meter counts for what is paid by a cycle: what an hour costs only
// for what is paid by the hour.
func (m Meter) Counts(c Cycle) bool { return m.Feed != FeedHours || c == Hourly }

// OfLife reports whether the subscription tells it, from its begin to its end.
func (m Meter) OfLife() bool { return m.Feed == FeedLife || m.Feed == FeedHours }

// SoldAt are those of a plan's meters that somebody who got it at a time, by a cycle, has.
func SoldAt(all []Meter, plan uuid.UUID, c Cycle, at time.Time) (found []Meter) {
	for _, m := range all {
		if m.PlanID == plan && m.Counts(c) && !m.CreatedAt.After(at) && (m.RetiredAt == nil || m.RetiredAt.After(at)) {
			found = append(found, m)
		}
	}
	return found
}

var errNoMeter = fault.New(fault.NotFound, "meter.not_found", "There is no such meter.")

// MeterByID is one meter. The fault is meter.not_found.
func MeterByID(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Meter, error) {
	all, err := Meters(ctx, tx, []uuid.UUID{id})
	if err == nil && len(all) == 0 {
		err = errNoMeter
	}
	if err != nil {
		return Meter{}, err
	}
	return all[0], nil
}

func meters(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]Meter, error) {
	var raw string
	err := tx.NewRaw("SELECT coalesce(jsonb_agg("+meterJSON+" ORDER BY m.position, m.code, m.created_at), '[]')::text FROM meters m WHERE "+where, args...).Scan(ctx, &raw)
	if err != nil {
		return nil, fmt.Errorf("read meters: %w", err)
	}
	var all []Meter
	if err := json.Unmarshal([]byte(raw), &all); err != nil {
		return nil, fmt.Errorf("read meters: %w", err)
	}
	return all, nil
}
