package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/twin"
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
		Month: name, Invoices: m.Invoices, Invoiced: m.Invoiced.Decimal(), Received: m.Received.Decimal(), Refunded: m.Refunded.Decimal(),
		Declined: m.Declined, Suspended: m.Suspended, Ended: m.Ended,
	}
	if m.Wholesale.Currency != "" {
		v.Wholesale, v.Margin = m.Wholesale.Decimal(), m.Margin.Decimal()
	}
	return v
}
