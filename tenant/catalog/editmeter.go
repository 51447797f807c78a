package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MeterForm is a meter as a form sends it. Tiers are, by currency, lines of
// "up to | price of a unit | fee once"; the last has no "up to". One price alone is all
// of it.
type MeterForm struct {
	ID          uuid.UUID // zero: a new one; otherwise the one whose place it takes
	PlanID      uuid.UUID
	Code        string
	Name        string
	Unit        string
	Aggregation string
	Attribute   string
	StepMinutes string
	Feed        string
	Model       string
	Package     string
	Included    string
	Capped      bool
	Position    string
	Tiers       map[string]string
	Most        map[string]string // that a month costs at most, by currency; empty: there is no most
}

// MeterAggregations are the ways to count with what people read.
func MeterAggregations() [][2]string {
	return [][2]string{{"sum", "The sum of all values"}, {"max", "The largest value of the month"}, {"last", "The latest value of the month"}, {"unique", "How many different values an attribute has"},
		{"time_weighted", "A value that holds until the next, averaged over the month"}, {"sessions", "The time between start and stop, in hours"}}
}

// MeterModels are the ways of a price with what people read.
func MeterModels() [][2]string {
	return [][2]string{{"graduated", "Each tier at its own price"}, {"volume", "All at the price of the tier that is reached"}, {"package", "Packages, each begun one in full"}}
}

// MeterFeeds are who can tell, with what people read.
func MeterFeeds() [][2]string {
	return [][2]string{{FeedAPI, "Your programs, by the API"}, {FeedPower, "The service, by being switched on and off"}, {FeedTraffic, "The service, by what goes over its network"}, {FeedLife, "The subscription, from its begin to its end"}, {FeedHours, "The subscription, where it is paid by the hour"}}
}

// maxTiers bounds a meter, and most of its lists.
const (
	maxTiers  = 20
	maxMeters = 20
)

func among(all [][2]string, v string) bool {
	return slices.ContainsFunc(all, func(x [2]string) bool { return x[0] == v })
}

func (in MeterForm) check() (m Meter, err error) {
	wrong := form{}
	m = Meter{ID: in.ID, PlanID: in.PlanID, Code: strings.ToLower(line(in.Code)), Name: wrong.text("name", in.Name, 60, "Please say what is measured."), Unit: wrong.text("unit", in.Unit, 20, ""),
		Aggregation: billing.Aggregation(in.Aggregation), Feed: in.Feed, Model: billing.TierModel(in.Model), Capped: in.Capped, Position: wrong.number("position", in.Position, 0, 9999)}
	if !optionCodes.MatchString(m.Code) {
		wrong["code"] = "Please use lower-case letters, digits and underscores, such as traffic_gb."
	}
	for _, x := range []struct {
		field, value string
		all          [][2]string
	}{{"aggregation", in.Aggregation, MeterAggregations()}, {"model", in.Model, MeterModels()}, {"feed", in.Feed, MeterFeeds()}} {
		if !among(x.all, x.value) {
			wrong[x.field] = "Please choose one of these."
		}
	}
	m.Included, m.Package = in.quantity(wrong, "included", in.Included, "0"), ""
	if m.Model == billing.Packages {
		if m.Package = in.quantity(wrong, "package", in.Package, ""); strings.Trim(m.Package, "0.") == "" && wrong["package"] == "" {
			wrong["package"] = "Please say how much one package holds."
		}
	}
	switch m.Aggregation {
	case billing.MeterSessions:
		if m.StepMinutes = wrong.number("step_minutes", in.StepMinutes, 1, 1440); strings.TrimSpace(in.StepMinutes) == "" {
			if m.StepMinutes = 15; m.OfLife() {
				m.StepMinutes = 60
			}
		}
		m.Unit, m.Attribute = "hour", "session"
	case billing.MeterUnique:
		if m.Attribute = strings.ToLower(line(in.Attribute)); !optionCodes.MatchString(m.Attribute) {
			wrong["attribute"] = "Please name the attribute whose values are counted, such as user_id."
		}
	}
	if (m.Feed == FeedPower || m.OfLife()) && m.Aggregation != billing.MeterSessions {
		wrong["feed"] = "What a service tells is time: count start and stop."
	}
	if m.Feed == FeedTraffic {
		m.Unit = "GB"
		if m.Aggregation != billing.MeterSum {
			wrong["feed"] = "Traffic is told piece by piece: count all values together."
		}
		if m.Capped {
			wrong["capped"] = "Traffic that went over the network cannot be refused afterwards."
		}
	}
	if m.Capped && m.Aggregation != billing.MeterSum && m.Aggregation != billing.MeterUnique {
		wrong["capped"] = "Only sums and different values can be capped."
	}
	m.Tiers = in.tiers(wrong)
	return m, fault.Fields("meter.invalid", wrong)
}

