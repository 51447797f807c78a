package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"go.opentelemetry.io/otel/trace"

	"github.com/ezscale/ezscale/tenancy"
)

// Tenants is how the queue learns who a job's tenant is; *tenancy.Resolver is one.
type Tenants interface {
	ByID(id tenancy.ID) (tenancy.Tenant, bool)
	RefreshTenant(ctx context.Context, ids ...tenancy.ID) error
}

// Metrics hears of every attempt that ended. outcome is one of the constants of this
// package; waited is how long the job was due before it began.
type Metrics interface {
	JobEnded(kind, outcome string, waited, took time.Duration)
}

// Config opens a Queue. Zero values mean the usual ones.
type Config struct {
	Database tenancy.Config // DSN and passwords; the queue logs in as tenancy.RiverLogin
	Pool     *tenancy.Pool
	Central  *tenancy.Central
	Tenants  Tenants
	Queues   map[string]int // name → jobs at once; nil: "default" with 10
	Conns    int32          // of the queue's own pool; 0: 4
	Timeout  time.Duration  // of one attempt; 0: a minute
	Grace    time.Duration  // how long a stop waits for running jobs; 0: 20 s
	// SessionDSN leads to Postgres itself when Database.DSN leads to a transaction
	// pooler; empty: Database.DSN does. With it set, jobs are found by polling.
	SessionDSN string
	Log        *slog.Logger
	Metrics    Metrics
	Tracer     trace.Tracer // nil: nothing is traced
	// Orphans is how often a node looks for jobs whose worker died; 0: 5 s.
	Orphans time.Duration
}

func (c Config) filled() Config {
	if c.Queues == nil {
		c.Queues = map[string]int{river.QueueDefault: 10}
	}
	if c.Conns == 0 {
		c.Conns = 4
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.Grace <= 0 {
		c.Grace = 20 * time.Second
	}
	if c.Orphans <= 0 {
		c.Orphans = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// session opens a connection that keeps its session.
func (c Config) session(ctx context.Context) (*pgx.Conn, error) {
	db := c.Database
	if c.SessionDSN != "" {
		db.DSN = c.SessionDSN
	}
	return tenancy.OpenSession(ctx, db, tenancy.RiverLogin)
}

// Queue works jobs.
type Queue struct {
	cfg    Config
	node   string
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

// Open makes a queue that works what w can do. It connects to nothing.
func Open(ctx context.Context, cfg Config, w *Workers) (*Queue, error) {
	cfg = cfg.filled()
	w.desk.cfg = cfg
	pool, err := tenancy.OpenQueue(ctx, cfg.Database, cfg.Conns)
	if err != nil {
		return nil, err
	}
	queues := make(map[string]river.QueueConfig, len(cfg.Queues))
	for name, n := range cfg.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	node := "ez-" + uuid.NewString()
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID: node, Schema: "river", Workers: w.river, Queues: queues, JobTimeout: cfg.Timeout,
		Logger:              slog.New(quiet{cfg.Log.Handler()}),
		PollOnly:            cfg.SessionDSN != "",
		SoftStopTimeout:     cfg.Grace,
		FetchCooldown:       20 * time.Millisecond,
		FetchOnlyKnownKinds: true, // during a roll-out an old node leaves new kinds to the new ones
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open queue: %w", err)
	}
	w.desk.pool = pool
	return &Queue{cfg: cfg, node: node, pool: pool, client: client}, nil
}

// Run works jobs until ctx ends. Then it takes no new ones, waits for those that run
// up to the grace, cancels the rest, which run again elsewhere at once, and returns
// nil. It returns an error only when it could not begin.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.client.Start(ctx); err != nil {
		return fmt.Errorf("start queue: %w", err)
	}
	// The sign of life outlasts ctx: while jobs finish, nobody may take them for orphans.
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { q.keepAlive(alive) })
	beside.Go(func() { q.sweep(ctx) })
	<-q.client.Stopped()
	stop()
	beside.Wait()
	return nil
}

// Close closes the connections. Call it after Run has returned.
func (q *Queue) Close() { q.pool.Close() }

// Jobs is the view of this queue's jobs.
func (q *Queue) Jobs() *Jobs { return &Jobs{pool: q.pool, client: q.client} }

// quiet passes on River's warnings and errors; its chatter is ours to make.
type quiet struct{ slog.Handler }

func (h quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(a)} }
func (h quiet) WithGroup(n string) slog.Handler      { return quiet{h.Handler.WithGroup(n)} }

// keepAlive holds this node's lock: as long as it is held, the node lives.
func (q *Queue) keepAlive(ctx context.Context) {
	for ctx.Err() == nil {
		err := q.holdLock(ctx)
		if ctx.Err() != nil {
			return
		}
		q.cfg.Log.WarnContext(ctx, "queue: sign of life lost; taking it again", "error", err)
		pause(ctx, 500*time.Millisecond)
	}
}

func (q *Queue) holdLock(ctx context.Context) error {
	c, err := q.cfg.session(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, c)
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", q.node); err != nil {
		return err
	}
	for {
		pause(ctx, 2*time.Second)
		if err := errors.Join(ctx.Err(), c.Ping(ctx)); err != nil {
			return err
		}
	}
}

// sweep frees the jobs of workers that died. River alone would wait an hour. A node
// must be found dead twice: it may have lost only its session.
func (q *Queue) sweep(ctx context.Context) {
	suspects := map[string]bool{}
	for {
		if pause(ctx, q.cfg.Orphans); ctx.Err() != nil {
			return
		}
		dead, err := q.deadNodes(ctx)
		if err != nil {
			q.cfg.Log.WarnContext(ctx, "queue: looking for dead workers failed", "error", err)
			continue
		}
		next := map[string]bool{}
		for _, node := range dead {
			if !suspects[node] {
				next[node] = true
				continue
			}
			n, err := q.adopt(ctx, node)
			if err != nil {
				q.cfg.Log.WarnContext(ctx, "queue: jobs of a dead worker not freed", "error", err)
				next[node] = true
				continue
			}
			q.cfg.Log.InfoContext(ctx, "queue: freed the jobs of a dead worker", "jobs", n)
		}
		suspects = next
	}
}

// deadNodes returns the nodes that have jobs running and hold no lock.
func (q *Queue) deadNodes(ctx context.Context) ([]string, error) {
	rows, err := q.pool.Query(ctx, `SELECT r.node FROM (
			SELECT DISTINCT attempted_by[cardinality(attempted_by)] AS node FROM river.river_job WHERE state = 'running') r
		WHERE r.node IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
			WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
				AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
				AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(r.node, 0))`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// adopt makes the jobs of a dead node available again; one that died with its last
// attempt is dead. Several nodes may do it at once.
func (q *Queue) adopt(ctx context.Context, node string) (int64, error) {
	tag, err := q.pool.Exec(ctx, `UPDATE river.river_job SET
			state = (CASE WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END)::river.river_job_state,
			finalized_at = CASE WHEN attempt >= max_attempts THEN now() END,
			scheduled_at = now(),
			errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', 'the worker died', 'trace', ''))
		WHERE state = 'running' AND attempted_by[cardinality(attempted_by)] = $1`, node)
	return tag.RowsAffected(), err
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func closeSoon(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}
