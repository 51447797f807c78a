package tenancy

import (
	"context"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// SiteSettings are what a reseller may change of its own row in the platform's list.
// The caller has checked them.
type SiteSettings struct{ Name, Locale, Currency, TimeZone string }

// SettleSite changes the bound tenant's settings; every node hears of it.
func (tx *Tx) SettleSite(ctx context.Context, s SiteSettings) error {
	var found bool
	err := tx.NewRaw("SELECT door.settle_site(?, ?, ?, ?)", s.Name, s.Locale, s.Currency, s.TimeZone).Scan(ctx, &found)
	if err == nil && !found {
		return fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	return err
}