func (in MeterForm) quantity(wrong form, field, typed, empty string) string {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return empty
	}
	if _, err := billing.ParseQuantity(typed); err != nil {
		wrong[field] = "Please enter a number such as 1000 or 0.5."
		return empty
	}
	return typed
}

// tiers reads every currency's lines, which must have the same steps.
func (in MeterForm) tiers(wrong form) (all []MeterTier) {
	var currencies []string
	for currency, text := range in.Tiers {
		if strings.TrimSpace(text) != "" {
			currencies = append(currencies, currency)
		}
	}
	slices.Sort(currencies)
	for _, currency := range currencies {
		field := "tiers." + currency
		upTo, prices, bad := readTiers(in.Tiers[currency], currency)
		if bad != "" {
			wrong[field] = bad
			continue
		}
		if all == nil {
			all = make([]MeterTier, len(upTo))
			for i := range upTo {
				all[i] = MeterTier{UpTo: upTo[i], Prices: map[string]MeterPrice{}}
			}
		}
		if len(all) != len(upTo) {
			wrong[field] = "Please write the same steps in every currency."
			continue
		}
		for i := range upTo {
			if all[i].UpTo != upTo[i] {
				wrong[field] = "Please write the same steps in every currency."
			}
			all[i].Prices[currency] = prices[i]
		}
		in.most(wrong, all, currency)
		m := Meter{Model: billing.TierModel(in.Model), Included: "0", Tiers: all}
		if m.Model == billing.Packages {
			m.Package = "1"
		}
		if _, _, err := m.Tariff(currency); errors.Is(err, billing.ErrTariff) && wrong[field] == "" {
			wrong[field] = "Steps grow, and only the last has no end. Packages have one price."
		}
	}
	if len(currencies) == 0 {
		wrong["tiers"] = "Please enter what it costs in at least one currency."
	}
	return all
}

// most reads what a month costs at most, which stands with the first tier.
func (in MeterForm) most(wrong form, all []MeterTier, currency string) {
	if minor := wrong.amount("most."+currency, in.Most[currency], currency); minor > 0 {
		first := all[0].Prices[currency]
		first.Most = minor
		all[0].Prices[currency] = first
	}
}

// MeterMost is what a month of a meter costs at most in a currency as the form takes it.
func MeterMost(m Meter, currency string) string {
	if len(m.Tiers) == 0 || m.Tiers[0].Prices[currency].Most == 0 {
		return ""
	}
	return billing.Money{Minor: m.Tiers[0].Prices[currency].Most, Currency: currency}.Decimal()
}

func readTiers(text, currency string) (upTo []string, prices []MeterPrice, bad string) {
	const say = "Please write lines such as 100 | 0.05, and for the rest only a price."
	for _, raw := range strings.Split(text, "\n") {
		if raw = line(raw); raw == "" {
			continue
		}
		parts := strings.Split(raw, "|")
		if len(parts) == 1 {
			parts = []string{"", parts[0]}
		}
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if len(parts) > 3 || len(prices) >= maxTiers {
			return nil, nil, say
		}
		if parts[0] != "" {
			if _, err := billing.ParseQuantity(parts[0]); err != nil {
				return nil, nil, say
			}
		}
		rate, err := billing.ParseRate(parts[1], currency)
		if err != nil {
			return nil, nil, say
		}
		p := MeterPrice{Unit: rate.Minor()}
		if len(parts) == 3 && parts[2] != "" {
			flat, err := billing.Parse(parts[2], currency)
			if err != nil || flat.Minor < 0 || flat.Minor > MaxPrice {
				return nil, nil, say
			}
			p.Flat = flat.Minor
		}
		upTo, prices = append(upTo, parts[0]), append(prices, p)
	}
	return upTo, prices, ""
}

