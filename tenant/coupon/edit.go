package coupon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// Form is a code as a form sends it.
type Form struct {
	Code          string
	Kind          string
	Stacks        string            // any, kinds; empty: it counts alone
	Percent       string            // "20" or "12.5"
	Amounts       map[string]string // typed, by currency; empty: it does not count in it
	Cycles        string            // 0: all
	Days          string            // by which a trial is longer
	Accounts      string            // addresses of the customers it is for, one a line; empty: all
	Other         bool              // half of those who use it get what stands in the next ones
	OtherPercent  string
	OtherAmounts  map[string]string
	OtherCycles   string
	OtherDays     string
	Setup         bool
	Plans         []string // ids; none: all
	Countries     string   // codes with blanks or commas between them; empty: all
	NewCustomers  bool
	MaxUses       string // empty: as often as one likes
	MaxPerAccount string // empty: as often as one likes
	StartsOn      string // the first day, 2026-12-01; empty: at once
	EndsOn        string // the last day; empty: never
	Note          string
}

// Of is a code as the editor shows it; days are counted in a zone.
func Of(c Coupon, zone *time.Location) Form {
	f := Form{Code: c.Code, Kind: string(c.Kind), Stacks: string(c.Stacks), Amounts: map[string]string{}, Cycles: strconv.Itoa(c.Cycles), Setup: c.Setup, NewCustomers: c.NewCustomers,
		Countries: strings.Join(c.Countries, ", "), Note: c.Note}
	if c.Kind == Percent {
		f.Percent = strings.TrimSuffix(billing.Percent(c.Ppm), " %")
	}
	f.more(c)
	for currency, minor := range c.Amounts {
		f.Amounts[currency] = billing.Money{Minor: minor, Currency: currency}.Decimal()
	}
	for _, id := range c.Plans {
		f.Plans = append(f.Plans, id.String())
	}
	if c.MaxUses > 0 {
		f.MaxUses = strconv.Itoa(c.MaxUses)
	}
	if c.MaxPerAccount > 0 {
		f.MaxPerAccount = strconv.Itoa(c.MaxPerAccount)
	}
	if !c.StartsAt.IsZero() {
		f.StartsOn = c.StartsAt.In(zone).Format(time.DateOnly)
	}
	if !c.EndsAt.IsZero() {
		f.EndsOn = c.EndsAt.In(zone).AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return f
}

// Bounds of what can be entered.
const (
	maxCycles = 120
	maxUses   = 1_000_000
	maxAmount = 10_000_000_00
	maxPlans  = 500
)

type wrong map[string]string

// check reads the form strictly: what is wrong stands at its field.
func (f Form) check(zone *time.Location) (Coupon, error) {
	bad := wrong{}
	c := Coupon{Code: Normal(f.Code), Kind: Kind(f.Kind), Amounts: map[string]int64{}, Setup: f.Setup, NewCustomers: f.NewCustomers, Plans: []uuid.UUID{}, Countries: []string{}}
	if c.Code == "" {
		bad["code"] = "Please use 2 to 32 letters, digits, hyphens and underscores, such as WELCOME20."
	}
	if c.Stacks = Stacks(f.Stacks); c.Stacks != Alone && c.Stacks != WithAny && c.Stacks != OtherKinds {
		bad["stacks"] = "Please choose one of these."
	}
	if f.read(bad, &c, ""); f.Other {
		b := Coupon{Kind: c.Kind, Amounts: map[string]int64{}}
		other := Form{Percent: f.OtherPercent, Amounts: f.OtherAmounts, Cycles: f.OtherCycles, Days: f.OtherDays}
		other.read(bad, &b, "other_")
		c.Other = &Terms{Ppm: b.Ppm, Amounts: b.Amounts, Cycles: b.Cycles, Days: b.Days}
	}
	c.MaxUses, c.MaxPerAccount = bad.limit("max_uses", f.MaxUses), bad.limit("max_per_account", f.MaxPerAccount)
	bad.plans(f.Plans, &c)
	bad.countries(f.Countries, &c)
	c.StartsAt, c.EndsAt = bad.day("starts", f.StartsOn, zone, 0), bad.day("ends", f.EndsOn, zone, 1)
	if !c.StartsAt.IsZero() && !c.EndsAt.IsZero() && !c.StartsAt.Before(c.EndsAt) {
		bad["ends"] = "It would end before it begins."
	}
	if c.Note = line(f.Note); len([]rune(c.Note)) > 200 {
		bad["note"] = "Please use at most 200 characters."
	}
	return c, fault.Fields("coupon.invalid", bad)
}

// percent reads "20" or "12.5" as parts per million.
func (w wrong) percent(typed string) int64 {
	ppm, err := billing.ParsePercent(typed)
	switch {
	case err != nil:
		w["percent"] = "Please enter a percentage such as 20 or 12.5, of at most 100."
	case ppm < 1:
		w["percent"] = "Please enter more than 0 and at most 100."
	}
	return ppm
}

func (w wrong) amounts(typed map[string]string, into map[string]int64) {
	for currency, text := range typed {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		m, err := billing.Parse(text, currency)
		if err != nil || m.Minor < 1 || m.Minor > maxAmount {
			w["amount."+currency] = "Please enter an amount such as 5.00."
			continue
		}
		into[currency] = m.Minor
	}
	if len(into) == 0 && len(w) == 0 {
		w["amounts"] = "Please enter an amount."
	}
}

func (w wrong) number(field, typed string, least, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(typed))
	if err != nil || n < least || n > most {
		w[field] = fmt.Sprintf("Please enter a whole number from %d to %d.", least, most)
		return 0
	}
	return n
}

