package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/ezscale/ezscale/tenancy"
)

// ScheduleConfig opens a Scheduler.
type ScheduleConfig struct {
	Central *tenancy.Central
	// Session opens a connection for the lock that says which node ticks.
	Session func(ctx context.Context) (*pgx.Conn, error)
	Clock   clockwork.Clock // nil: the wall clock; tests turn their own
	Log     *slog.Logger
}

// Scheduler says when. A tick does one thing: it enqueues a job of the platform that
// is unique for its stretch of time. Of all nodes one ticks; were two to tick, the job
// would still be one. A tick that was missed needs no making up for, because its job
// does whatever is due by now.
type Scheduler struct {
	cfg     ScheduleConfig
	cron    gocron.Scheduler
	elector *elector
	ctx     context.Context //nolint:containedctx // gocron calls the ticks; they end with Run
	mu      sync.Mutex
	ticks   map[string]int64
}

// NewScheduler makes a scheduler with a tick a minute for each kind of due work that
// w handles; Schedule adds more. It connects to nothing.
func NewScheduler(cfg ScheduleConfig, w *Workers) (*Scheduler, error) {
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Scheduler{cfg: cfg, elector: &elector{open: cfg.Session}, ticks: map[string]int64{}}
	cron, err := gocron.NewScheduler(gocron.WithClock(cfg.Clock), gocron.WithLocation(time.UTC),
		gocron.WithDistributedElector(s.elector), gocron.WithStopTimeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	s.cron = cron
	for _, kind := range w.due {
		if err := Schedule(s, "due "+kind, dueEvery, scanJob{Due: kind}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// dueEvery is how often the agenda of a kind is read.
const dueEvery = time.Minute

// Schedule has a job of the platform's enqueued once in every stretch of the given
// length (counted from midnight UTC, at most a day), from the moment Run begins. The
// name keeps several schedules of one kind apart and is part of the natural key: it
// stays.
func Schedule(s *Scheduler, name string, every time.Duration, job tenancy.Job) error {
	if every < time.Second || every > 24*time.Hour {
		return fmt.Errorf("schedule %s: every %v is not between a second and a day", name, every)
	}
	_, err := s.cron.NewJob(gocron.DurationJob(every), gocron.NewTask(func() { s.tick(name, every, job) }),
		gocron.WithName(name), gocron.WithStartAt(gocron.WithStartImmediately()),
		gocron.WithSingletonMode(gocron.LimitModeReschedule))
	if err != nil {
		return fmt.Errorf("schedule %s: %w", name, err)
	}
	return nil
}

func (s *Scheduler) tick(name string, every time.Duration, job tenancy.Job) {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	at := s.cfg.Clock.Now().UTC().Truncate(every)
	err := s.cfg.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.Enqueue(ctx, job, tenancy.JobOptions{Key: name + " " + at.Format(time.RFC3339)})
		return err
	})
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "tick lost; the next one does its work", "tick", name, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticks[name]++
}

// Ticks is how often each schedule has ticked on this node.
func (s *Scheduler) Ticks() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int64, len(s.ticks))
	for name, n := range s.ticks {
		counts[name] = n
	}
	return counts
}

// Leads reports whether this node is the one that ticks.
func (s *Scheduler) Leads() bool { return s.elector.leads() }

// Run ticks until ctx ends, and returns when the ticks under way are done.
func (s *Scheduler) Run(ctx context.Context) error {
	s.ctx = ctx
	s.cron.Start()
	<-ctx.Done()
	err := s.cron.Shutdown()
	s.elector.resign(ctx)
	if err != nil {
		return fmt.Errorf("stop scheduler: %w", err)
	}
	return nil
}

// elector makes the holder of one advisory lock the node that ticks. The lock lives
// with its connection: when the node or the network dies, Postgres gives it away.
type elector struct {
	open func(ctx context.Context) (*pgx.Conn, error)
	mu   sync.Mutex
	conn *pgx.Conn
}

const electorLock = 0x657a7469636b // "eztick"

var errNotLeader = errors.New("queue: another node ticks")

// IsLeader is asked by gocron before every tick; nil means yes.
func (e *elector) IsLeader(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if e.conn != nil {
		if err := e.conn.Ping(ctx); err == nil {
			return nil
		}
		closeSoon(ctx, e.conn)
		e.conn = nil
	}
	c, err := e.open(ctx)
	if err != nil {
		return err
	}
	var got bool
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", electorLock).Scan(&got); err != nil || !got {
		closeSoon(ctx, c)
		return errors.Join(errNotLeader, err)
	}
	e.conn = c
	return nil
}

func (e *elector) leads() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn != nil && !e.conn.IsClosed()
}

func (e *elector) resign(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil {
		closeSoon(ctx, e.conn)
		e.conn = nil
	}
}
