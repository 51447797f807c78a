package report

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// PlannedPrice is a wholesale price that will be another from a moment on.
type PlannedPrice struct {
	SKU, Name string
	From      time.Time
	Was, Will billing.Rate // a month, discount off; a zero Was: it had none
}

// Squeezed is a wholesale price that will rise, and what it makes of what is sold.
type Squeezed struct {
	PlannedPrice
	Running int           // subscriptions of the SKU that run
	Losing  int           // of them those that will be sold below it
	Loss    billing.Money // of those, a month
	Unknown int           // that cannot be compared: in another currency, or not by the month
}

// squeeze is every planned price that rises and whose SKU runs. Coupons are not looked at.
func squeeze(ctx context.Context, tx *tenancy.Tx, plans []PlannedPrice) ([]Squeezed, error) {
	if len(plans) == 0 {
		return nil, nil
	}
	var rows []struct {
		SKU         string `bun:"sku"`
		Currency    string
		Cycle       billing.Cycle
		AmountMinor int64
		N           int
	}
	held, err := invoicing.HeldTax(ctx, tx)
	if err != nil {
		return nil, err
	}
	// An add-on is held against what its own option brings, each piece its part.
	err = tx.NewRaw(`SELECT x.sku, b.currency, `+hosting.RetailCycle+` AS cycle, x.amount_minor, sum(x.n)::bigint AS n FROM services s JOIN subscriptions b ON b.id = s.subscription_id
		CROSS JOIN LATERAL (SELECT s.sku, `+hosting.RetailMinor+` AS amount_minor, 1 AS n
			UNION ALL SELECT a.sku, coalesce((SELECT sum(i.amount_minor) FROM jsonb_to_recordset(b.items) AS i(kind text, code text, amount_minor bigint) WHERE i.kind = 'option' AND i.code = a.code), 0)::bigint / a.n, a.n
				FROM jsonb_to_recordset(s.addons) AS a(code text, sku text, n bigint, "to" text) WHERE a."to" IS NULL) x
		WHERE s.began_at IS NOT NULL AND s.ended_at IS NULL GROUP BY 1, 2, 3, 4`).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("what prices to come make of sales: %w", err)
	}
	var all []Squeezed
	for _, p := range plans {
		if p.Will.Units <= p.Was.Units {
			continue
		}
		s := Squeezed{PlannedPrice: p, Loss: billing.Money{Currency: p.Will.Currency}}
		for _, r := range rows {
			if r.SKU != p.SKU {
				continue
			}
			s.Running += r.N
			loss, ok, err := billing.Sold{Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, Cycle: r.Cycle, Held: held}.Loss(p.Will)
			switch {
			case err != nil:
				return nil, err
			case !ok:
				s.Unknown += r.N
			case loss.Minor > 0:
				s.Losing += r.N
				s.Loss.Minor += loss.Minor * int64(r.N)
			}
		}
		if s.Running > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}