// TierLines writes a meter's prices in a currency as the form takes them.
func TierLines(m Meter, currency string) string {
	var out []string
	for _, x := range m.Tiers {
		p, ok := x.Prices[currency]
		if !ok {
			return ""
		}
		rate, err := billing.ParseMinorRate(p.Unit, currency)
		if err != nil {
			return ""
		}
		text := rate.Decimal()
		if x.UpTo != "" || p.Flat > 0 {
			text = x.UpTo + " | " + text
		}
		if p.Flat > 0 {
			text += " | " + billing.Money{Minor: p.Flat, Currency: currency}.Decimal()
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

// SaveMeter adds a meter to a plan, or retires one and puts another in its place: who has
// the plan keeps the one it was sold with. Faults: meter.invalid about its fields,
// meter.code_taken, meter.not_found, meter.too_many, plan.not_found.
func SaveMeter(ctx context.Context, db *tenancy.DB, in MeterForm, by audit.Origin) (Meter, error) {
	m, err := in.check()
	if err != nil {
		return Meter{}, err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		action := "meter.added"
		m.CreatedAt = tx.Now()
		if in.ID != uuid.Nil {
			action = "meter.changed"
			if m.PlanID, err = retire(ctx, tx, in.ID); err != nil {
				return err
			}
		}
		if m.ID, err = uuid.NewV7(); err != nil {
			return err
		}
		if err := m.write(ctx, tx); err != nil {
			return err
		}
		return changed(ctx, tx, by, action, audit.Target{Kind: "plan", ID: m.PlanID.String()}, map[string]any{"meter": m.Code, "name": m.Name, "included": m.Included, "tiers": m.Tiers})
	})
	if tenancy.IsTaken(err, "meters_of_plan") {
		err = fault.Field("code", "meter.code_taken", "Another meter of this plan has this code.")
	}
	return m, err
}

func (m Meter) write(ctx context.Context, tx *tenancy.Tx) error {
	tiers, err := json.Marshal(m.Tiers)
	if err != nil {
		return err
	}
	res, err := tx.NewRaw(`INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, package, included, capped, tiers, position, created_at)
		SELECT ?0, p.id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10::numeric, ?11::numeric, ?12, ?13::jsonb, ?14, ?15 FROM plans p
		WHERE p.id = ?1 AND (SELECT count(*) FROM meters x WHERE x.plan_id = p.id AND x.retired_at IS NULL) < ?16`,
		m.ID, m.PlanID, m.Code, m.Name, m.Unit, string(m.Aggregation), m.Attribute, m.StepMinutes, m.Feed, string(m.Model), bun.NullZero(m.Package), m.Included, m.Capped,
		string(tiers), m.Position, m.CreatedAt, maxMeters).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save a meter: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	var there bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM plans WHERE id = ?)", m.PlanID).Scan(ctx, &there); err != nil {
		return fmt.Errorf("look for the plan: %w", err)
	}
	if !there {
		return errNoPlan
	}
	return fault.New(fault.Conflict, "meter.too_many", fmt.Sprintf("A plan has at most %d meters.", maxMeters))
}

func retire(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (plan uuid.UUID, err error) {
	err = tx.NewRaw("UPDATE meters SET retired_at = ? WHERE id = ? AND retired_at IS NULL RETURNING plan_id", tx.Now(), id).Scan(ctx, &plan)
	if tenancy.IsNoRows(err) {
		return uuid.Nil, errNoMeter
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("retire a meter: %w", err)
	}
	return plan, nil
}

// RetireMeter sells a plan without a meter from now on; who has it keeps it. The fault is
// meter.not_found.
func RetireMeter(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) (plan uuid.UUID, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if plan, err = retire(ctx, tx, id); err != nil {
			return err
		}
		return changed(ctx, tx, by, "meter.retired", audit.Target{Kind: "plan", ID: plan.String()}, map[string]any{"meter": id})
	})
	return plan, err
}
