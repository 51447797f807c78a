package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// twinCmd is what the pages about twins offer too, for scripts.
type twinCmd struct {
	List    twinListCmd    `cmd:"" help:"List sandbox twins."`
	Advance twinAdvanceCmd `cmd:"" help:"Turn a twin's clock, and wait until it stands there."`
	Report  twinReportCmd  `cmd:"" help:"Show what came of a twin's months; of two, side by side."`
	Drop    twinDropCmd    `cmd:"" help:"Remove a twin."`
}

// tenantCloneCmd makes a twin.
type tenantCloneCmd struct {
	output
	Tenant  string  `arg:"" help:"Number or slug of the shop."`
	As      string  `help:"First label of the twin's host; otherwise made from the shop's."`
	Name    string  `default:"Twin" help:"What it is called."`
	Names   bool    `help:"Customers keep their names and addresses; otherwise they lose them."`
	Seed    int64   `default:"1" help:"Of what happens by chance: two twins with one seed have the same luck."`
	Short   float64 `default:"4" help:"Percent of the saved methods that run short in a month."`
	Expired float64 `default:"1" help:"Percent of the saved methods that expire in a month."`
	Raise   float64 `help:"Percent on all prices; negative: off."`
	Running bool    `help:"The raise also for what runs, from its next invoice."`
	Leave   float64 `help:"Percent of the customers a raise concerns who cancel because of it."`
	Days    int     `default:"14" help:"Until it is dropped."`
}

// withHouse opens the program with every job it has, without serving or working, so that a
// command can turn a clock itself.
func withHouse(ctx context.Context, t *terminal, f func(*app, *twinhouse.House) error) error {
	cfg, err := configure[serveConfig]()
	if err != nil {
		return err
	}
	cfg.Metrics.Addr = "off" // a server beside it has the port
	a, err := newApp(ctx, cfg, newLogger(cfg.Log, t.err))
	if err != nil {
		return err
	}
	defer a.close(context.WithoutCancel(ctx)) //nolint:errcheck // the command is over
	domains, err := a.openDomains(ctx, mail.NewOutbox(a.ring), trust{})
	if err != nil {
		return err
	}
	w, err := a.workers(domains, branding.NewDesk(themeNames))
	if err != nil {
		return err
	}
	h, err := a.twinHouse(ctx, w)
	if err != nil {
		return err
	}
	return f(a, h)
}

// twinView is a twin as the command line shows it.
type twinView struct {
	ID       string     `json:"id"`
	Tenant   string     `json:"tenant,omitempty"`
	Slug     string     `json:"slug,omitempty"`
	Of       string     `json:"of"`
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Began    time.Time  `json:"began_at"`
	Now      time.Time  `json:"now_at"`
	Goal     *time.Time `json:"goal_at,omitempty"`
	Jobs     int64      `json:"jobs"`
	Failures int64      `json:"failures"`
	Problem  string     `json:"problem,omitempty"`
	Expires  time.Time  `json:"expires_at"`
	WorkedMs int64      `json:"worked_ms"`
}

func viewOfTwin(t twins.Twin) twinView {
	v := twinView{
		ID: t.ID.String(), Slug: t.Slug, Of: t.Of, Name: t.Name, State: string(t.State), Began: t.BeganAt, Now: t.NowAt, Jobs: t.Jobs, Failures: t.Failures,
		Problem: t.Problem, Expires: t.ExpiresAt, WorkedMs: t.Worked.Milliseconds(),
	}
	if !t.TenantID.IsZero() {
		v.Tenant = t.TenantID.String()
	}
	if !t.GoalAt.IsZero() {
		v.Goal = &t.GoalAt
	}
	return v
}

func (v twinView) say(t *terminal) {
	t.table([]string{"", ""}, [][]string{
		{"twin", v.ID}, {"of", v.Of}, {"name", v.Name}, {"state", v.State}, {"host label", v.Slug}, {"began", v.Began.Format(time.RFC3339)}, {"its clock", v.Now.Format(time.RFC3339)},
		{"jobs", fmt.Sprintf("%d done, %d failed", v.Jobs, v.Failures)}, {"dropped on", v.Expires.Format(time.DateOnly)}, {"problem", v.Problem},
	})
}

