package renewal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/settings"
)

// contestsName is the shop setting under which billing.Contests is kept.
const contestsName = "disputes"

// ContestsOf is what the shop does about what was paid for when the payment is disputed.
func ContestsOf(ctx context.Context, tx *tenancy.Tx) (c billing.Contests, err error) {
	_, err = settings.Named(ctx, tx, contestsName, &c)
	return c, err
}

// SaveContests changes what is done from the next news of a dispute on. Fault:
// disputes.invalid.
func SaveContests(ctx context.Context, db *tenancy.DB, c billing.Contests, by audit.Origin) error {
	if !c.Valid() {
		return fault.New(fault.Invalid, "disputes.invalid", "Please choose what is done from the list.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := settings.Hold(ctx, tx, contestsName); err != nil {
			return err
		}
		was, err := ContestsOf(ctx, tx)
		if err != nil || was == c {
			return err
		}
		if err := settings.Put(ctx, tx, contestsName, c); err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.disputes_changed", audit.Target{Kind: "settings", ID: "disputes"}, map[string]any{"opened": c.Opened, "lost": c.Lost})
	})
}

// Disputed follows on news of a dispute (job payment.disputed): what the payment was for is
// suspended, released or ended, as the shop says. It goes by how things stand now, does each
// thing once a dispute and state, and so leaves alone what the team has released since; it
// may be repeated, late and in any order.
func (d *Desk) Disputed(ctx context.Context, db *tenancy.DB, job payment.DisputedJob) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		policy, err := ContestsOf(ctx, tx)
		if err != nil {
			return err
		}
		var ids []uuid.UUID
		err = tx.NewRaw(`SELECT DISTINCT l.subscription_id FROM payments p JOIN invoice_lines l ON l.invoice_id = p.invoice_id
			WHERE p.id = ? AND l.subscription_id IS NOT NULL AND l.withdrawn_at IS NULL`, job.PaymentID).Scan(ctx, &ids)
		if err != nil {
			return fmt.Errorf("look what payment %s was for: %w", job.PaymentID, err)
		}
		if len(ids) == 0 {
			return nil
		}
		subs, err := lockAll(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, s := range subs {
			if s.State == Ended {
				continue
			}
			if err := d.contested(ctx, tx, policy, s, job); err != nil {
				return err
			}
		}
		return nil
	})
}

// contested does what is due of one subscription, which is locked.
func (d *Desk) contested(ctx context.Context, tx *tenancy.Tx, policy billing.Contests, s Subscription, job payment.DisputedJob) error {
	all, this, number, err := contestsOn(ctx, tx, s.ID, job)
	if err != nil {
		return err
	}
	step := policy.Step(all...)
	if step == billing.ContestNothing {
		if s.ServiceID == uuid.Nil {
			return nil
		}
		return hosting.Release(ctx, tx, s.ServiceID, hosting.HoldDispute)
	}
	if policy.Step(this) == billing.ContestNothing { // what is done is another dispute's
		return nil
	}
	if policy.Step(this) == billing.ContestEnd {
		return d.end(ctx, tx, s, takenBack)
	}
	return suspendContested(ctx, tx, s, this, job.Ref, number)
}

// suspendContested suspends a service once for a dispute that was opened, and once for one
// that was lost.
func suspendContested(ctx context.Context, tx *tenancy.Tx, s Subscription, this billing.Contest, ref, number string) error {
	what, customer, team := "opened", "A payment of invoice "+number+" is disputed at your bank.", "disputed at the customer's bank"
	if this == billing.ContestLost {
		what, customer, team = "lost", "Your bank took back a payment of invoice "+number+".", "taken back by the customer's bank"
	}
	key := "dispute/" + ref + "/" + what
	var done bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM timeline WHERE key = ?)", "subscription/"+s.ID.String()+"/"+key).Scan(ctx, &done); err != nil {
		return fmt.Errorf("look what followed on dispute %s: %w", ref, err)
	}
	if done || s.ServiceID == uuid.Nil {
		return nil
	}
	if err := hosting.Suspend(ctx, tx, s.ServiceID, hosting.HoldDispute, customer); err != nil {
		return err
	}
	return tell(ctx, tx, s, key, s.Label+" was suspended: a payment of invoice "+number+" was "+team+".", false)
}

// contestsOn are the disputes of all payments for a subscription, and the one a job is about
// with its invoice's number.
func contestsOn(ctx context.Context, tx *tenancy.Tx, sub uuid.UUID, job payment.DisputedJob) (all []billing.Contest, this billing.Contest, number string, err error) {
	var rows []struct {
		ID       uuid.UUID
		Number   string
		Disputes []byte
	}
	err = tx.NewRaw(`SELECT p.id, coalesce(i.number, '') AS number, p.disputes::text AS disputes FROM payments p JOIN invoices i ON i.id = p.invoice_id
		WHERE p.disputes IS NOT NULL AND i.account_id = (SELECT account_id FROM subscriptions WHERE id = ?0)
		AND EXISTS (SELECT FROM invoice_lines l WHERE l.invoice_id = i.id AND l.subscription_id = ?0 AND l.withdrawn_at IS NULL)`, sub).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, "", fmt.Errorf("read disputes about subscription %s: %w", sub, err)
	}
	for _, r := range rows {
		var kept []gateway.Disputed
		if err := json.Unmarshal(r.Disputes, &kept); err != nil {
			return nil, 0, "", fmt.Errorf("read disputes of payment %s: %w", r.ID, err)
		}
		for _, k := range kept {
			c := contestOf(k)
			all = append(all, c)
			if r.ID == job.PaymentID && k.Ref == job.Ref {
				this, number = c, r.Number
			}
		}
	}
	return all, this, number, nil
}

func contestOf(k gateway.Disputed) billing.Contest {
	switch {
	case k.State == gateway.Lost:
		return billing.ContestLost
	case k.State == gateway.Won || k.Inquiry:
		return billing.ContestOver
	}
	return billing.ContestOpen
}
