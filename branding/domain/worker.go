package domain

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// Pace is how patient the worker is. The zero value is the usual one.
type Pace struct {
	Poll      time.Duration // between two looks at the table; 1 s
	Recheck   time.Duration // first wait for a record that is not there yet; 30 s, growing to an hour
	Daily     time.Duration // between two checks of an active name; 24 h
	Parallel  int           // names at once; 16
	KeepDrift time.Duration // how long a name that left us is still served; 7 days
}

func (p Pace) orUsual() Pace {
	set := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	set(&p.Poll, time.Second)
	set(&p.Recheck, 30*time.Second)
	set(&p.Daily, 24*time.Hour)
	set(&p.KeepDrift, 7*24*time.Hour)
	if p.Parallel == 0 {
		p.Parallel = 16
	}
	return p
}

const (
	claimFor     = 3 * time.Minute     // longer than a preflight and an order together
	unprovenDays = 7 * 24 * time.Hour  // then a claim without proof is dropped
	unissuedDays = 14 * 24 * time.Hour // then a name that never got a certificate is dropped
	ownerEvery   = 7 * 24 * time.Hour
	longestWait  = time.Hour
)

// WorkerConfig makes a Worker.
type WorkerConfig struct {
	Central   *tenancy.Central
	Authority *Authority
	Budget    *Budget
	Preflight *Preflight
	Platform  *Platform     // our own names; nil: none are ordered
	Serving   *Certificates // of this process, told of new certificates; may be nil
	News      News          // may be nil
	Pace      Pace
	Log       *slog.Logger
}

// Worker moves domains through their life. Any number of nodes may run one: a name
// is worked on by one of them at a time.
type Worker struct {
	WorkerConfig
	woken chan struct{}
	slots chan struct{}
	busy  sync.WaitGroup
}

// NewWorker prepares a worker.
func NewWorker(cfg WorkerConfig) *Worker {
	cfg.Pace = cfg.Pace.orUsual()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{WorkerConfig: cfg, woken: make(chan struct{}, 1), slots: make(chan struct{}, cfg.Pace.Parallel)}
}

// Wake makes the worker look at the table now.
func (w *Worker) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends and what is under way is done or given up.
func (w *Worker) Run(ctx context.Context) error {
	defer w.busy.Wait()
	tick := time.NewTicker(w.Pace.Poll)
	defer tick.Stop()
	chores := newChores(w)
	for {
		if _, err := w.Step(ctx); err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "the table of domains cannot be read", "error", err)
		}
		chores.run(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.woken:
		case <-tick.C:
		}
	}
}

// Step claims what is due, as many as there are free hands, and starts on each. It
// answers how many.
func (w *Worker) Step(ctx context.Context) (int, error) {
	free := cap(w.slots) - len(w.slots)
	if free == 0 {
		return 0, nil
	}
	due, err := w.claim(ctx, free)
	if err != nil {
		return 0, err
	}
	for _, d := range due {
		w.start(func() { w.tend(ctx, d) })
	}
	started := len(due)
	if w.Platform != nil && started < free {
		names, err := w.Platform.claim(ctx, free-started)
		if err != nil {
			return started, err
		}
		for _, n := range names {
			w.start(func() { w.tendOwn(ctx, n) })
		}
		started += len(names)
	}
	return started, nil
}

// Idle waits until nothing that was started is under way.
func (w *Worker) Idle() { w.busy.Wait() }

func (w *Worker) start(fn func()) {
	w.slots <- struct{}{}
	w.busy.Add(1)
	go func() {
		defer func() { <-w.slots; w.busy.Done() }()
		fn()
		w.Wake() // the next step of the same name may be due at once
	}()
}

// claim takes due names for this worker. A handshake or a person can make a name due
// again meanwhile, but nobody gets it before the claim is over.
func (w *Worker) claim(ctx context.Context, most int) (due []Domain, err error) {
	err = w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var rows []row
		err := tx.NewRaw(`UPDATE domains SET claimed_until = ?0 WHERE id IN (
				SELECT id FROM domains WHERE next_at <= ?1 AND state <> 'removed' AND (claimed_until IS NULL OR claimed_until <= ?1)
				ORDER BY next_at FOR UPDATE SKIP LOCKED LIMIT ?2)
			RETURNING `+columns, tx.Now().Add(claimFor), tx.Now(), most).Scan(ctx, &rows)
		due = domainsOf(rows)
		return err
	})
	return due, err
}

// tend does what is next for one name.
func (w *Worker) tend(ctx context.Context, d Domain) {
	var err error
	switch d.State {
	case Pending, Conflict:
		err = w.seekProof(ctx, d)
	case Active, Drifted:
		err = w.watch(ctx, d)
	case Failing:
		if d.HasCertificate(w.Central.Now()) {
			err = w.watch(ctx, d)
			break
		}
		err = w.bringUp(ctx, d)
	case Verified, Misdirected, CAAForbids, RateLimited, Issuing:
		err = w.bringUp(ctx, d)
	case Removed:
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) {
		w.Log.ErrorContext(ctx, "a domain could not be moved on", "domain", d.Host, "state", d.State, "error", err)
	}
	if err != nil {
		w.release(ctx, d)
	}
}

// errMoved says that the domain was changed by somebody else while we looked.
var errMoved = errors.New("domain: changed meanwhile")

// settle makes a change to the row as it stands now, and ends the claim.
func (w *Worker) settle(ctx context.Context, d Domain, fn func(*tenancy.CentralTx, *Domain) (change, error)) error {
	return w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		now, err := lockDomain(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if now == nil || now.State != d.State {
			return errMoved
		}
		c, err := fn(tx, now)
		if err != nil {
			return err
		}
		if c.code == "" {
			err = save(ctx, tx, now)
		} else {
			err = apply(ctx, tx, now, c, w.News)
		}
		if err != nil {
			return err
		}
		return w.endClaim(ctx, tx, d)
	})
}

func (w *Worker) endClaim(ctx context.Context, tx *tenancy.CentralTx, d Domain) error {
	_, err := tx.NewRaw("UPDATE domains SET claimed_until = NULL WHERE id = ?", d.ID).Exec(ctx)
	return err
}

// release gives a name back that could not be settled: another try in a minute.
func (w *Worker) release(ctx context.Context, d Domain) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE domains SET claimed_until = NULL, next_at = ? WHERE id = ? AND next_at IS NOT NULL", tx.Now().Add(time.Minute), d.ID).Exec(ctx)
		return err
	})
}

// recheck is when to look again after n looks in vain.
func (w *Worker) recheck(now time.Time, n int) *time.Time {
	wait := longestWait
	if n/3 < 12 {
		wait = min(w.Pace.Recheck<<(n/3), longestWait)
	}
	at := now.Add(wait)
	return &at
}
