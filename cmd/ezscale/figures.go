package main

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/metrics"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// figureTimeout bounds one question to the database for Prometheus; a group that
// cannot be read is left out of the answer.
const figureTimeout = 2 * time.Second

// countPages tells how the page cache does. Stale ones were shown because they could
// not be made anew.
func (a *app) countPages(p *surface.PageCache) {
	m := a.metrics
	const help = "Public pages answered from memory (hit, or stale because the page could not be made) or made (miss)."
	m.Count("ezscale_page_cache_total", help, map[string]string{"outcome": "hit"}, func() float64 { return float64(p.Stats().Hits) })
	m.Count("ezscale_page_cache_total", help, map[string]string{"outcome": "miss"}, func() float64 { return float64(p.Stats().Misses) })
	m.Count("ezscale_page_cache_total", help, map[string]string{"outcome": "stale"}, func() float64 { return float64(p.Stats().Stale) })
	m.Gauge("ezscale_page_cache_pages", "Pages kept in memory.", nil, func() float64 { return float64(p.Stats().Pages) })
	m.Gauge("ezscale_page_cache_bytes", "Size of the pages kept in memory.", nil, func() float64 { return float64(p.Stats().Bytes) })
}

// countTLS tells what the gate refuses and what the certificates' cache holds.
func (a *app) countTLS(c *domain.Certificates) {
	m := a.metrics
	m.Count("ezscale_tls_refusals_total", "Handshakes refused because nobody's site has the name.", nil, func() float64 { return float64(c.Counts().Denied) })
	m.Count("ezscale_tls_certificate_loads_total", "Certificates read from storage.", nil, func() float64 { return float64(c.Counts().Loads) })
	m.Gauge("ezscale_tls_certificates", "Certificates in memory.", nil, func() float64 { return float64(c.Counts().InMemory) })
	m.Gauge("ezscale_tls_waiting", "Handshakes that wait for a certificate.", nil, func() float64 { return float64(c.Counts().Waiting) })
}

// countLanes tells how busy the lanes' connections are, and which part is well.
func (a *app) countLanes() {
	figure := func(name, help string, of func(tenancy.LaneStats) float64) {
		a.metrics.Group(name, help, "lane", func() (all []metrics.Sample, err error) {
			for _, l := range a.pool.Stats() {
				all = append(all, metrics.Sample{Label: strconv.Itoa(l.Lane), Value: of(l)})
			}
			return all, nil
		})
	}
	figure("ezscale_lane_connections_in_use", "Connections of the lane that carry a transaction.", func(l tenancy.LaneStats) float64 { return float64(l.InUse) })
	figure("ezscale_lane_connections_idle", "Connections of the lane that wait for one.", func(l tenancy.LaneStats) float64 { return float64(l.Idle) })
	figure("ezscale_lane_waits", "Transactions that had to wait for a connection since the start.", func(l tenancy.LaneStats) float64 { return float64(l.Waits) })
	figure("ezscale_lane_wait_seconds", "All of that waiting together.", func(l tenancy.LaneStats) float64 { return l.Waited.Seconds() })
	a.metrics.Group("ezscale_part_up", "1 when the part is well, as /readyz says.", "part", func() (all []metrics.Sample, err error) {
		ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
		defer cancel()
		for name, said := range a.health.Ask(ctx).Parts {
			up := 0.0
			if said == "ok" {
				up = 1
			}
			all = append(all, metrics.Sample{Label: name, Value: up})
		}
		return all, nil
	})
}

// countWork tells what waits: jobs, and spares for the next resellers.
func (a *app) countWork(jobs *queue.Jobs) {
	a.metrics.Group("ezscale_jobs", "Jobs by state.", "state", func() (all []metrics.Sample, err error) {
		ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
		defer cancel()
		counts, err := jobs.Count(ctx)
		for state, n := range counts {
			all = append(all, metrics.Sample{Label: string(state), Value: float64(n)})
		}
		return all, err
	})
	a.metrics.Group("ezscale_spares", "Empty tenants in stock, by lane.", "lane", func() (all []metrics.Sample, err error) {
		ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
		defer cancel()
		var rows []struct {
			Lane int
			N    int
		}
		err = a.central.View(ctx, func(tx *tenancy.CentralTx) error {
			return tx.NewRaw("SELECT lane, count(*) AS n FROM spares GROUP BY lane").Scan(ctx, &rows)
		})
		lanes := make([]float64, a.pool.Lanes())
		for _, r := range rows {
			if r.Lane < len(lanes) {
				lanes[r.Lane] = float64(r.N)
			}
		}
		for lane, n := range lanes {
			all = append(all, metrics.Sample{Label: strconv.Itoa(lane), Value: n})
		}
		return all, err
	})
}

// countCollected tells how far behind the books are with what the platform takes for shops.
func (a *app) countCollected(d *wholesale.Desk) {
	read := func(of func(n int, since time.Time) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
			defer cancel()
			n, since, err := d.Waiting(ctx)
			if err != nil {
				return math.NaN()
			}
			return of(n, since)
		}
	}
	a.metrics.Gauge("ezscale_collected_waiting", "Payments taken for resellers of which something is told and not booked yet.", nil, read(func(n int, _ time.Time) float64 { return float64(n) }))
	a.metrics.Gauge("ezscale_collected_waiting_seconds", "How long the first of them waits.", nil, read(func(n int, since time.Time) float64 {
		if n == 0 {
			return 0
		}
		return max(a.clock().Sub(since).Seconds(), 0)
	}))
}

// countDomains tells where customers' domains stand.
func (a *app) countDomains(o *domain.Overview) {
	a.metrics.Group("ezscale_domains", "Customers' domains by state.", "state", func() (all []metrics.Sample, err error) {
		ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
		defer cancel()
		s, err := o.Summary(ctx)
		for _, state := range domain.States() {
			if state != domain.Removed {
				all = append(all, metrics.Sample{Label: string(state), Value: float64(s.ByState[state])})
			}
		}
		return all, err
	})
}
