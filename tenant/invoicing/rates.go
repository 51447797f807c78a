package invoicing

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// RatePlace is what a rate is for; one rate of it holds at a time.
type RatePlace struct {
	Country  string
	Region   string           // its code; empty: the whole country
	Class    string           // of billing.Classes
	Customer billing.Customer // empty: everybody
}

// OwnRate is a rate of tax that the shop entered: it stands before the built-in one of its
// country while it holds.
type OwnRate struct {
	RatePlace
	Adds      bool   // of a region: on top of the country's
	Name      string // VAT, GST
	Percent   string // 19, 8.1
	ValidFrom time.Time
	ValidTo   *time.Time // the first day it no longer holds; nil: it goes on
	Source    string     // where it is from, for who checks it
}

// Holds reports whether the rate counts at a time.
func (r OwnRate) Holds(at time.Time) bool {
	return !r.ValidFrom.After(at) && (r.ValidTo == nil || at.Before(*r.ValidTo))
}

// MostRates is how many rates a shop may have.
const MostRates = 1000

// OwnRates are the shop's own rates, those of a place together and the latest first.
func OwnRates(ctx context.Context, tx *tenancy.Tx) (all []OwnRate, err error) {
	var rows []struct {
		Country, Region, Class, Customer, Name, Percent, Source string
		Adds                                                    bool
		ValidFrom                                               time.Time
		ValidTo                                                 *time.Time
	}
	err = tx.NewRaw(`SELECT country, region, split_part(class, '@', 1) AS class, split_part(class, '@', 2) AS customer, coalesce(adds, false) AS adds, name, trim_scale(percent)::text AS percent, valid_from, valid_to, source
		FROM tax_rates ORDER BY country, region, tax_rates.class, valid_from DESC LIMIT ?`, MostRates).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the rates of tax: %w", err)
	}
	for _, r := range rows {
		all = append(all, OwnRate{RatePlace{r.Country, r.Region, r.Class, billing.Customer(r.Customer)}, r.Adds, r.Name, r.Percent, r.ValidFrom, r.ValidTo, r.Source})
	}
	return all, nil
}

// NewRate is a rate as it is typed.
type NewRate struct {
	RatePlace             // Region by name or letters
	Adds                  bool
	Name, Percent, Source string
	From                  time.Time // a day, UTC; zero: not given
}

var percentForm = regexp.MustCompile(`^\d{1,3}(\.\d{1,4})?$`)

func (n *NewRate) check() error {
	wrong := map[string]string{}
	n.RatePlace.check(wrong)
	if n.Adds && n.Region == "" {
		wrong["adds"] = "Only the rate of a region comes on top of its country's."
	}
	n.Percent = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(n.Percent), "%"))
	if v, err := strconv.ParseFloat(n.Percent, 64); err != nil || !percentForm.MatchString(n.Percent) || v > 100 {
		wrong["percent"] = "Enter a percentage from 0 to 100 such as 19 or 8.1."
	}
	if n.Name = strings.TrimSpace(n.Name); n.Name == "" || len([]rune(n.Name)) > 20 {
		wrong["name"] = "Enter what stands on invoices, such as VAT, in at most 20 characters."
	}
	if n.Source = strings.TrimSpace(n.Source); len([]rune(n.Source)) > 120 {
		wrong["source"] = "Please use at most 120 characters."
	}
	if n.Source == "" {
		n.Source = "entered by the shop"
	}
	if n.From.IsZero() {
		wrong["from"] = "Choose the day from which it holds."
	}
	return fault.Fields("tax_rate.invalid", wrong)
}

func (p *RatePlace) check(wrong map[string]string) {
	p.Country = strings.ToUpper(strings.TrimSpace(p.Country))
	if !place.IsCountry(p.Country) {
		wrong["country"] = "Choose a country from the list."
	}
	if p.Region = strings.TrimSpace(p.Region); p.Region != "" {
		code, known := place.RegionCode(p.Country, p.Region)
		switch {
		case known:
			p.Region = code
		case place.NeedsRegion(p.Country):
			wrong["region"] = "Give a state or province of " + place.CountryName(p.Country) + ", by its name or its letters."
		default:
			wrong["region"] = "Regions have rates of their own in the United States, Canada and India only. Leave this empty."
		}
	}
	if p.Class == "" {
		p.Class = billing.Standard
	}
	if !slices.Contains(billing.Classes(), p.Class) {
		wrong["class"] = "Choose a class from the list."
	}
	if p.Customer != billing.Anybody && p.Customer != billing.Businesses && p.Customer != billing.Consumers {
		wrong["customer"] = "Choose from the list."
	}
}

