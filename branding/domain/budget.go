package domain

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Quota is how many orders we place, below what the authority allows.
type Quota struct {
	PerWindow     int           // orders of the account in Window
	Window        time.Duration //
	Reserve       int           // of PerWindow, kept for renewals
	PerRegistered int           // new certificates below one registered name in a week; 0: no limit
	FailedPerHour int           // failed orders for one name in an hour
}

// DefaultQuota stays below Let's Encrypt's limits (300 orders in 3 hours, 50
// certificates a week for a registered name, 5 failed validations an hour).
var DefaultQuota = Quota{PerWindow: 240, Window: 3 * time.Hour, Reserve: 72, PerRegistered: 40, FailedPerHour: 3}

// Budget decides whether an order may be placed, for all nodes together.
type Budget struct {
	Central *tenancy.Central
	Account string // whose budget: Authority.Key
	Quota   Quota
}

// spend takes an order from the budget. It answers *overdrawn when there is none to
// take; the account's row is locked meanwhile, so that nodes cannot take it twice.
func (b *Budget) spend(ctx context.Context, name string, renewal bool) error {
	return b.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := tx.NewRaw("INSERT INTO acme_budget (account) VALUES (?) ON CONFLICT DO NOTHING", b.Account).Exec(ctx); err != nil {
			return err
		}
		var account struct {
			PausedUntil *time.Time
			PausedBy    *string
		}
		if err := tx.NewRaw("SELECT paused_until, paused_by FROM acme_budget WHERE account = ? FOR UPDATE", b.Account).Scan(ctx, &account); err != nil {
			return err
		}
		now := tx.Now()
		switch {
		case account.PausedBy != nil:
			return &overdrawn{now.Add(15 * time.Minute), "orders.paused", "New certificates are paused by our staff for the moment. Nothing is needed from you."}
		case account.PausedUntil != nil && now.Before(*account.PausedUntil):
			return &overdrawn{*account.PausedUntil, "acme.rate_limited", "The certificate authority asks us to wait before it issues more certificates. Nothing is needed from you."}
		}
		if err := b.within(ctx, tx, name, renewal); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO acme_orders (id, account, name, registered, renewal, at) VALUES (?, ?, ?, ?, ?, ?)",
			id, b.Account, name, registered(name), renewal, now).Exec(ctx)
		return err
	})
}

func (b *Budget) within(ctx context.Context, tx *tenancy.CentralTx, name string, renewal bool) error {
	now := tx.Now()
	var n struct {
		All, New, Registered, Failed           int
		Oldest, OldestRegistered, OldestFailed *time.Time
	}
	err := tx.NewRaw(`SELECT
			(SELECT count(*) FROM acme_orders WHERE account = ?0 AND at > ?1) AS "all",
			(SELECT count(*) FROM acme_orders WHERE account = ?0 AND at > ?1 AND NOT renewal) AS "new",
			(SELECT min(at) FROM acme_orders WHERE account = ?0 AND at > ?1) AS oldest,
			(SELECT count(*) FROM acme_orders WHERE registered = ?2 AND at > ?3 AND NOT renewal AND outcome IN ('', 'issued')) AS registered,
			(SELECT min(at) FROM acme_orders WHERE registered = ?2 AND at > ?3 AND NOT renewal) AS oldest_registered,
			(SELECT count(*) FROM acme_orders WHERE name = ?4 AND at > ?5 AND outcome NOT IN ('', 'issued')) AS failed,
			(SELECT min(at) FROM acme_orders WHERE name = ?4 AND at > ?5 AND outcome NOT IN ('', 'issued')) AS oldest_failed`,
		b.Account, now.Add(-b.Quota.Window), registered(name), now.Add(-7*24*time.Hour), name, now.Add(-time.Hour)).Scan(ctx, &n)
	if err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	const busy = "Too many certificates were ordered lately; this one waits for its turn. Nothing is needed from you."
	switch {
	case n.All >= b.Quota.PerWindow || !renewal && n.New >= b.Quota.PerWindow-b.Quota.Reserve:
		return &overdrawn{later(n.Oldest, b.Quota.Window, now), "orders.budget", busy}
	case b.Quota.PerRegistered > 0 && !renewal && n.Registered >= b.Quota.PerRegistered:
		return &overdrawn{later(n.OldestRegistered, 7*24*time.Hour, now), "orders.registered",
			"Too many certificates were issued below " + registered(name) + " this week; this one waits for its turn."}
	case b.Quota.FailedPerHour > 0 && n.Failed >= b.Quota.FailedPerHour:
		return &overdrawn{later(n.OldestFailed, time.Hour, now), "orders.failed",
			"Several orders for this name failed within the hour. We wait before the next one."}
	}
	return nil
}

