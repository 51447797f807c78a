package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// plannedFor is how far ahead a reseller sees what its prices will be, and plannedSteps how
// many changes of them.
const (
	plannedFor   = 180 * 24 * time.Hour
	plannedSteps = 6
)

// Planned is a price that will be another from a moment on, the tier's discount off.
type Planned struct {
	SKU  string
	Name string
	Unit string
	From time.Time
	Was  billing.Rate // before it; zero: it had none
	Will billing.Rate
}

// Rises reports whether it will cost more.
func (p Planned) Rises() bool { return p.Will.Units > p.Was.Units }

// stepsSQL are the moments to come at which a price of a reseller may change.
const stepsSQL = `WITH mine AS (SELECT tier, currency, valid_from FROM tenant_terms WHERE tenant_id = ?0)
	SELECT DISTINCT x.at FROM (
		SELECT p.valid_from AS at FROM wholesale_prices p JOIN mine m ON m.currency = p.currency AND p.tier IN ('', m.tier)
		UNION ALL SELECT p.valid_to FROM wholesale_prices p JOIN mine m ON m.currency = p.currency AND p.tier IN ('', m.tier)
		UNION ALL SELECT o.valid_from FROM wholesale_overrides o WHERE o.tenant_id = ?0
		UNION ALL SELECT o.valid_to FROM wholesale_overrides o WHERE o.tenant_id = ?0
		UNION ALL SELECT t.valid_from FROM tiers t JOIN mine m USING (tier, currency)
		UNION ALL SELECT m.valid_from FROM mine m) x
	WHERE x.at > ?1 AND x.at <= ?2 ORDER BY x.at LIMIT ?3`

// PriceListAndPlans is the price list of now, and the changes of it that are set already, the
// earliest first.
func (d *Desk) PriceListAndPlans(ctx context.Context, tenant tenancy.ID) (now []Listed, plans []Planned, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		now, plans = nil, nil
		if now, err = PricesAt(ctx, tx, tenant, "", tx.Now()); err != nil {
			return err
		}
		var steps []struct{ At time.Time }
		if err := tx.NewRaw(stepsSQL, tenant, tx.Now(), tx.Now().Add(plannedFor), plannedSteps).Scan(ctx, &steps); err != nil {
			return fmt.Errorf("what prices of %s will be: %w", tenant, err)
		}
		was := map[string]billing.Rate{}
		for _, l := range now {
			was[l.Code] = l.Net
		}
		for _, s := range steps {
			then, err := PricesAt(ctx, tx, tenant, "", s.At)
			if err != nil {
				return err
			}
			for _, l := range then {
				if before := was[l.Code]; before != l.Net {
					plans = append(plans, Planned{SKU: l.Code, Name: l.Name, Unit: l.Unit, From: s.At.UTC(), Was: before, Will: l.Net})
					was[l.Code] = l.Net
				}
			}
		}
		return nil
	})
	return now, plans, err
}
