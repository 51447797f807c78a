package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/twin"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
)

// twinDesk is the list of twins.
func (a *app) twinDesk() *twins.Desk { return &twins.Desk{Central: a.central} }

// twinHouse joins what works on twins with the jobs of the program.
func (a *app) twinHouse(ctx context.Context, w *queue.Workers) (*twinhouse.House, error) {
	db := tenancyConfig(a.cfg.Database, a.ring, a.clock)
	river, err := tenancy.OpenQueue(ctx, db, 2)
	if err != nil {
		return nil, err
	}
	a.onClose("jobs of twins", func(context.Context) error { river.Close(); return nil })
	library, err := a.openMedia()
	if err != nil {
		return nil, err
	}
	sessions := identity.NewSessions(a.redis, a.clock)
	return &twinhouse.House{
		Desk: a.twinDesk(), Pool: a.pool, Central: a.central, Tenants: a.resolver, River: river, Workers: w, Mail: mail.NewOutbox(a.ring),
		Owner:   func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, a.cfg.Database.URL) },
		Session: func(ctx context.Context) (*pgx.Conn, error) { return tenancy.OpenSession(ctx, db, tenancy.RiverLogin) },
		Forget: func(ctx context.Context, id tenancy.ID) error {
			return errors.Join(library.Forget(ctx, id), sessions.EndTenant(ctx, id))
		},
	}, nil
}

// twinReports works reports out of what both planes know of a twin.
type twinReports struct {
	pool    *tenancy.Pool
	tenants *tenancy.Resolver
	book    *wholesale.Desk
}

func (a *app) twinReports() twinReports {
	return twinReports{pool: a.pool, tenants: a.resolver, book: &wholesale.Desk{Central: a.central}}
}

// Report is what came of a twin's time, with what the platform would ask for it.
func (r twinReports) Report(ctx context.Context, t twins.Twin) (twin.Report, error) {
	tenant, ok := r.tenants.ByID(t.TenantID)
	if !ok || t.State != twins.Ready {
		return twin.Report{}, fault.New(fault.Conflict, "twin.not_ready", "This twin is not ready.")
	}
	report, err := twin.Read(ctx, r.pool.Bind(tenant), t.BeganAt)
	if err != nil {
		return report, err
	}
	months, err := r.book.PreviewMonths(ctx, t.TenantID, t.BeganAt, t.NowAt)
	if err != nil {
		return report, err
	}
	for _, m := range months {
		if len(m.Lines) == 0 || len(m.Missing) > 0 {
			continue // nobody to bill, or not all of it has a price
		}
		if err := report.Charge(m.Month.From, m.Net); err != nil {
			return report, err
		}
	}
	return report, nil
}

func reportView(t twins.Twin, r twin.Report) twinReportView {
	v := twinReportView{Twin: viewOfTwin(t), Currency: r.Currency, Running: r.Running, Open: r.Open.Decimal(), Sum: monthView("sum", r.Sum)}
	for _, m := range r.Months {
		v.Months = append(v.Months, monthView(m.From.Format("2006-01"), m))
	}
	return v
}

func monthView(name string, m twin.Month) twinMonthView {
	v := twinMonthView{
		Month: name, Invoices: m.Invoices, Invoiced: m.Invoiced.Decimal(), Used: m.Used.Decimal(), Received: m.Received.Decimal(), Refunded: m.Refunded.Decimal(),
		Declined: m.Declined, Suspended: m.Suspended, Ended: m.Ended,
	}
	if m.Wholesale.Currency != "" {
		v.Wholesale, v.Margin = m.Wholesale.Decimal(), m.Margin.Decimal()
	}
	return v
}

// shopTwins answers the pages of a shop's team about its twins, and of none else's.
type shopTwins struct {
	desk     *twins.Desk
	reports  twinReports
	pool     *tenancy.Pool
	tenants  *tenancy.Resolver
	postman  *mail.Postman
	platform string
}

var _ tenantweb.Twins = shopTwins{}

func (a *app) shopTwins(letters *mail.Letters, senders mail.Senders) shopTwins {
	return shopTwins{
		desk: a.twinDesk(), reports: a.twinReports(), pool: a.pool, tenants: a.resolver, platform: a.cfg.Hosts.Platform,
		postman: &mail.Postman{Sealer: a.ring, Letters: letters, Senders: senders, Log: a.log},
	}
}

func (s shopTwins) shown(t twins.Twin) tenantweb.TwinShown {
	return tenantweb.TwinShown{
		ID: t.ID, Name: t.Name, Host: t.Slug + "." + s.platform, State: string(t.State), Problem: t.Problem, Differs: differs(t.Options),
		Began: t.BeganAt, Now: t.NowAt, Goal: t.GoalAt, Expire: t.ExpiresAt, Percent: t.Percent(), Jobs: t.Jobs, Failures: t.Failures,
		Ready: t.State == twins.Ready, Moving: t.Advancing(),
	}
}

