package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
)

// The plan of the demo that is billed by use, and its meter.
const (
	meteredShop    = "nimbus"
	meteredProduct = "cloud-vps"
	meteredPlan    = "storm"
	meteredCode    = "traffic_gb"
)

// addMeter has a plan billed by traffic besides its price. It stands there before the
// first customer comes: who bought a plan before is not billed by it.
func (h *historian) addMeter(ctx context.Context) error {
	db, _, err := h.shop(meteredShop)
	if err != nil {
		return err
	}
	var plan catalog.FullPlan
	err = db.View(ctx, func(tx *tenancy.Tx) (err error) {
		plan, err = catalog.ByPath(ctx, tx, catalog.Path{Product: meteredProduct, Plan: meteredPlan})
		return err
	})
	if err != nil || len(plan.Meters) > 0 {
		return err
	}
	_, err = catalog.SaveMeter(ctx, db, catalog.MeterForm{
		PlanID: plan.ID, Code: meteredCode, Name: "Traffic", Unit: "GB", Aggregation: string(billing.MeterSum), Feed: catalog.FeedAPI, Model: string(billing.Graduated), Included: "8000",
		Tiers: map[string]string{"EUR": "10000 | 0.01\n0.0042", "USD": "10000 | 0.01\n0.0046", "GBP": "10000 | 0.009\n0.0039"},
	}, by)
	if err != nil {
		return fmt.Errorf("bill %s by traffic: %w", meteredPlan, err)
	}
	return nil
}

// use tells the traffic of a day, more on weekdays, of everybody who has the plan.
func (h *historian) use(ctx context.Context, day int, at time.Time) error {
	db, _, err := h.shop(meteredShop)
	if err != nil {
		return err
	}
	var subs []uuid.UUID
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM subscriptions WHERE metered_to IS NOT NULL AND state = 'active' AND anchor_at < ? ORDER BY id", at).Scan(ctx, &subs)
	})
	if err != nil || len(subs) == 0 {
		return err
	}
	events := make([]metering.Event, len(subs))
	for i, id := range subs {
		gb := 240 + day*37%90
		if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			gb = 90
		}
		events[i] = metering.Event{Source: "edge-ams-1", ID: fmt.Sprintf("%s/%s", id, at.Format(time.DateOnly)), SubscriptionID: id, Meter: meteredCode, At: at, Value: fmt.Sprintf("%d.%d", gb, day%10)}
	}
	done, err := h.Usage.Record(ctx, db, events)
	if err != nil {
		return err
	}
	for _, o := range done {
		if o.Status == metering.Refused {
			return fmt.Errorf("usage was refused: %s", o.Message)
		}
	}
	return nil
}