// classColumn is a class as the table keeps it: with the kind of customer behind it, so
// that the key tells rates apart.
const classColumn = "?2 || CASE ?3 WHEN '' THEN '' ELSE '@' || ?3 END"

const ratePlaceIs = "country = ?0 AND region = ?1 AND class = " + classColumn

// SetRate enters a rate from a day on: the one before it ends there, and it ends where a
// later one begins. What was issued does not change. Faults: tax_rate.invalid,
// tax_rate.too_many.
func SetRate(ctx context.Context, db *tenancy.DB, n NewRate, by audit.Origin) error {
	if err := n.check(); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var count int
		if err := tx.NewRaw("SELECT count(*) FROM tax_rates").Scan(ctx, &count); err != nil {
			return fmt.Errorf("count the rates of tax: %w", err)
		}
		if count >= MostRates {
			return fault.New(fault.Conflict, "tax_rate.too_many", "There are as many rates as there can be. Take some out first.")
		}
		// The one before gives way; two that enter at once meet in the primary key.
		_, err := tx.NewRaw("UPDATE tax_rates SET valid_to = ?4 WHERE "+ratePlaceIs+" AND valid_from < ?4 AND (valid_to IS NULL OR valid_to > ?4)",
			n.Country, n.Region, n.Class, string(n.Customer), n.From).Exec(ctx)
		if err != nil {
			return fmt.Errorf("end the rate before: %w", err)
		}
		done, err := tx.NewRaw(`INSERT INTO tax_rates (country, region, class, name, percent, valid_from, valid_to, source, adds)
			SELECT ?0, ?1, `+classColumn+`, ?5, ?6::numeric, ?4, (SELECT min(valid_from) FROM tax_rates WHERE `+ratePlaceIs+` AND valid_from > ?4), ?7, nullif(?8, false)
			ON CONFLICT DO NOTHING`, n.Country, n.Region, n.Class, string(n.Customer), n.From, n.Name, n.Percent, n.Source, n.Adds).Exec(ctx)
		if err != nil {
			return fmt.Errorf("enter a rate of tax: %w", err)
		}
		if rows, err := done.RowsAffected(); err != nil || rows == 0 {
			return fault.Fields("tax_rate.invalid", map[string]string{"from": "A rate begins on that day already. End it first, or choose another day."})
		}
		if err := TellHeldTax(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "tax_rate.set", audit.Target{Kind: "settings", ID: "tax"}, map[string]any{
			"country": n.Country, "region": n.Region, "class": n.Class, "customer": string(n.Customer), "adds": n.Adds, "name": n.Name, "percent": n.Percent, "from": n.From.Format(time.DateOnly),
		})
	})
}

// EndRate ends a rate today; one that has not begun is taken out, and the one before it
// goes on: so what is planned is corrected. A rate that is not there, or has ended, is
// left as it is.
func EndRate(ctx context.Context, db *tenancy.DB, p RatePlace, from time.Time, by audit.Origin) error {
	p.check(map[string]string{}) // what is no place has no rate
	at := []any{p.Country, p.Region, p.Class, string(p.Customer)}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		today := tx.Now().UTC().Truncate(24 * time.Hour)
		var gone int64
		var err error
		if !from.Before(today) {
			var found struct{ Until *time.Time }
			err = tx.NewRaw("DELETE FROM tax_rates WHERE "+ratePlaceIs+" AND valid_from = ?4 RETURNING valid_to AS until", append(at, from)...).Scan(ctx, &found)
			if tenancy.IsNoRows(err) {
				return nil
			}
			if gone = 1; err == nil {
				_, err = tx.NewRaw("UPDATE tax_rates SET valid_to = ?5 WHERE "+ratePlaceIs+" AND valid_to = ?4", append(at, from, found.Until)...).Exec(ctx)
			}
		} else {
			done, failed := tx.NewRaw("UPDATE tax_rates SET valid_to = ?5 WHERE "+ratePlaceIs+" AND valid_from = ?4 AND (valid_to IS NULL OR valid_to > ?5)", append(at, from, today)...).Exec(ctx)
			if err = failed; err == nil {
				gone, err = done.RowsAffected()
			}
		}
		if err != nil {
			return fmt.Errorf("end a rate of tax: %w", err)
		}
		if gone == 0 {
			return nil
		}
		if err := TellHeldTax(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "tax_rate.ended", audit.Target{Kind: "settings", ID: "tax"}, map[string]any{
			"country": p.Country, "region": p.Region, "class": p.Class, "customer": string(p.Customer), "from": from.Format(time.DateOnly)})
	})
}