func (w wrong) limit(field, typed string) int {
	if strings.TrimSpace(typed) == "" {
		return 0
	}
	return w.number(field, typed, 1, maxUses)
}

func (w wrong) plans(typed []string, c *Coupon) {
	for _, text := range typed {
		id, err := uuid.Parse(text)
		if err != nil || len(c.Plans) >= maxPlans {
			w["plans"] = "Please choose from these plans."
			return
		}
		c.Plans = append(c.Plans, id)
	}
}

func (w wrong) countries(typed string, c *Coupon) {
	apart := func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }
	known := place.Countries()
	for _, code := range strings.FieldsFunc(strings.ToUpper(typed), apart) {
		if !slices.ContainsFunc(known, func(x place.Choice) bool { return x.Value == code }) {
			w["countries"] = "Please write codes of countries, such as DE, AT."
			return
		}
		if !slices.Contains(c.Countries, code) {
			c.Countries = append(c.Countries, code)
		}
	}
}

// day is midnight of a day that was typed, and of so many days later.
func (w wrong) day(field, typed string, zone *time.Location, later int) time.Time {
	if strings.TrimSpace(typed) == "" {
		return time.Time{}
	}
	t, err := time.ParseInLocation(time.DateOnly, strings.TrimSpace(typed), zone)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		w[field] = "Please enter a day such as 2027-01-31."
		return time.Time{}
	}
	return t.AddDate(0, 0, later)
}

func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))), " ")
}

// values are the columns of what can be edited, in the order of editable.
func (c Coupon) values() ([]any, error) {
	amounts, err := json.Marshal(c.Amounts)
	if err != nil {
		return nil, err
	}
	plans, err := json.Marshal(c.Plans)
	if err != nil {
		return nil, err
	}
	countries, err := json.Marshal(c.Countries)
	if err != nil {
		return nil, err
	}
	accounts, err := orNull(c.Accounts, len(c.Accounts) == 0)
	if err != nil {
		return nil, err
	}
	other, err := orNull(c.Other, c.Other == nil)
	if err != nil {
		return nil, err
	}
	some := func(n int64) *int64 {
		if n == 0 {
			return nil
		}
		return &n
	}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return []any{c.Kind, some(c.Ppm), string(amounts), c.Cycles, c.Setup, string(plans), string(countries), c.NewCustomers, some(int64(c.MaxUses)), some(int64(c.MaxPerAccount)),
		at(c.StartsAt), at(c.EndsAt), c.Note, some(int64(c.Days)), accounts, other, bun.NullZero(string(c.Stacks))}, nil
}

