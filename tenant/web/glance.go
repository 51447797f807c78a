package web

import (
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/report"
)

// glance is what the dashboard shows of the whole shop: counts, and sums for who may see
// them.
type glance struct {
	Figures  overview.Figures
	Shop     overview.Shop
	Wanting  report.Wanting
	Business report.Figures
	Room     Room
}

// Glances remembers what dashboards show for a second: it is counted over all customers,
// invoices and subscriptions of a shop, and ten people of a team who look at once would
// have it counted ten times. A change made in the office is seen at once. The zero value
// is ready; nil remembers nothing. It is safe for concurrent use.
type Glances struct {
	mu    sync.Mutex
	known map[tenancy.ID]map[glanceKey]*remembered
}

type glanceKey struct {
	currency string
	sums     bool
}

type remembered struct {
	at time.Time
	glance
}

const (
	// glanceFor is how old a glance may be; while one is made anew, once more as old.
	glanceFor = time.Second
	// maxGlances bounds the shops whose figures are kept.
	maxGlances = 4096
)

// find returns a glance that is young enough. Of those who find it too old the first is
// told to make it anew, and the others take it as it is once more.
func (g *Glances) find(t tenancy.ID, k glanceKey, now time.Time) (glance, bool) {
	if g == nil {
		return glance{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.known[t][k]
	if !ok || now.Before(r.at) || now.Sub(r.at) >= 2*glanceFor {
		return glance{}, false
	}
	if now.Sub(r.at) >= glanceFor {
		r.at = now.Add(-glanceFor / 2)
		return glance{}, false
	}
	return r.glance, true
}

func (g *Glances) keep(t tenancy.ID, k glanceKey, now time.Time, found glance) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil || len(g.known) >= maxGlances {
		g.known = map[tenancy.ID]map[glanceKey]*remembered{}
	}
	if g.known[t] == nil {
		g.known[t] = map[glanceKey]*remembered{}
	}
	g.known[t][k] = &remembered{now, found}
}

// forget makes the next who looks count anew.
func (g *Glances) forget(tenant tenancy.ID) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, tenant)
}

// forgetting is a route of the office after whose changes nothing of before is
// remembered.
func (g *Glances) forgetting(r surface.Route) surface.Route {
	if r.Method == fiber.MethodGet || !strings.HasPrefix(r.Path, "/manage/") {
		return r
	}
	change := r.Handler
	r.Handler = func(c *fiber.Ctx) error {
		err := change(c)
		if t, ok := surface.Tenant(c); ok {
			g.forget(t.ID)
		}
		return err
	}
	return r
}
