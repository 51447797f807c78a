package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/health"
	"github.com/ezscale/ezscale/cmd/ezscale/metrics"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// app is the running program: its parts, built in order and closed in reverse. The
// parts every process has are fields; what only serve or work has is built by them.
type app struct {
	cfg     *serveConfig
	log     *slog.Logger
	clock   tenancy.Clock
	health  *health.Report
	metrics *metrics.Set
	tracer  trace.Tracer // nil: nothing is traced

	ring     *secrets.Keyring
	pool     *tenancy.Pool
	central  *tenancy.Central
	builder  *tenancy.Builder
	redis    *redis.Client
	resolver *tenancy.Resolver
	registry *platform.Registry // see platforms
	hook     *connectHook       // see connectHook
	taker    *wholesale.Taker   // takes what resellers owe; nil: only people do

	loops   sync.WaitGroup
	stop    context.CancelFunc
	loopCtx context.Context
	closers []closer
	failed  chan error // a loop that must not end did
	slack   []byte     // see gcSlack
}

// gcSlack is counted as live by the garbage collector and never touched, so it takes no
// memory. What is live in a process is small and pages are made at a great rate: without
// it a collection would run several times a second, with it at every 64 MiB at least.
const gcSlack = 64 << 20

type closer struct {
	name  string
	close func(context.Context) error
}

// newApp builds what every process has: secrets, database, Redis, directory. It
// does not wait for any of them to answer; see awaitReady.
func newApp(ctx context.Context, cfg *serveConfig, log *slog.Logger) (*app, error) {
	return newAppAt(ctx, cfg, log, time.Now)
}

// newAppAt is newApp by another clock: the demo's, while it makes its history.
func newAppAt(ctx context.Context, cfg *serveConfig, log *slog.Logger, clock tenancy.Clock) (*app, error) {
	a := &app{cfg: cfg, log: log, clock: clock, health: health.New(), metrics: metrics.New(), failed: make(chan error, 1), slack: make([]byte, gcSlack)}
	a.loopCtx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if a.taker, err = newTaker(cfg.Payments); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		open func(context.Context) error
	}{
		{"metrics", a.openMetrics}, {"traces", a.openTraces}, {"secrets", a.openSecrets}, {"database", a.openDatabase},
		{"redis", a.openRedis}, {"directory", a.openDirectory},
	} {
		if err := step.open(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.name, err), a.close(ctx))
		}
	}
	return a, nil
}

// onClose registers how a part is closed; the last opened is closed first.
func (a *app) onClose(name string, f func(context.Context) error) {
	a.closers = append(a.closers, closer{name, f})
}

// keep runs a loop until the program stops. A loop that ends before that is a
// failure of the program: it is reported, and the process ends to be started anew.
func (a *app) keep(name string, loop func(context.Context) error) {
	a.loops.Go(func() {
		err := loop(a.loopCtx)
		if a.loopCtx.Err() != nil {
			return
		}
		a.fail(fmt.Errorf("%s ended: %w", name, err))
	})
}

// fail says that the program cannot go on; the first reason counts.
func (a *app) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// close stops the loops and closes every part in reverse. Each part has the time
// ctx leaves; one that does not make it is named in the error.
func (a *app) close(ctx context.Context) error {
	a.stop()
	var problems []error
	ended := make(chan struct{})
	go func() { a.loops.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		problems = append(problems, errors.New("some loops did not end in time"))
	}
	for _, c := range slices.Backward(a.closers) {
		if err := c.close(ctx); err != nil {
			problems = append(problems, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
	a.closers = nil
	return errors.Join(problems...)
}

// runUntilStopped waits for the end: asked for (ctx), or because a part failed. It
// then reports not ready, keeps serving for the drain, and closes everything.
func (a *app) runUntilStopped(ctx context.Context, shut ...func(context.Context) error) error {
	a.health.Serving()
	var failure error
	select {
	case <-ctx.Done():
		a.log.Info("stopping", "drain", a.cfg.HTTP.Drain.String())
	case failure = <-a.failed:
		a.log.Error("a part failed; stopping", "error", failure)
	}
	a.health.Draining()
	if failure == nil {
		time.Sleep(a.cfg.HTTP.Drain)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.HTTP.Grace)
	defer cancel()
	for _, f := range shut {
		if err := f(grace); err != nil {
			failure = errors.Join(failure, err)
		}
	}
	failure = errors.Join(failure, a.close(grace))
	a.log.Info("stopped")
	return failure
}