// Add makes a code, which counts at once unless it says from when. Days are those of the
// zone. Faults: coupon.invalid about its fields, coupon.code_taken.
func Add(ctx context.Context, db *tenancy.DB, f Form, zone *time.Location, by audit.Origin) (string, error) {
	c, err := f.check(zone)
	if err != nil {
		return "", err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := c.name(ctx, tx, f.Accounts); err != nil {
			return err
		}
		values, err := c.values()
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO coupons (code, kind, ppm, amounts, cycles, setup, plans, countries, new_customers, max_uses, max_per_account, starts_at, ends_at, note, days, accounts, other, stacks, uses, state, created_at, changed_at)
			VALUES (?, ?, ?, ?::jsonb, ?, ?, ?::jsonb, ?::jsonb, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?::jsonb, ?, 0, 'active', ?, ?)`, append(append([]any{c.Code}, values...), tx.Now(), tx.Now())...).Exec(ctx)
		if err != nil {
			return fmt.Errorf("add coupon: %w", err)
		}
		return by.Record(ctx, tx, "coupon.added", audit.Target{Kind: "coupon", ID: c.Code}, c.detail())
	})
	if tenancy.IsTaken(err, "coupons_pkey") {
		err = fault.Field("code", "coupon.code_taken", "There is such a code already.")
	}
	return c.Code, err
}

// detail is what the trail keeps of a code.
func (c Coupon) detail() map[string]any {
	return map[string]any{"kind": c.Kind, "ppm": c.Ppm, "amounts": c.Amounts, "cycles": c.Cycles, "max_uses": c.MaxUses, "stacks": c.Stacks, "max_per_account": c.MaxPerAccount,
		"days": c.Days, "accounts": len(c.Accounts), "variants": c.Other != nil,
		"new_customers": c.NewCustomers, "plans": len(c.Plans), "countries": c.Countries}
}

var errNone = fault.New(fault.NotFound, "coupon.not_found", "There is no such code.")

// Change changes the terms of a code for orders from now on; the code itself stays. Faults:
// coupon.invalid about its fields, coupon.not_found.
func Change(ctx context.Context, db *tenancy.DB, f Form, zone *time.Location, by audit.Origin) error {
	if Normal(f.Code) == "" {
		return errNone
	}
	c, err := f.check(zone)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := c.name(ctx, tx, f.Accounts); err != nil {
			return err
		}
		values, err := c.values()
		if err != nil {
			return err
		}
		res, err := tx.NewRaw(`UPDATE coupons SET kind = ?, ppm = ?, amounts = ?::jsonb, cycles = ?, setup = ?, plans = ?::jsonb, countries = ?::jsonb, new_customers = ?, max_uses = ?, max_per_account = ?,
			starts_at = ?, ends_at = ?, note = ?, days = ?, accounts = ?::jsonb, other = ?::jsonb, stacks = ?, changed_at = ? WHERE code = ?`, append(values, tx.Now(), c.Code)...).Exec(ctx)
		if err := found(res, err); err != nil {
			return err
		}
		return by.Record(ctx, tx, "coupon.changed", audit.Target{Kind: "coupon", ID: c.Code}, c.detail())
	})
}

// Switch ends a code, or lets it count again. What was bought with it goes on as it was
// sold. The fault is coupon.not_found.
func Switch(ctx context.Context, db *tenancy.DB, code string, to State, by audit.Origin) error {
	if to != Active {
		to = Off
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw("UPDATE coupons SET state = ?, changed_at = ? WHERE code = ?", to, tx.Now(), Normal(code)).Exec(ctx)
		if err := found(res, err); err != nil {
			return err
		}
		return by.Record(ctx, tx, "coupon.switched", audit.Target{Kind: "coupon", ID: Normal(code)}, map[string]any{"state": to})
	})
}

func found(res interface{ RowsAffected() (int64, error) }, err error) error {
	if err != nil {
		return fmt.Errorf("save coupon: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return errNone
	}
	return nil
}
