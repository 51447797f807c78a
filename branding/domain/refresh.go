package domain

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// KeepFresh exchanges certificates in memory that another node has renewed, until ctx
// ends. A database that is away leaves everything as it is.
func (c *Certificates) KeepFresh(ctx context.Context, central *tenancy.Central, every time.Duration) error {
	if every == 0 {
		every = 30 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	since := central.Now().Add(-time.Hour)
	for {
		now := central.Now()
		if err := c.refresh(ctx, central, since); err != nil {
			c.cfg.Log.WarnContext(ctx, "renewed certificates cannot be looked up", "error", err)
		} else {
			since = now.Add(-time.Minute) // what committed late is seen by the next look
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (c *Certificates) refresh(ctx context.Context, central *tenancy.Central, since time.Time) error {
	var rows []struct{ Name, Serial string }
	err := central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT host AS name, cert_serial AS serial FROM domains WHERE changed_at > ?0 AND serving AND cert_serial IS NOT NULL
			UNION ALL SELECT name, cert_serial FROM platform_names WHERE changed_at > ?0 AND cert_serial IS NOT NULL`, since).Scan(ctx, &rows)
	})
	if err != nil {
		return err
	}
	loaded := c.Loaded()
	for _, r := range rows {
		if have, ok := loaded[r.Name]; ok && have != r.Serial {
			c.Reload(ctx, r.Name)
		}
	}
	return nil
}