// later is when the oldest order leaves its window, and never now.
func later(oldest *time.Time, window time.Duration, now time.Time) time.Time {
	soon := now.Add(time.Minute)
	if oldest == nil || oldest.Add(window).Before(soon) {
		return soon
	}
	return oldest.Add(window)
}

// finish notes how the orders of name that are under way ended.
func (b *Budget) finish(ctx context.Context, tx *tenancy.CentralTx, name, outcome string) error {
	_, err := tx.NewRaw("UPDATE acme_orders SET finished_at = ?, outcome = ? WHERE account = ? AND name = ? AND outcome = ''",
		tx.Now(), outcome, b.Account, name).Exec(ctx)
	return err
}

// pauseUntil keeps every order of the account back, as its authority asked.
func (b *Budget) pauseUntil(ctx context.Context, tx *tenancy.CentralTx, until time.Time, reason string) error {
	_, err := tx.NewRaw(`INSERT INTO acme_budget (account, paused_until, reason) VALUES (?, ?, ?)
		ON CONFLICT (account) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason`, b.Account, until, reason).Exec(ctx)
	return err
}

// BudgetState is what the console shows of the budget.
type BudgetState struct {
	Quota       Quota
	New         int // orders in the window
	Renewals    int
	FailedHour  int
	UnderWay    int
	PausedUntil *time.Time
	PausedBy    string
	Reason      string
}

// State reads the budget.
func (b *Budget) State(ctx context.Context) (s BudgetState, err error) {
	s.Quota = b.Quota
	err = b.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		now := tx.Now()
		var n struct{ New, Renewals, FailedHour, UnderWay int }
		err := tx.NewRaw(`SELECT count(*) FILTER (WHERE NOT renewal AND at > ?1) AS "new",
				count(*) FILTER (WHERE renewal AND at > ?1) AS renewals,
				count(*) FILTER (WHERE outcome NOT IN ('', 'issued') AND at > ?2) AS failed_hour,
				count(*) FILTER (WHERE outcome = '' AND at > ?2) AS under_way
			FROM acme_orders WHERE account = ?0 AND at > ?1`, b.Account, now.Add(-b.Quota.Window), now.Add(-time.Hour)).Scan(ctx, &n)
		if err != nil {
			return err
		}
		s.New, s.Renewals, s.FailedHour, s.UnderWay = n.New, n.Renewals, n.FailedHour, n.UnderWay
		var account []struct {
			PausedUntil *time.Time
			PausedBy    *string
			Reason      string
		}
		if err := tx.NewRaw("SELECT paused_until, paused_by, reason FROM acme_budget WHERE account = ?", b.Account).Scan(ctx, &account); err != nil {
			return err
		}
		if len(account) > 0 {
			s.PausedUntil, s.PausedBy, s.Reason = account[0].PausedUntil, value(account[0].PausedBy), account[0].Reason
		}
		return nil
	})
	return s, err
}

// Pause stops all orders until Resume; names wait in their queue.
func (b *Budget) Pause(ctx context.Context, reason string, by By) error {
	return b.switchTo(ctx, &by.Actor.Name, reason, by, "orders.paused")
}

// Resume lets orders be placed again, also when the authority's own wait is not over.
func (b *Budget) Resume(ctx context.Context, by By) error {
	return b.switchTo(ctx, nil, "", by, "orders.resumed")
}

func (b *Budget) switchTo(ctx context.Context, who *string, reason string, by By, action string) error {
	return b.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO acme_budget (account, paused_by, reason) VALUES (?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET paused_by = excluded.paused_by, reason = excluded.reason, paused_until = NULL`, b.Account, who, reason).Exec(ctx)
		if err != nil {
			return err
		}
		if who == nil { // what waited for the pause need not wait out its step
			if _, err := tx.NewRaw("UPDATE domains SET next_at = ?, order_after = NULL WHERE state = 'rate_limited'", tx.Now()).Exec(ctx); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, audit.Entry{Actor: by.Actor, Action: action, Target: audit.Target{Kind: "acme_account", ID: b.Account},
			Detail: map[string]any{"reason": reason}, IP: by.IP, RequestID: by.RequestID})
	})
}
