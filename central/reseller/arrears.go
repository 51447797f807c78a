package reseller

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Arrears is how a reseller who does not pay is treated: how long after an invoice
// became due each restriction begins. It is a policy, not an accident: it looks at
// nothing but what is unpaid since when, so paying lifts it at the next look. The
// services of the reseller's customers are not touched at any step.
type Arrears struct {
	NoNewSales time.Duration
	ReadOnly   time.Duration
	Notice     time.Duration
}

// DefaultArrears gives a week before anything happens and two more until visitors are told.
func DefaultArrears() Arrears {
	const day = 24 * time.Hour
	return Arrears{NoNewSales: 7 * day, ReadOnly: 14 * day, Notice: 21 * day}
}

// For is the restriction of a reseller whose oldest unpaid invoice is overdue for so long.
func (a Arrears) For(overdue time.Duration) tenancy.Restriction {
	switch {
	case overdue >= a.Notice:
		return tenancy.Notice
	case overdue >= a.ReadOnly:
		return tenancy.ReadOnly
	case overdue >= a.NoNewSales:
		return tenancy.NoNewSales
	default:
		return tenancy.Unrestricted
	}
}

// Dates are when each restriction begins for an invoice that is due at due.
func (a Arrears) Dates(due time.Time) map[tenancy.Restriction]time.Time {
	return map[tenancy.Restriction]time.Time{
		tenancy.NoNewSales: due.Add(a.NoNewSales), tenancy.ReadOnly: due.Add(a.ReadOnly), tenancy.Notice: due.Add(a.Notice),
	}
}

// Debtor is a reseller whose restriction is not what its arrears ask for.
type Debtor struct {
	ID   tenancy.ID
	Name string
	Was  tenancy.Restriction
	Due  time.Time // of the oldest unpaid invoice; zero: everything is paid
	Over bool      // it has reached its credit limit
}

// EnforceArrears brings every reseller's restriction to what its arrears say, and lifts it
// where nothing is owed any more; it answers how many it changed. Told is called within
// the transaction of each change, for mails and alerts; it may be nil. The clock runs
// this every minute; running it twice changes nothing.
func (d *Desk) EnforceArrears(ctx context.Context, a Arrears, told func(context.Context, *tenancy.CentralTx, Debtor, tenancy.Restriction) error) (changed int, err error) {
	var all []Debtor
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		all, err = debtors(ctx, tx, "")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("arrears: %w", err)
	}
	for _, b := range all {
		if a.wants(b, d.Central.Now()) == b.Was {
			continue
		}
		done, err := d.restrict(ctx, a, b.ID, told)
		if err != nil {
			return changed, fmt.Errorf("arrears of %s: %w", b.ID, err)
		}
		if done {
			changed++
		}
	}
	return changed, nil
}

func (a Arrears) wants(b Debtor, now time.Time) tenancy.Restriction {
	late := tenancy.Unrestricted
	if !b.Due.IsZero() {
		late = a.For(now.Sub(b.Due))
	}
	if late == tenancy.Unrestricted && b.Over {
		return tenancy.NoNewSales // of which the limit's own letter told
	}
	return late
}

// debtors are the resellers who owe something, those who reached their credit limit, and those who are restricted.
func debtors(ctx context.Context, tx *tenancy.CentralTx, only string, args ...any) (all []Debtor, err error) {
	err = tx.NewRaw(`SELECT t.id, t.name, t.restriction AS was, o.due, coalesce(l.limit_stage = 'reached', false) AS over FROM tenants t
		LEFT JOIN reseller_profiles l ON l.tenant_id = t.id
		LEFT JOIN (SELECT tenant_id, min(due_at) AS due FROM wholesale_invoices WHERE state = 'open' AND paid_minor < total_minor AND paid_at IS NULL GROUP BY tenant_id) o ON o.tenant_id = t.id
		WHERE t.status <> 'dropped' AND (o.due IS NOT NULL OR t.restriction <> '' OR l.limit_stage = 'reached') `+only+" ORDER BY t.id", args...).Scan(ctx, &all)
	return all, err
}

// restrict looks again under the row's lock: an invoice may have been paid meanwhile.
func (d *Desk) restrict(ctx context.Context, a Arrears, id tenancy.ID, told func(context.Context, *tenancy.CentralTx, Debtor, tenancy.Restriction) error) (done bool, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		done = false
		if _, err := byID(ctx, tx, id, "FOR UPDATE OF t"); err != nil {
			return err
		}
		now, err := debtors(ctx, tx, "AND t.id = ?", id)
		if err != nil || len(now) == 0 {
			return err
		}
		b, to := now[0], a.wants(now[0], tx.Now())
		if to == b.Was {
			return nil
		}
		done = true
		// The content's version moves, so that no page from memory outlives it.
		_, err = tx.NewRaw(`UPDATE tenants SET restriction = ?, restricted_since = CASE WHEN ? = '' THEN NULL ELSE coalesce(restricted_since, ?) END,
			content_version = content_version + 1, changed_at = ? WHERE id = ?`, to, to, tx.Now(), tx.Now(), id).Exec(ctx)
		if err != nil {
			return err
		}
		if err := tx.NotifyDirectory(ctx, id); err != nil {
			return err
		}
		by := audit.Origin{Actor: audit.System("scheduler")}
		action := "tenant.restricted"
		if to == tenancy.Unrestricted {
			action = "tenant.unrestricted"
		}
		if err := by.Record(ctx, tx, action, Target(id), detail("from", b.Was, "to", to, "unpaid_since", dayOf(b.Due))); err != nil {
			return err
		}
		if told == nil || b.Over && to == tenancy.NoNewSales && a.For(tx.Now().Sub(b.Due)) != to {
			return nil
		}
		return told(ctx, tx, b, to)
	})
	return done, err
}

func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02")
}
