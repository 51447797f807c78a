package invoicing

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// OwnRate is a standard rate of tax that the shop entered: it stands before the built-in
// one of its country while it holds.
type OwnRate struct {
	Country   string
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

// OwnRates are the shop's own rates, those of a country together and the latest first.
func OwnRates(ctx context.Context, tx *tenancy.Tx) (all []OwnRate, err error) {
	err = tx.NewRaw(`SELECT country, name, trim_scale(percent)::text AS percent, valid_from, valid_to, source FROM tax_rates
		WHERE region = '' AND class = ? ORDER BY country, valid_from DESC LIMIT 500`, billing.Standard).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("read the rates of tax: %w", err)
	}
	return all, nil
}

// NewRate is a rate as it is typed.
type NewRate struct {
	Country, Name, Percent, Source string
	From                           time.Time // a day, UTC; zero: not given
}

var percentForm = regexp.MustCompile(`^\d{1,3}(\.\d{1,4})?$`)

func (n *NewRate) check() error {
	wrong := map[string]string{}
	n.Country = strings.ToUpper(strings.TrimSpace(n.Country))
	if !place.IsCountry(n.Country) {
		wrong["country"] = "Choose a country from the list."
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

// SetRate enters a rate from a day on: the one before it ends there, and it ends where a
// later one begins. What was issued does not change. Fault: tax_rate.invalid.
func SetRate(ctx context.Context, db *tenancy.DB, n NewRate, by audit.Origin) error {
	if err := n.check(); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		// The one before gives way; two that enter at once meet in the primary key.
		_, err := tx.NewRaw(`UPDATE tax_rates SET valid_to = ?2 WHERE country = ?0 AND region = '' AND class = ?1
			AND valid_from < ?2 AND (valid_to IS NULL OR valid_to > ?2)`, n.Country, billing.Standard, n.From).Exec(ctx)
		if err != nil {
			return fmt.Errorf("end the rate before: %w", err)
		}
		done, err := tx.NewRaw(`INSERT INTO tax_rates (country, region, class, name, percent, valid_from, valid_to, source)
			VALUES (?0, '', ?1, ?2, ?3::numeric, ?4, (SELECT min(valid_from) FROM tax_rates WHERE country = ?0 AND region = '' AND class = ?1 AND valid_from > ?4), ?5)
			ON CONFLICT DO NOTHING`, n.Country, billing.Standard, n.Name, n.Percent, n.From, n.Source).Exec(ctx)
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
			"country": n.Country, "name": n.Name, "percent": n.Percent, "from": n.From.Format(time.DateOnly),
		})
	})
}

// EndRate ends a rate today; one that has not begun is taken out, and the one before it
// goes on. A rate that is not there, or has ended, is left as it is.
func EndRate(ctx context.Context, db *tenancy.DB, country string, from time.Time, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		today := tx.Now().UTC().Truncate(24 * time.Hour)
		var gone int64
		if !from.Before(today) {
			done, err := tx.NewRaw("DELETE FROM tax_rates WHERE country = ? AND region = '' AND class = ? AND valid_from = ?", country, billing.Standard, from).Exec(ctx)
			if err == nil {
				gone, err = done.RowsAffected()
			}
			if err == nil && gone > 0 {
				_, err = tx.NewRaw("UPDATE tax_rates SET valid_to = NULL WHERE country = ? AND region = '' AND class = ? AND valid_to = ?", country, billing.Standard, from).Exec(ctx)
			}
			if err != nil {
				return fmt.Errorf("take a rate of tax out: %w", err)
			}
		} else {
			done, err := tx.NewRaw("UPDATE tax_rates SET valid_to = ? WHERE country = ? AND region = '' AND class = ? AND valid_from = ? AND (valid_to IS NULL OR valid_to > ?)",
				today, country, billing.Standard, from, today).Exec(ctx)
			if err == nil {
				gone, err = done.RowsAffected()
			}
			if err != nil {
				return fmt.Errorf("end a rate of tax: %w", err)
			}
		}
		if gone == 0 {
			return nil
		}
		if err := TellHeldTax(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "tax_rate.ended", audit.Target{Kind: "settings", ID: "tax"}, map[string]any{"country": country, "from": from.Format(time.DateOnly)})
	})
}
