package renewal

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// DunningOf is what follows when an invoice of a subscription alone is not paid: what its
// plan says, or else the shop.
func (p Policy) DunningOf(s Subscription) billing.Dunning { return p.ofPlan(s.PlanID) }

// dunning is what follows when an invoice on which a subscription stands is not paid. An
// invoice has one schedule: what plans with days of their own share with others, because the
// days were set while it was open or it is an order of both, goes by the shop's.
func (p Policy) dunning(s Subscription, b bill) billing.Dunning {
	if b.Plans > 1 {
		return p.Dunning
	}
	return p.DunningOf(s)
}

func (p Policy) ofPlan(plan uuid.UUID) billing.Dunning {
	if own, has := p.Plans[plan]; has {
		return own
	}
	return p.Dunning
}

// storedDunning is a schedule as it is kept, in whole days.
type storedDunning struct {
	Tries   []int `json:"try_days"`
	Suspend int   `json:"suspend_days"`
	End     int   `json:"end_days"`
	Notice  int   `json:"notice_days"`
}

func storeDunning(d billing.Dunning) storedDunning {
	x := storedDunning{Suspend: Days(d.SuspendAfter), End: Days(d.EndAfter), Notice: Days(d.NoticeBefore)}
	for _, t := range d.Tries {
		x.Tries = append(x.Tries, Days(t))
	}
	return x
}

func (x storedDunning) dunning() billing.Dunning {
	d := billing.Dunning{SuspendAfter: time.Duration(x.Suspend) * day, EndAfter: time.Duration(x.End) * day, NoticeBefore: time.Duration(x.Notice) * day}
	for _, t := range x.Tries {
		d.Tries = append(d.Tries, time.Duration(t)*day)
	}
	return d
}

// check names the fields that are wrong.
func (x storedDunning) check(wrong map[string]string) {
	daysBetween(wrong, "suspend_days", x.Suspend, 1, mostSuspend)
	daysBetween(wrong, "end_days", x.End, 2, mostEnd)
	if wrong["suspend_days"] == "" && wrong["end_days"] == "" && x.End <= x.Suspend {
		wrong["end_days"] = "A service ends after it was suspended: give more days than above."
	}
	if len(x.Tries) == 0 || len(x.Tries) > mostTries {
		wrong["try_days"] = fmt.Sprintf("Give from one to %d days, such as 0, 1, 3.", mostTries)
	}
	daysBetween(wrong, "notice_days", x.Notice, 0, mostNotice)
	for i, t := range x.Tries {
		if t < 0 || t > x.End || i > 0 && t <= x.Tries[i-1] {
			wrong["try_days"] = "Give days that grow, such as 0, 1, 3, and none after the service has ended."
		}
	}
}

func daysBetween(wrong map[string]string, field string, v, least, most int) {
	if v < least || v > most {
		wrong[field] = fmt.Sprintf("Give a number of days from %d to %d.", least, most)
	}
}

// PlanDunning is a plan with what follows when it is not paid.
type PlanDunning struct {
	PlanID, ProductID uuid.UUID
	Plan, Product     string
	Dunning           billing.Dunning // the plan's own, or the shop's
	Own               bool
}

// PlanDunningOf reads what follows when a plan is not paid. Fault: plan.not_found.
func PlanDunningOf(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID) (x PlanDunning, err error) {
	err = tx.NewRaw("SELECT p.id, p.product_id, p.name, d.name FROM plans p JOIN products d ON d.id = p.product_id WHERE p.id = ?", plan).
		Scan(ctx, &x.PlanID, &x.ProductID, &x.Plan, &x.Product)
	if tenancy.IsNoRows(err) {
		return x, fault.New(fault.NotFound, "plan.not_found", "There is no such plan.")
	}
	if err != nil {
		return x, fmt.Errorf("read plan %s: %w", plan, err)
	}
	p, err := PolicyOf(ctx, tx)
	_, x.Own = p.Plans[plan]
	x.Dunning = p.ofPlan(plan)
	return x, err
}

// SavePlanDunning gives a plan days of its own, or with nil the shop's. Invoices that are
// unpaid follow them from the next time they are looked at. Faults: plan.not_found,
// renewal_settings.invalid.
func SavePlanDunning(ctx context.Context, db *tenancy.DB, plan uuid.UUID, own *billing.Dunning, by audit.Origin) error {
	var x storedDunning
	if own != nil {
		wrong := map[string]string{}
		x = storeDunning(*own)
		x.check(wrong)
		if err := fault.Fields("renewal_settings.invalid", wrong); err != nil {
			return err
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := settings.Hold(ctx, tx, policyName); err != nil {
			return err
		}
		was, err := PlanDunningOf(ctx, tx, plan)
		if err != nil {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil || was.Own == (own != nil) && (own == nil || reflect.DeepEqual(was.Dunning, x.dunning())) {
			return err
		}
		detail := map[string]any{"plan": was.Product + " " + was.Plan}
		if own == nil {
			delete(p.Plans, plan)
		} else {
			if p.Plans == nil {
				p.Plans = map[uuid.UUID]billing.Dunning{}
			}
			p.Plans[plan] = x.dunning()
			detail["try_days"], detail["suspend_days"], detail["end_days"], detail["notice_days"] = x.Tries, x.Suspend, x.End, x.Notice
		}
		if err := settings.Put(ctx, tx, policyName, p.stored()); err != nil {
			return err
		}
		return by.Record(ctx, tx, "plan.dunning_changed", audit.Target{Kind: "plan", ID: plan.String()}, detail)
	})
}
