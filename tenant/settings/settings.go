// Package settings owns what a reseller says about itself to the whole program: its
// name, language, currency and time zone. They stand in the platform's list of
// tenants, so that every page knows them without a query; the tenant's transaction
// reaches its own row through a door. What staff demand (a second factor) is shown
// and not changed here.
package settings

import (
	"context"
	"strings"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// Form is what the page sends.
type Form struct {
	Name string
	place.Place
}

// Of is what a tenant has now.
func Of(t tenancy.Tenant) Form {
	return Form{Name: t.Name, Place: place.Place{Locale: t.Locale, Currency: t.Currency, TimeZone: t.TimeZone}}
}

// Check reads what was typed, or answers with the fault settings.invalid.
func (f Form) Check() (Form, error) {
	wrong := map[string]string{}
	f.Name = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(f.Name, ""), "\x00", "")), " ")
	switch n := len([]rune(f.Name)); {
	case n == 0:
		wrong["name"] = "Give the name of your business."
	case n > 100:
		wrong["name"] = "Please use at most 100 characters."
	}
	f.Place = place.Parse(f.Place, wrong)
	return f, fault.Fields("settings.invalid", wrong)
}

// Save changes them. Saving what is there already changes nothing.
func Save(ctx context.Context, db *tenancy.DB, f Form, by audit.Origin) error {
	f, err := f.Check()
	if err != nil {
		return err
	}
	was := Of(db.Tenant())
	if f == was {
		return nil
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		err := tx.SettleSite(ctx, tenancy.SiteSettings{Name: f.Name, Locale: f.Locale, Currency: f.Currency, TimeZone: f.TimeZone})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.changed", audit.Target{Kind: "settings", ID: "site"}, changes(was, f))
	})
}

func changes(was, now Form) map[string]any {
	m := map[string]any{}
	for field, pair := range map[string][2]string{
		"name": {was.Name, now.Name}, "locale": {was.Locale, now.Locale},
		"currency": {was.Currency, now.Currency}, "time_zone": {was.TimeZone, now.TimeZone},
	} {
		if pair[0] != pair[1] {
			m[field] = map[string]any{"from": pair[0], "to": pair[1]}
		}
	}
	return m
}