// differs says what was changed in a twin.
func differs(o twins.Options) string {
	switch {
	case o.Raise == 0:
		return "Today's prices"
	case !o.Running:
		return fmt.Sprintf("Prices %+g %% for new customers", o.Raise)
	case o.Leave > 0:
		return fmt.Sprintf("Prices %+g %%, %g %% of the customers leave", o.Raise, o.Leave)
	}
	return fmt.Sprintf("Prices %+g %%", o.Raise)
}

// List returns a shop's twins.
func (s shopTwins) List(ctx context.Context, of tenancy.ID) ([]tenantweb.TwinShown, error) {
	all, err := s.desk.List(ctx, of)
	shown := make([]tenantweb.TwinShown, len(all))
	for i, t := range all {
		shown[i] = s.shown(t)
	}
	return shown, err
}

// Get returns one of a shop's.
func (s shopTwins) Get(ctx context.Context, of tenancy.ID, id uuid.UUID) (tenantweb.TwinShown, error) {
	t, err := s.desk.Of(ctx, of, id)
	return s.shown(t), err
}

// Ask reads the form and has a twin made.
func (s shopTwins) Ask(ctx context.Context, of tenancy.ID, a tenantweb.TwinAsked, by audit.Origin) (tenantweb.TwinShown, error) {
	o := twins.Options{Seed: 1, Running: a.Running, Names: a.Names, Invite: twins.Invited{Name: a.ByName, Email: a.ByEmail}}
	wrong := map[string]string{}
	for field, x := range map[string]struct {
		typed string
		into  *float64
	}{"raise": {a.Raise, &o.Raise}, "leave": {a.Leave, &o.Leave}, "short": {a.Short, &o.Short}, "expired": {a.Expired, &o.Expired}} {
		typed := strings.TrimSpace(strings.ReplaceAll(x.typed, ",", "."))
		if typed == "" {
			continue
		}
		v, err := strconv.ParseFloat(typed, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			wrong[field] = "Give a number, such as 5 or 2.5."
			continue
		}
		*x.into = v
	}
	if d := strings.TrimSpace(a.Days); d != "" {
		n, err := strconv.Atoi(d)
		if err != nil || n < 1 {
			wrong["days"] = "Give a number of days."
		}
		o.Days = n
	}
	if err := fault.Fields("twin.invalid", wrong); err != nil {
		return tenantweb.TwinShown{}, err
	}
	t, err := s.desk.Ask(ctx, of, a.Name, o, a.Key, by)
	if err == nil && t.OfID != of {
		err = fault.New(fault.NotFound, "twin.unknown", "There is no such twin.") // another shop's form
	}
	if err != nil {
		return tenantweb.TwinShown{}, err
	}
	return s.shown(t), nil
}

// Advance has a twin's clock turned.
func (s shopTwins) Advance(ctx context.Context, of tenancy.ID, id uuid.UUID, to func(time.Time) time.Time, by audit.Origin) error {
	t, err := s.desk.Of(ctx, of, id)
	if err != nil {
		return err
	}
	return s.desk.Advance(ctx, of, id, to(t.NowAt), by)
}

// Halt asks an advance to end.
func (s shopTwins) Halt(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error {
	return s.desk.Halt(ctx, of, id, by)
}

// Drop has a twin removed.
func (s shopTwins) Drop(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error {
	return s.desk.Drop(ctx, of, id, by)
}

// Report is what came of a twin's time.
func (s shopTwins) Report(ctx context.Context, of tenancy.ID, id uuid.UUID) (twin.Report, error) {
	t, err := s.desk.Of(ctx, of, id)
	if err != nil {
		return twin.Report{}, err
	}
	return s.reports.Report(ctx, t)
}

// inside binds to one of a shop's twins.
func (s shopTwins) inside(ctx context.Context, of tenancy.ID, id uuid.UUID) (*tenancy.DB, error) {
	t, err := s.desk.Of(ctx, of, id)
	if err != nil {
		return nil, err
	}
	tenant, ok := s.tenants.ByID(t.TenantID)
	if !ok || !tenant.Sandbox || t.State != twins.Ready {
		return nil, fault.New(fault.Conflict, "twin.not_ready", "This twin is not ready.")
	}
	return s.pool.Bind(tenant), nil
}

// Mails lists what a twin wrote.
func (s shopTwins) Mails(ctx context.Context, of tenancy.ID, id uuid.UUID, f mail.LogFilter) (found []mail.Logged, total int, err error) {
	db, err := s.inside(ctx, of, id)
	if err != nil {
		return nil, 0, err
	}
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		found, total, err = mail.Log(ctx, tx, f)
		return err
	})
	return found, total, err
}

// Mail is one of them as it would have been sent.
func (s shopTwins) Mail(ctx context.Context, of tenancy.ID, id, letter uuid.UUID) (mail.Logged, mail.Letter, error) {
	db, err := s.inside(ctx, of, id)
	if err != nil {
		return mail.Logged{}, mail.Letter{}, err
	}
	return s.postman.Trapped(ctx, db, letter)
}
