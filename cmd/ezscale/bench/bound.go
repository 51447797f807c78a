package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/ezscale/ezscale/tenancy"
)

const (
	conns       = 64 // keep-alive connections of a load
	inFlight    = 8  // transactions at once: four a core on two cores
	sharedConns = 8  // connections of the unbound floor and the shared pool
)

// planRow is a row of the tenant's table plans, as the list shows it.
type planRow struct {
	bun.BaseModel `bun:"table:plans"`

	ID          uuid.UUID `json:"id"`
	Slug        string    `json:"slug"`
	Name        string    `json:"name"`
	Summary     string    `json:"summary"`
	Facts       string    `json:"facts"`
	Recommended bool      `json:"recommended"`
	Position    int       `json:"position"`
	Visibility  string    `json:"visibility"`
}

// list is the measured query: the same on both sides.
func list(ctx context.Context, q *bun.SelectQuery) ([]planRow, error) {
	rows := make([]planRow, 0, 12)
	err := q.Model(&rows).Where("visibility = ?", "public").Order("position").Limit(12).Scan(ctx)
	return rows, err
}

// bound compares a list of twelve rows through one View with the same query unbound.
func (r *run) bound(ctx context.Context) error {
	for _, n := range []int{100, min(2000, r.Tenants)} {
		f, err := r.grow(ctx, n)
		if err != nil {
			return err
		}
		floor, err := r.listCost(ctx, childSpec{Kind: "list-unbound", DSN: f.dsn, Conns: sharedConns}, n)
		if err != nil {
			return err
		}
		view, err := r.listCost(ctx, childSpec{Kind: "list-bound", DSN: f.dsn, Lanes: f.lanes, Conns: 2}, n)
		if err != nil {
			return err
		}
		at := fmt.Sprintf(" at %d tenants", n)
		r.report("bound", "unbound"+at, floor.perSecond, "req/s")
		r.report("bound", "through View"+at, view.perSecond, "req/s")
		r.report("bound", "unbound: processor time"+at, micros(floor.cpu), "µs/req")
		r.report("bound", "through View: processor time"+at, micros(view.cpu), "µs/req")
		limit := 2.5
		if n > 100 {
			limit = 3
		}
		r.promise("bound", "processor time, View ÷ unbound"+at, float64(view.cpu)/float64(floor.cpu), "×", atMost, limit)
	}
	return r.backendMemory(ctx)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// cost of a request: what the client saw, and the processor time of application and
// database together.
type cost struct {
	outcome
	cpu time.Duration
}

// listCost loads the list with tenants drawn at random and accounts for it.
func (r *run) listCost(ctx context.Context, spec childSpec, tenants int) (cost, error) {
	c, err := r.startChild(ctx, spec)
	if err != nil {
		return cost{}, err
	}
	defer c.stop()
	requests := make([][]byte, tenants)
	for i := range requests {
		requests[i] = get(r.fleet.ids[i].String()+".bench.test", "/plans")
	}
	l := load{addr: c.addr, conns: conns, duration: r.Duration, request: func(int) []byte { return requests[rand.N(tenants)] }} //nolint:gosec // load
	warm := l
	warm.duration = max(r.Duration/2, time.Duration(tenants)*time.Millisecond)
	if _, err := warm.run(ctx); err != nil {
		return cost{}, err
	}
	return r.account(ctx, c, l)
}

// account runs the load and divides the processor time of child and database by the requests.
func (r *run) account(ctx context.Context, c *child, l load) (cost, error) {
	used := func() (time.Duration, error) {
		app, err := cpuOf(c.pid())
		if err != nil {
			return 0, err
		}
		db, err := familyCPU(r.fleet.pg.PID())
		return app + db, err
	}
	before, err := used()
	if err != nil {
		return cost{}, err
	}
	o, err := l.run(ctx)
	if err != nil {
		return cost{}, err
	}
	after, err := used()
	if err != nil {
		return cost{}, err
	}
	return cost{o, (after - before) / time.Duration(o.requests)}, nil
}

// serveListBound serves GET /plans through one View; the tenant is the first label of the host.
func serveListBound(ctx context.Context, spec childSpec) (string, func(), error) {
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: spec.DSN, Lanes: spec.Lanes, ConnsPerLane: spec.Conns, InFlight: inFlight})
	if err != nil {
		return "", nil, err
	}
	return listen(ctx, func(app *fiber.App) {
		app.Get("/plans", func(c *fiber.Ctx) error {
			label, _, _ := strings.Cut(c.Hostname(), ".")
			id, err := tenancy.ParseID(label)
			if err != nil {
				return err
			}
			var rows []planRow
			err = pool.Bind(tenancy.Tenant{ID: id}).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
				rows, err = list(c.UserContext(), tx.NewSelect())
				return err
			})
			if err != nil {
				return err
			}
			return c.JSON(rows)
		})
	}, pool.Close)
}

// serveListUnbound serves the same from one schema, without any tenancy.
func serveListUnbound(ctx context.Context, spec childSpec) (string, func(), error) {
	cfg, err := pgxpool.ParseConfig(spec.DSN)
	if err != nil {
		return "", nil, err
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.ConnConfig.RuntimeParams["search_path"] = floorSchema
	cfg.MaxConns = spec.Conns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return "", nil, err
	}
	db := bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New())
	return listen(ctx, func(app *fiber.App) {
		app.Get("/plans", func(c *fiber.Ctx) error {
			rows, err := list(c.UserContext(), db.NewSelect())
			if err != nil {
				return err
			}
			return c.JSON(rows)
		})
	}, pool.Close)
}

// loopback listens on a free port of the loopback interface.
func loopback(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// listen serves an app on a free port of the loopback interface.
func listen(ctx context.Context, routes func(*fiber.App), closers ...func()) (string, func(), error) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true})
	routes(app)
	ln, err := loopback(ctx)
	if err != nil {
		return "", nil, err
	}
	go func() { _ = app.Listener(ln) }()
	return ln.Addr().String(), func() {
		_ = app.Shutdown()
		for _, c := range closers {
			c()
		}
	}, nil
}

// backendMemory compares the biggest backend after every tenant was met once: lanes
// against one pool shared by all.
func (r *run) backendMemory(ctx context.Context) error {
	n := len(r.fleet.ids)
	lanes, err := r.biggestBackend(ctx, childSpec{Kind: "touch-bound", DSN: r.fleet.dsn, Lanes: r.fleet.lanes, Conns: 2, Tenants: n})
	if err != nil {
		return err
	}
	shared, err := r.biggestBackend(ctx, childSpec{Kind: "touch-shared", DSN: r.fleet.dsn, Conns: sharedConns, Tenants: n})
	if err != nil {
		return err
	}
	at := " after meeting " + strconv.Itoa(n) + " tenants"
	r.report("bound", "biggest backend of one shared pool"+at, float64(shared)/(1<<20), "MB")
	r.report("bound", "biggest backend of the lanes"+at, float64(lanes)/(1<<20), "MB")
	r.promise("bound", "biggest backend, lanes ÷ shared", float64(lanes)/float64(shared), "×", atMost, 1.0/3)
	return nil
}
