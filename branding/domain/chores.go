package domain

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/ezscale/ezscale/tenancy"
)

const (
	assetsKept    = 7 * 24 * time.Hour  // a removed name's certificate
	tombstoneKept = 90 * 24 * time.Hour // a removed name's row and events
	ordersKept    = 90 * 24 * time.Hour
)

// chores are what is done now and then besides the queue. All may be done by several
// nodes, at any time, again.
type chores struct {
	w    *Worker
	last map[string]time.Time
}

func newChores(w *Worker) *chores { return &chores{w: w, last: map[string]time.Time{}} }

func (c *chores) run(ctx context.Context) {
	c.every(ctx, "names", 15*time.Second, func(ctx context.Context) error {
		if c.w.Platform == nil {
			return nil
		}
		return c.w.Platform.sync(ctx)
	})
	c.every(ctx, "authority", time.Hour, c.w.noticeAuthority)
	c.every(ctx, "purge", time.Hour, c.w.purge)
	c.every(ctx, "storage", 6*time.Hour, c.w.cleanStorage)
}

func (c *chores) every(ctx context.Context, name string, pause time.Duration, fn func(context.Context) error) {
	now := c.w.Central.Now()
	if last, ok := c.last[name]; ok && now.Sub(last) < pause || ctx.Err() != nil {
		return
	}
	if err := fn(ctx); err != nil {
		c.w.Log.WarnContext(ctx, "a chore of the domains failed", "chore", name, "error", err)
		return
	}
	c.last[name] = now
}

// noticeAuthority makes names due whose certificate is of another authority than the
// one configured now.
func (w *Worker) noticeAuthority(ctx context.Context) error {
	return w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		now, key := tx.Now(), w.Authority.Key()
		for _, sql := range []string{
			"UPDATE domains SET next_at = ?, order_after = NULL WHERE serving AND cert_serial IS NOT NULL AND authority <> ?",
			"UPDATE platform_names SET next_at = ?, renew_at = NULL, order_after = NULL WHERE authority <> ?",
		} {
			if _, err := tx.NewRaw(sql, now, key).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// purge deletes what removed names leave behind.
func (w *Worker) purge(ctx context.Context) error {
	var hosts []string
	err := w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT DISTINCT d.host FROM domains d WHERE d.state = 'removed' AND d.cert_serial IS NOT NULL AND d.removed_at < ?
			AND NOT EXISTS (SELECT FROM domains o WHERE o.host = d.host AND o.state <> 'removed') LIMIT 200`, tx.Now().Add(-assetsKept)).Scan(ctx, &hosts)
	})
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if err := w.Authority.Remove(ctx, h); err != nil {
			return err
		}
		err := w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			_, err := tx.NewRaw("UPDATE domains SET cert_serial = NULL WHERE host = ? AND state = 'removed' AND removed_at < ?", h, tx.Now().Add(-assetsKept)).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		for _, sql := range []string{
			"DELETE FROM domain_events WHERE domain_id IN (SELECT id FROM domains WHERE state = 'removed' AND removed_at < ?)",
			"DELETE FROM domains WHERE state = 'removed' AND removed_at < ?",
		} {
			if _, err := tx.NewRaw(sql, tx.Now().Add(-tombstoneKept)).Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.NewRaw("DELETE FROM acme_orders WHERE at < ?", tx.Now().Add(-ordersKept)).Exec(ctx)
		return err
	})
}

// cleanStorage removes expired certificates; certmagic lets one node do it a day.
func (w *Worker) cleanStorage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := certmagic.CleanStorage(ctx, w.Authority.cfg.Assets, certmagic.CleanStorageOptions{
		Logger: zap.NewNop(), InstanceID: "ezscale", Interval: 24 * time.Hour,
		ExpiredCerts: true, ExpiredCertGracePeriod: 14 * 24 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("clean certificate storage: %w", err)
	}
	return nil
}
