package tenancy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

var (
	// ErrNoTenant is returned for a binding without a tenant.
	ErrNoTenant = errors.New("tenancy: no tenant")
	// ErrRolledBack is returned by Update when a statement failed, its error was
	// swallowed by fn, and Postgres therefore refused to commit.
	ErrRolledBack = errors.New("tenancy: a statement failed and was ignored: rolled back")
	// ErrRefused is returned for a statement that is not one about data.
	ErrRefused = errors.New("tenancy: a bound transaction does not run this kind of statement")
	// ErrEscaped is returned when the transaction was not the one we began any more.
	ErrEscaped = errors.New("tenancy: the transaction was ended by a statement")
)

// Config opens a Pool.
type Config struct {
	DSN          string                   // its user and password are replaced by the lane's
	Password     func(role string) string // nil: no passwords (sockets with trust)
	Lanes        int                      // as many as the database was installed with
	ConnsPerLane int32                    // 2 is a good start
	InFlight     int                      // transactions at once over all lanes; 0: no bound
	MaxLifetime  time.Duration            // a backend remembers every tenant it met until it closes
	Clock        Clock                    // nil: the wall clock
	Cold         *Builder                 // builds when a Claim finds no spare; nil: such a claim fails
	Claims       bool                     // connections are made ready to claim, for programs in which people sign up
}

// Pool holds one small pool of connections a lane. Its methods are safe for
// concurrent use.
type Pool struct {
	cfg      Config
	inFlight chan struct{}

	resizing sync.Mutex     // one change of the lanes at a time
	retiring sync.WaitGroup // lanes that wait for their last transactions
	mu       sync.RWMutex   // held while set is read and entered, so that no lane is closed in between
	set      *laneSet
	nodes    nodes
}

// laneSet is the lanes between two changes of their number, and who uses them.
type laneSet struct {
	lanes []lane
	users sync.WaitGroup
}

type lane struct {
	pool *pgxpool.Pool
	db   *sql.DB // the same pool for bun, which wants *sql.Rows
}

// Open makes the pools. It connects to nothing.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	if cfg.Clock == nil {
		cfg.Clock = wallClock
	}
	p := &Pool{cfg: cfg}
	if cfg.InFlight > 0 {
		p.inFlight = make(chan struct{}, cfg.InFlight)
	}
	lanes, err := openLanes(ctx, cfg, 0, cfg.Lanes)
	if err != nil {
		return nil, err
	}
	p.set = &laneSet{lanes: lanes}
	return p, nil
}

// wallClock is the one place where the running program's clock comes from.
func wallClock() time.Time { return time.Now() } //nolint:forbidigo // somebody has to ask

// openLanes makes the pools of lanes from up to, without to.
func openLanes(ctx context.Context, cfg Config, from, to int) ([]lane, error) {
	if to < 1 || to > MaxLanes {
		return nil, fmt.Errorf("tenancy: %d lanes: at least 1 and at most %d", to, MaxLanes)
	}
	var lanes []lane
	for i := from; i < to; i++ {
		var ready func(context.Context, *pgx.Conn) error
		if cfg.Claims {
			ready = readyToClaim
		}
		pool, err := openLogin(ctx, cfg, LaneLogin(i), cfg.ConnsPerLane, ready)
		if err != nil {
			closeLanes(lanes)
			return nil, fmt.Errorf("open lane %d: %w", i, err)
		}
		lanes = append(lanes, lane{pool: pool, db: stdlib.OpenDBFromPool(pool)})
	}
	return lanes, nil
}

// openLogin makes a pool that logs in as one of the platform's roles. ready, when not nil,
// is done on each new connection.
func openLogin(ctx context.Context, cfg Config, role string, conns int32, ready func(context.Context, *pgx.Conn) error) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, err
	}
	c.ConnConfig.User, c.ConnConfig.Password = role, ""
	if cfg.Password != nil {
		c.ConnConfig.Password = cfg.Password(role)
	}
	// exec: bun puts the arguments into the text, so that every text is another and
	// a cache of prepared statements would only thrash; and a transaction pooler
	// between us and Postgres changes nothing.
	c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.ConnConfig.BuildContextWatcherHandler = newCanceller
	c.AfterConnect = ready
	c.MaxConns = max(conns, 1)
	c.MaxConnLifetime = 30 * time.Minute
	if cfg.MaxLifetime > 0 {
		c.MaxConnLifetime = cfg.MaxLifetime
	}
	c.MaxConnLifetimeJitter = c.MaxConnLifetime / 5
	return pgxpool.NewWithConfig(ctx, c)
}

// Close closes every lane. It waits for transactions in flight.
func (p *Pool) Close() {
	p.resizing.Lock()
	defer p.resizing.Unlock()
	p.retiring.Wait()
	closeLanes(p.set.lanes)
}

func closeLanes(lanes []lane) {
	for _, l := range lanes {
		_ = l.db.Close()
		l.pool.Close()
	}
}

// enter keeps the lanes of this moment open until leave is called.
func (p *Pool) enter() (set *laneSet, leave func()) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.set.users.Add(1)
	return p.set, p.set.users.Done
}

// Lanes is the number of lanes the pool uses now.
func (p *Pool) Lanes() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.set.lanes)
}

