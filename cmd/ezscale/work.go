package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/central/reseller"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/exchange"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/taxservice"
	"github.com/ezscale/ezscale/themes"
)

type workCmd struct{}

// Run works until it is told to stop.
func (c *workCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := configure[serveConfig]()
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, t.err)
	logConfiguration(log, cfg)
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	err = a.openWork(ctx)
	if err != nil {
		return errors.Join(err, a.close(ctx))
	}
	log.Info("working", "jobs", cfg.Work.Workers, "metrics", cfg.Metrics.Addr)
	return a.runUntilStopped(ctx)
}

// openWork opens what work needs of its own and starts working.
func (a *app) openWork(ctx context.Context) error {
	domains, err := a.openDomains(ctx, mail.NewOutbox(a.ring), trust{})
	if err != nil {
		return err
	}
	return a.work(ctx, domains, branding.NewDesk(themeNames))
}

// The platform's own jobs that the clock enqueues.
type (
	stockJob  struct{}
	trialsJob struct{}
	trailJob  struct{}
)

// Kind names the job.
func (stockJob) Kind() string { return "platform.fill_stock" }

// Kind names the job.
func (trialsJob) Kind() string { return "platform.end_trials" }

// Kind names the job.
func (trailJob) Kind() string { return "platform.complete_trail" }

// work starts the jobs, the clock and the domain worker.
func (a *app) work(ctx context.Context, domains *domain.Service, brands *branding.Desk) error {
	w, err := a.workers(domains, brands)
	if err != nil {
		return err
	}
	if err := a.startQueue(ctx, w); err != nil {
		return err
	}
	a.lookAfterDomains(domains)
	return nil
}

// lookAfterDomains checks names, and orders and renews certificates.
func (a *app) lookAfterDomains(domains *domain.Service) {
	a.countDomains(domains.Overview)
	a.keep("domain worker", domains.Worker.Run)
}

// workers is every job of the program.
func (a *app) workers(domains *domain.Service, brands *branding.Desk) (*queue.Workers, error) {
	letters, err := mail.LoadLetters(themes.Files, themeNames)
	if err != nil {
		return nil, err
	}
	transport, err := openTransport(a.cfg.SMTP)
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = noTransport{}
	}
	postman := &mail.Postman{Sealer: a.ring, Letters: letters, Senders: a.senders(brands), Transport: transport, Log: a.log}
	library, err := a.openMedia()
	if err != nil {
		return nil, err
	}
	desk := newResellerDesk(a.central, a.pool, a.cfg.Hosts.Platform, newOutboxes(a.ring))
	w := queue.NewWorkers()
	// Every job of the program, on one screen.
	queue.Handle(w, postman.Send)
	queue.HandleMany(w, postman.SendMany)
	queue.HandleCentral(w, postman.SendCentral)
	queue.Handle(w, a.webhooks().Deliver)
	invoiceLetters := invoicing.Letters{Mail: mail.NewOutbox(a.ring)}
	queue.Handle(w, invoiceLetters.Write)
	queue.HandleMany(w, invoiceLetters.WriteMany)
	orders := a.checkoutDesk(wholesaleOffers{a.platforms()})
	handleRenewals(w, a.renewalDesk(), orders)
	checkoutJobs(w, orders, a.renewalDesk())
	handleUsage(w, a.meteringDesk())
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ stockJob) error {
		return a.fillStock(ctx, a.wantedSpares())
	}, queue.Timeout(10*time.Minute))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ trialsJob) error {
		_, err := desk.EndDueTrials(ctx)
		return err
	})
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ trailJob) error {
		_, err := desk.CompleteTrail(ctx)
		return err
	})
	queue.HandleCentral(w, func(ctx context.Context, central *tenancy.Central, _ pruneJob) error {
		_, err := pruneLogins(ctx, central, a.pool)
		return err
	}, queue.Timeout(time.Hour))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job reseller.DropJob) error {
		return desk.CarryOut(ctx, job, &dropper{app: a, library: library, domains: domains.Desk, sessions: identity.NewSessions(a.redis, a.clock)})
	}, queue.Timeout(time.Hour))
	a.platformJobs(w)
	a.hostingJobs(w)
	a.paymentJobs(w)
	a.creditJobs(w)
	queue.Due(w, account.NumbersAgenda, a.numberDesk().Tick, queue.Timeout(10*time.Minute))
	queue.Due(w, taxservice.Agenda, a.taxDesk().Tick, queue.Timeout(5*time.Minute))
	queue.Due(w, exchange.Agenda, a.exchangeDesk().Tick, queue.Timeout(time.Minute))
	wholesaleJobs(w, a.wholesaleDesk())
	a.collectionJobs(w, a.wholesaleDesk())
	a.partnerWork(w, desk)
	return w, nil
}