// Run makes a twin and waits for it.
func (c *tenantCloneCmd) Run(ctx context.Context, t *terminal) error {
	return withHouse(ctx, t, func(a *app, h *twinhouse.House) error {
		desk := newResellerDesk(a.central, a.pool, a.cfg.Hosts.Platform, newOutboxes(a.ring))
		r, err := (&tools{desk: desk}).find(ctx, c.Tenant)
		if err != nil {
			return err
		}
		o := twins.Options{Names: c.Names, Seed: c.Seed, Short: c.Short, Expired: c.Expired, Raise: c.Raise, Running: c.Running, Leave: c.Leave, Days: c.Days, Slug: c.As}
		made, err := h.Desk.Ask(ctx, r.ID, c.Name, o, uuid.New(), operator())
		if err != nil {
			return err
		}
		if made, err = follow(ctx, h, made.ID, func(x twins.Twin) bool { return x.State != twins.Making }, nil); err != nil {
			return err
		}
		v := viewOfTwin(made)
		if err := c.print(t, v, func() { v.say(t) }); err != nil || made.State == twins.Ready {
			return err
		}
		return errFound
	})
}

// follow works on a twin, or waits for who does, until it is as it should be.
func follow(ctx context.Context, h *twinhouse.House, id uuid.UUID, over func(twins.Twin) bool, tell func(twins.Twin)) (twins.Twin, error) {
	if tell != nil {
		watch, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-watch.Done():
					return
				case <-tick.C:
				}
				if x, err := h.Desk.Get(watch, id); err == nil {
					tell(x)
				}
			}
		}()
	}
	for {
		if err := h.Work(ctx, h.Central, twins.WorkJob{Twin: id}); err != nil {
			return twins.Twin{}, err
		}
		x, err := h.Desk.Get(ctx, id)
		if err != nil || over(x) {
			return x, err
		}
		select { // another process is at it
		case <-ctx.Done():
			return x, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// findTwin takes a twin's id, or its tenant's slug or number.
func findTwin(ctx context.Context, d *twins.Desk, which string) (twins.Twin, error) {
	if id, err := uuid.Parse(which); err == nil {
		return d.Get(ctx, id)
	}
	all, err := d.List(ctx, tenancy.ID{})
	if err != nil {
		return twins.Twin{}, err
	}
	for _, x := range all {
		if x.Slug == which || !x.TenantID.IsZero() && x.TenantID.String() == which {
			return x, nil
		}
	}
	return twins.Twin{}, fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
}

type twinListCmd struct{ output }

// Run lists twins.
func (c *twinListCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		all, err := (&twins.Desk{Central: x.central}).List(ctx, tenancy.ID{})
		if err != nil {
			return err
		}
		views := make([]twinView, len(all))
		rows := make([][]string, len(all))
		for i, one := range all {
			v := viewOfTwin(one)
			views[i] = v
			rows[i] = []string{v.ID, v.Of, v.Name, v.Slug, v.State, v.Now.Format(time.DateOnly), v.Expires.Format(time.DateOnly)}
		}
		return c.print(t, views, func() {
			t.table([]string{"TWIN", "OF", "NAME", "HOST LABEL", "STATE", "ITS DAY", "DROPPED ON"}, rows)
		})
	})
}

type twinAdvanceCmd struct {
	output
	Twin   string `arg:"" help:"The twin's id, or its host's first label."`
	Days   int    `help:"So many days ahead."`
	Months int    `help:"So many months ahead."`
	Years  int    `help:"So many years ahead."`
}