// Bind returns the handle on t.
func (p *Pool) Bind(t Tenant) *DB { return &DB{pool: p, tenant: t} }

// DB is a handle on one tenant's data. It holds no connection and may be copied
// and kept.
type DB struct {
	pool   *Pool
	tenant Tenant
}

// Tenant is whom the handle is bound to.
func (db *DB) Tenant() Tenant { return db.tenant }

// View runs fn in a read-only transaction.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, "BEGIN READ ONLY", fn)
}

// Update runs fn in a transaction and commits it when fn returns nil. fn is run
// again, from its start, when Postgres reports a serialization failure or a
// deadlock: it must not touch anything but tx. Retries do not cure deadlocks: lock
// rows in one order.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, "BEGIN", fn)
}

// UpdateSerializable is Update at isolation level SERIALIZABLE.
func (db *DB) UpdateSerializable(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE", fn)
}

func (db *DB) run(ctx context.Context, begin string, fn func(*Tx) error) error {
	id := db.tenant.ID
	if id.IsZero() {
		return ErrNoTenant
	}
	release, err := db.pool.admit(ctx)
	if err != nil {
		return err
	}
	defer release()
	return retry(ctx, func() error {
		set, leave := db.pool.enter() // anew each time: the lanes may change between two attempts
		defer leave()
		return once(ctx, set.lanes[id.Lane(len(set.lanes))].db, begin+bind(id)+db.askClock(), func(w *wire) error {
			now := w.clock
			if now.IsZero() {
				now = db.clock()()
			}
			return fn(&Tx{statements: statements{wire: w, now: now}, tenant: id, zone: db.tenant.TimeZone, twin: !w.clock.IsZero(), nodes: &db.pool.nodes})
		})
	})
}

// askClock is what the message that begins a sandbox's transaction ends with: its time is
// kept in the database, so that every process goes by it from the moment it was turned.
// Its commits do not wait for the disk. Should the server fall over, the last moments of
// the twin are lost all together, work and the list of work, and are lived again.
func (db *DB) askClock() string {
	if !db.tenant.Sandbox || db.tenant.Clock != nil {
		return ""
	}
	return "; SET LOCAL synchronous_commit = off; SELECT (extract(epoch FROM door.clock()) * 1000000)::bigint"
}

// admit bounds the transactions in flight, so that a burst queues here and not in Postgres.
func (p *Pool) admit(ctx context.Context) (release func(), err error) {
	if p.inFlight == nil {
		return func() {}, nil
	}
	select {
	case p.inFlight <- struct{}{}:
		return func() { <-p.inFlight }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a transaction: %w", ctx.Err())
	}
}

// Now is the time on the tenant's clock, UTC, for what is remembered from one
// transaction to the next. Within one, its own Now counts; a sandbox's clock, which is
// kept in the database, is only there.
func (db *DB) Now() time.Time { return db.clock()().UTC() }

func (db *DB) clock() Clock {
	if db.tenant.Clock != nil {
		return db.tenant.Clock
	}
	return db.pool.cfg.Clock
}

const maxAttempts = 6

func retry(ctx context.Context, attempt func() error) error {
	for n := 1; ; n++ {
		err := attempt()
		if err == nil || !retryable(err) || n == maxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(n*n) * 2 * time.Millisecond)): //nolint:gosec // jitter
		}
	}
}

func retryable(err error) bool {
	state, _ := violated(err)
	return state == "40001" || state == "40P01"
}

// once is one attempt: begin, fn, commit. Whatever happens, the connection goes
// back to the pool outside any transaction or is closed.
func once(caller context.Context, db *sql.DB, begin string, fn func(*wire) error) error {
	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	w, err := acquire(ctx, db)
	if err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	w.caller = caller.Done()
	defer w.release() // after cancel: it closes rows that fn forgot, or release would wait for them
	defer cancel()
	if err := w.begin(begin); err != nil {
		return fmt.Errorf("begin: %w", cancelled(caller, err))
	}
	if err := fn(w); err != nil { // a panic passes through release
		return cancelled(caller, err)
	}
	return cancelled(caller, w.commit())
}

// cancelled adds the reason when Postgres stopped a statement because we asked it to:
// whoever waits wants to see the context's error, not only Postgres's.
func cancelled(ctx context.Context, err error) error {
	if hasState(err, "57014") && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// bind is the rest of the message that begins a transaction. pg_temp stands last:
// left out it would be searched first, and a temporary table could stand in for a
// real one.
func bind(id ID) string {
	n := id.Schema()
	return "; SET LOCAL ROLE " + n + "; SET LOCAL search_path TO " + n + ", pg_temp"
}

// IsDenied reports whether Postgres refused err's statement for want of a right.
func IsDenied(err error) bool { return hasState(err, "42501") }

// IsTaken reports whether err is a violation of the unique constraint or index
// named; any, when the name is empty.
func IsTaken(err error, constraint string) bool {
	state, name := violated(err)
	return state == "23505" && (constraint == "" || name == constraint)
}

// IsNoRows reports whether err says that a query found nothing.
func IsNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) || errors.Is(err, pgx.ErrNoRows) }

func hasState(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}
