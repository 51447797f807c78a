package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// keepChange writes what a change or a pause touches of a subscription, and what save does.
func keepChange(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	var change, picked, discount, pause, taken, reprices any
	offered, err := orNull(s.Stays)
	if err != nil {
		return err
	}
	stub, err := orNull(s.Stub)
	if err != nil {
		return err
	}
	s.Reprices = slices.DeleteFunc(slices.Clone(s.Reprices), func(r Repricing) bool { return r.PlanID != s.PlanID })
	if len(s.Reprices) > 0 {
		text, err := json.Marshal(s.Reprices)
		if err != nil {
			return err
		}
		reprices = string(text)
	}
	if len(s.Taken) > 0 {
		text, err := json.Marshal(s.Taken)
		if err != nil {
			return err
		}
		taken = string(text)
	}
	if s.Pause != nil {
		text, err := json.Marshal(s.Pause)
		if err != nil {
			return err
		}
		pause = string(text)
	}
	if s.Discount != nil {
		text, err := json.Marshal(s.Discount)
		if err != nil {
			return err
		}
		discount = string(text)
	}
	if s.Change != nil {
		text, err := json.Marshal(s.Change)
		if err != nil {
			return err
		}
		change = string(text)
	}
	if s.Picked.Plan != "" {
		text, err := json.Marshal(s.Picked)
		if err != nil {
			return err
		}
		picked = string(text)
	}
	items, err := json.Marshal(append([]Item{}, s.Items...))
	if err != nil {
		return err
	}
	var metered any
	if s.Runs() && !s.AnchorAt.IsZero() {
		metered = billing.UsagePeriod(s.AnchorAt, tx.Now(), s.Zone()).To
	}
	// What another plan is billed by counts from now on, and so do its hours.
	_, err = tx.NewRaw(`UPDATE subscriptions s SET metered_at = CASE WHEN x.same THEN metered_at ELSE ?::timestamptz END,
		metered_to = coalesce(metered_to, CASE WHEN NOT x.same AND EXISTS (SELECT FROM meters m WHERE m.plan_id = ? AND m.retired_at IS NULL AND (m.feed <> 'hours' OR ? = 'hourly')) THEN ?::timestamptz END),
		plan_id = ?, label = ?, cycle = ?, amount_minor = ?, items = ?::jsonb, change = ?::jsonb, picked = ?::jsonb, discount = ?::jsonb, pause = ?::jsonb, taken = ?::jsonb, reprices = ?::jsonb, stays = ?::jsonb, stub = ?::jsonb, credit_minor = nullif(?::bigint, 0)
		FROM (SELECT plan_id = ? AND (cycle = 'hourly') = (? = 'hourly') AS same FROM subscriptions WHERE id = ?) x WHERE s.id = ?`,
		tx.Now(), s.PlanID, string(s.Cycle), metered, s.PlanID, s.Label, string(s.Cycle), s.Amount.Minor, string(items), change, picked, discount, pause, taken, reprices, offered, stub, s.Credit.Minor, s.PlanID, string(s.Cycle), s.ID, s.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the change of subscription %s: %w", s.ID, err)
	}
	if s.ServiceID != uuid.Nil { // what the customer pays for it may be another amount
		if err := hosting.Show(ctx, tx, s.ServiceID); err != nil {
			return err
		}
	}
	return save(ctx, tx, s)
}