// Run turns the clock. Interrupted, the twin stands where it has come to; the goal stays
// and a worker goes on.
func (c *twinAdvanceCmd) Run(ctx context.Context, t *terminal) error {
	if c.Days < 0 || c.Months < 0 || c.Years < 0 {
		return &usageError{fault.New(fault.Invalid, "twin.back", "A twin's clock goes forward only.")}
	}
	return withHouse(ctx, t, func(_ *app, h *twinhouse.House) error {
		x, err := findTwin(ctx, h.Desk, c.Twin)
		if err != nil {
			return err
		}
		if err := h.Desk.Advance(ctx, tenancy.ID{}, x.ID, x.NowAt.AddDate(c.Years, c.Months, c.Days), operator()); err != nil {
			return err
		}
		x, err = follow(ctx, h, x.ID, func(x twins.Twin) bool { return !x.Advancing() }, func(x twins.Twin) {
			_, _ = fmt.Fprintf(t.err, "\r%s  %3d %%  %d jobs ", x.NowAt.Format(time.DateOnly), x.Percent(), x.Jobs)
		})
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(t.err)
		v := viewOfTwin(x)
		return c.print(t, v, func() { v.say(t) })
	})
}

type twinDropCmd struct {
	output
	Twin string `arg:"" help:"The twin's id, or its host's first label."`
}

// Run has a twin removed; a worker does it.
func (c *twinDropCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		desk := &twins.Desk{Central: x.central}
		found, err := findTwin(ctx, desk, c.Twin)
		if err != nil {
			return err
		}
		if err := desk.Drop(ctx, tenancy.ID{}, found.ID, operator()); err != nil {
			return err
		}
		if found, err = desk.Get(ctx, found.ID); err != nil {
			return err
		}
		v := viewOfTwin(found)
		return c.print(t, v, func() { t.say("%s is being removed.", v.Name) })
	})
}

type twinReportCmd struct {
	output
	Twin []string `arg:"" help:"The twin's id, or its host's first label; two are compared."`
}

// twinReportView is a report as the command line shows it.
type twinReportView struct {
	Twin     twinView        `json:"twin"`
	Currency string          `json:"currency"`
	Months   []twinMonthView `json:"months"`
	Sum      twinMonthView   `json:"sum"`
	Running  int             `json:"subscriptions"`
	Open     string          `json:"open"`
}

type twinMonthView struct {
	Month     string `json:"month"`
	Invoices  int    `json:"invoices"`
	Invoiced  string `json:"invoiced_net"`
	Used      string `json:"used_net"`
	Received  string `json:"received"`
	Refunded  string `json:"refunded"`
	Declined  int    `json:"declined"`
	Suspended int    `json:"suspended"`
	Ended     int    `json:"ended"`
	Wholesale string `json:"wholesale,omitempty"`
	Margin    string `json:"margin,omitempty"`
}

// Run prints reports.
func (c *twinReportCmd) Run(ctx context.Context, t *terminal) error {
	return withHouse(ctx, t, func(a *app, h *twinhouse.House) error {
		var all []twinReportView
		for _, which := range c.Twin {
			x, err := findTwin(ctx, h.Desk, which)
			if err != nil {
				return err
			}
			r, err := a.twinReports().Report(ctx, x)
			if err != nil {
				return err
			}
			all = append(all, reportView(x, r))
		}
		return c.print(t, all, func() {
			for _, v := range all {
				v.say(t)
			}
		})
	})
}

func (v twinReportView) say(t *terminal) {
	t.say("%s (%s), %s to %s, %s", v.Twin.Name, v.Twin.Slug, v.Twin.Began.Format(time.DateOnly), v.Twin.Now.Format(time.DateOnly), v.Currency)
	rows := make([][]string, 0, len(v.Months)+1)
	for _, m := range append(v.Months, v.Sum) {
		rows = append(rows, []string{m.Month, itoa(m.Invoices), m.Invoiced, m.Used, m.Received, m.Refunded, itoa(m.Declined), itoa(m.Suspended), itoa(m.Ended), m.Wholesale, m.Margin})
	}
	t.table([]string{"MONTH", "INVOICES", "INVOICED", "USED", "RECEIVED", "REFUNDED", "DECLINED", "SUSPENDED", "ENDED", "WHOLESALE", "MARGIN"}, rows)
	t.say("%d subscriptions run at the end; %s %s are owed.", v.Running, v.Open, v.Currency)
}