// wantedSpares is how large the stock is to be.
func (a *app) wantedSpares() int { return max(1, a.cfg.Work.Spares*a.pool.Lanes()) }

func (a *app) startQueue(ctx context.Context, w *queue.Workers) error {
	house, err := a.twinHouse(ctx, w)
	if err != nil {
		return err
	}
	house.Register(w)
	db := tenancyConfig(a.cfg.Database, a.ring, a.clock)
	q, err := queue.Open(ctx, queue.Config{
		Database: db, Pool: a.pool, Central: a.central, Tenants: a.resolver, Queues: map[string]int{"default": a.cfg.Work.Workers},
		// Jobs that are then interrupted need a moment to end, within the process's grace.
		Grace: a.cfg.HTTP.Grace * 3 / 4, Log: a.log, Metrics: a.metrics, Tracer: a.tracer,
	}, w)
	if err != nil {
		return err
	}
	a.onClose("queue", func(context.Context) error { q.Close(); return nil })
	s, err := queue.NewScheduler(queue.ScheduleConfig{
		Central: a.central, Log: a.log,
		Session: func(ctx context.Context) (*pgx.Conn, error) { return tenancy.OpenSession(ctx, db, tenancy.RiverLogin) },
	}, w)
	if err != nil {
		return err
	}
	for _, tick := range []struct {
		name  string
		every time.Duration
		job   tenancy.Job
	}{{"stock", time.Minute, stockJob{}}, {"trials", 5 * time.Minute, trialsJob{}}, {"trail", 5 * time.Minute, trailJob{}}, {"logins", 24 * time.Hour, pruneJob{}}, {"wholesale", time.Hour, wholesale.DueJob{}}, {"collect", 5 * time.Minute, wholesale.CollectJob{}}, {"collected", 20 * time.Second, wholesale.CollectedJob{}}, {"twins", time.Minute, twins.TickJob{}}} {
		if err := queue.Schedule(s, tick.name, tick.every, tick.job); err != nil {
			return err
		}
	}
	if err := errors.Join(platformTicks(s), partnerTicks(s)); err != nil {
		return err
	}
	a.keep("queue", q.Run)
	a.keep("clock", s.Run)
	a.countWork(q.Jobs())
	a.countCollected(a.wholesaleDesk())
	return nil
}

// dropper removes what an archived tenant leaves, after it was exported.
type dropper struct {
	app      *app
	library  *media.Library
	domains  *domain.Desk
	sessions *identity.Sessions
}

// Drop exports the tenant to the export directory, gives up its domains and removes it,
// its uploads and sessions last: what is interrupted goes on when it is tried again.
func (d *dropper) Drop(ctx context.Context, id tenancy.ID, now time.Time) error {
	owner, err := pgx.Connect(ctx, d.app.cfg.Database.URL)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer owner.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	export := func(ctx context.Context) error {
		if err := d.app.export(ctx, id, now, d.library); err != nil {
			return err
		}
		return d.app.central.Update(ctx, func(tx *tenancy.CentralTx) error {
			return d.domains.RemoveAll(ctx, tx, id, domain.By{Actor: audit.System("reseller desk")})
		})
	}
	if err := tenancy.Drop(ctx, owner, id, tenancy.DropOptions{Now: now, Export: export}); err != nil {
		return err
	}
	if err := d.library.Forget(ctx, id); err != nil {
		return fmt.Errorf("drop %s: uploads: %w", id.Schema(), err)
	}
	if err := d.sessions.EndTenant(ctx, id); err != nil {
		return fmt.Errorf("drop %s: sessions: %w", id.Schema(), err)
	}
	return nil
}
