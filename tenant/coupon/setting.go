package coupon

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// MostOnOrder is the most codes a shop may let count on one order.
const MostOnOrder = 5

const settingName = "coupons"

type setting struct {
	Most int `json:"most"` // codes on one order
}

// Most is how many codes count on one order; one where the shop said nothing.
func Most(ctx context.Context, tx *tenancy.Tx) (int, error) {
	s := setting{Most: 1}
	_, err := settings.Named(ctx, tx, settingName, &s)
	return s.Most, err
}

// SaveMost changes how many codes count on one order. Fault: coupon.invalid at the field
// most.
func SaveMost(ctx context.Context, db *tenancy.DB, most int, by audit.Origin) error {
	if most < 1 || most > MostOnOrder {
		return fault.Field("most", "coupon.invalid", fmt.Sprintf("Please enter a whole number from 1 to %d.", MostOnOrder))
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := settings.Put(ctx, tx, settingName, setting{most}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.coupons_changed", audit.Target{Kind: "settings", ID: settingName}, map[string]any{"most": most})
	})
}
