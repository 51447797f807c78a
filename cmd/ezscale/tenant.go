package main

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// tenantCmd is what the console offers too, for scripts.
type tenantCmd struct {
	Create  tenantCreateCmd  `cmd:"" help:"Create a reseller; its owner is invited by mail."`
	Clone   tenantCloneCmd   `cmd:"" help:"Make a sandbox twin of a shop, with a clock of its own."`
	List    tenantListCmd    `cmd:"" help:"List resellers."`
	Show    tenantShowCmd    `cmd:"" help:"Show one reseller: domains, schema version, size."`
	Suspend tenantSuspendCmd `cmd:"" help:"Stop a reseller's sites."`
	Resume  tenantResumeCmd  `cmd:"" help:"Let a suspended, archived or trial-ended reseller serve again."`
	Archive tenantArchiveCmd `cmd:"" help:"Close a reseller; its data is kept for the hold period."`
	Drop    tenantDropCmd    `cmd:"" help:"Have an archived reseller exported and removed, after its hold period."`
}

// tenantView is a reseller as the command line shows it.
type tenantView struct {
	ID            string    `json:"id"`
	Slug          string    `json:"slug"`
	Name          string    `json:"name"`
	Status        string    `json:"status"`
	Host          string    `json:"host"`
	Owner         string    `json:"owner_email"`
	Theme         string    `json:"theme"`
	Locale        string    `json:"locale"`
	Currency      string    `json:"currency"`
	TimeZone      string    `json:"time_zone"`
	SchemaVersion int       `json:"schema_version"`
	CreatedAt     time.Time `json:"created_at"`
}

func viewOf(r reseller.Reseller, platform string) tenantView {
	host := r.PrimaryHost
	if host == "" {
		host = r.Slug + "." + platform
	}
	return tenantView{
		ID: r.ID.String(), Slug: r.Slug, Name: r.Name, Status: string(r.Status), Host: host, Owner: r.OwnerEmail, Theme: r.Theme,
		Locale: r.Locale, Currency: r.Currency, TimeZone: r.TimeZone, SchemaVersion: r.SchemaVersion, CreatedAt: r.CreatedAt.UTC(),
	}
}

// with opens the tools, runs f and closes them.
func withTools(ctx context.Context, f func(*tools) error) error {
	x, err := openTools(ctx)
	if err != nil {
		return err
	}
	defer x.close()
	return f(x)
}

// find takes a number or a slug.
func (x *tools) find(ctx context.Context, which string) (reseller.Reseller, error) {
	if id, err := tenancy.ParseID(which); err == nil {
		return x.desk.Get(ctx, id)
	}
	return x.desk.BySlug(ctx, which)
}

type tenantCreateCmd struct {
	output
	Name       string `arg:"" help:"Name of the business."`
	OwnerEmail string `required:"" help:"Address of the owner, who is invited."`
	OwnerName  string `help:"Name of the owner; otherwise the business's."`
	Slug       string `help:"First label of the site's host; otherwise made from the name."`
	Locale     string `default:"en" help:"Language, as en or de-AT."`
	Currency   string `default:"EUR" help:"Currency, as EUR."`
	TimeZone   string `default:"UTC" help:"Time zone, as Europe/Berlin."`
	TrialDays  int    `help:"Length of a trial; 0: active at once."`
	Key        string `help:"Natural key of the request: the same key creates one reseller, however often it is run."`
}

// Run creates a reseller.
func (c *tenantCreateCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		if c.Key == "" {
			c.Key = uuid.NewString()
		}
		if c.OwnerName == "" {
			c.OwnerName = c.Name
		}
		r, err := x.desk.Create(ctx, reseller.NewReseller{
			Key: c.Key, Name: c.Name, Slug: c.Slug, OwnerName: c.OwnerName, OwnerEmail: c.OwnerEmail,
			Locale: c.Locale, Currency: c.Currency, TimeZone: c.TimeZone, TrialDays: c.TrialDays,
		}, operator())
		if err != nil {
			return err
		}
		v := viewOf(r, x.cfg.Hosts.Platform)
		return c.print(t, v, func() { t.say("%s is tenant %s at %s.", v.Name, v.ID, v.Host) })
	})
}

type tenantListCmd struct {
	output
	Search string `help:"Part of the name, slug, owner's address or a domain."`
	Status string `help:"Only those in this status." enum:",trial,active,trial_ended,suspended,maintenance,archived,dropped" default:""`
	Sort   string `help:"name, slug, status, domains, version or created." default:"slug"`
}

// Run lists resellers, page by page.
func (c *tenantListCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		all := []tenantView{}
		for {
			rows, total, err := x.desk.List(ctx, reseller.Filter{Text: c.Search, Status: tenancy.Status(c.Status), Sort: c.Sort, Offset: len(all), Limit: reseller.MaxPage})
			if err != nil {
				return err
			}
			for _, r := range rows {
				all = append(all, viewOf(r.Reseller, x.cfg.Hosts.Platform))
			}
			if len(rows) == 0 || len(all) >= total {
				break
			}
		}
		return c.print(t, all, func() {
			rows := make([][]string, len(all))
			for i, v := range all {
				rows[i] = []string{v.ID, v.Slug, v.Name, v.Status, v.Host, strconv.Itoa(v.SchemaVersion), v.CreatedAt.Format(time.DateOnly)}
			}
			t.table([]string{"ID", "SLUG", "NAME", "STATUS", "HOST", "SCHEMA", "CREATED"}, rows)
		})
	})
}

type tenantShowCmd struct {
	output
	Tenant string `arg:"" help:"Number or slug."`
}

// tenantDetail is everything show tells.
type tenantDetail struct {
	tenantView
	Lane      int      `json:"lane"`
	SizeBytes int64    `json:"size_bytes"`
	Tables    int      `json:"tables"`
	Domains   []string `json:"domains"`
	Note      string   `json:"status_note,omitempty"`
	Failed    string   `json:"migration_error,omitempty"`
}

// Run shows one reseller.
func (c *tenantShowCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		r, err := x.find(ctx, c.Tenant)
		if err != nil {
			return err
		}
		f, err := x.desk.Figures(ctx, r.ID)
		if err != nil {
			return err
		}
		d := tenantDetail{tenantView: viewOf(r, x.cfg.Hosts.Platform), Lane: f.Lane, SizeBytes: f.SizeBytes, Tables: f.Tables, Domains: []string{}, Note: r.StatusNote, Failed: r.MigrationError}
		for _, dom := range f.Domains {
			d.Domains = append(d.Domains, dom.Host+" ("+string(dom.State)+")")
		}
		return c.print(t, d, func() { d.say(t) })
	})
}

func (d tenantDetail) say(t *terminal) {
	rows := [][]string{
		{"tenant", d.ID}, {"name", d.Name}, {"status", d.Status}, {"host", d.Host}, {"owner", d.Owner},
		{"theme", d.Theme}, {"language", d.Locale}, {"currency", d.Currency}, {"time zone", d.TimeZone},
		{"schema", "version " + strconv.Itoa(d.SchemaVersion) + ", " + strconv.Itoa(d.Tables) + " tables, " + strconv.FormatInt(d.SizeBytes>>10, 10) + " KiB, lane " + strconv.Itoa(d.Lane)},
		{"created", d.CreatedAt.Format(time.RFC3339)},
	}
	for _, domain := range d.Domains {
		rows = append(rows, []string{"domain", domain})
	}
	if d.Failed != "" {
		rows = append(rows, []string{"migration failed", d.Failed})
	}
	t.table([]string{"", ""}, rows)
}

type tenantSuspendCmd struct {
	output
	Tenant string `arg:"" help:"Number or slug."`
	Reason string `required:"" help:"Why, for colleagues; it stands in the audit trail."`
	Note   string `help:"What visitors and the reseller read."`
}

// Run suspends a reseller.
func (c *tenantSuspendCmd) Run(ctx context.Context, t *terminal) error {
	return change(ctx, t, c.output, c.Tenant, func(x *tools, r reseller.Reseller) error {
		return x.desk.Suspend(ctx, r.ID, reseller.Suspension{Reason: c.Reason, Note: c.Note}, operator())
	})
}

type tenantResumeCmd struct {
	output
	Tenant string `arg:"" help:"Number or slug."`
}

// Run resumes a reseller.
func (c *tenantResumeCmd) Run(ctx context.Context, t *terminal) error {
	return change(ctx, t, c.output, c.Tenant, func(x *tools, r reseller.Reseller) error {
		return x.desk.Resume(ctx, r.ID, operator())
	})
}

type tenantArchiveCmd struct {
	output
	Tenant string `arg:"" help:"Number or slug."`
	Reason string `required:"" help:"Why, for colleagues; it stands in the audit trail."`
	Yes    bool   `help:"Really close its sites."`
}

// Run archives a reseller.
func (c *tenantArchiveCmd) Run(ctx context.Context, t *terminal) error {
	if !c.Yes {
		return fault.New(fault.Conflict, "tenant.not_confirmed", "This closes the reseller's sites. Add --yes.")
	}
	return change(ctx, t, c.output, c.Tenant, func(x *tools, r reseller.Reseller) error {
		return x.desk.Archive(ctx, r.ID, r.Slug, c.Reason, operator())
	})
}

type tenantDropCmd struct {
	output
	Tenant string `arg:"" help:"Number or slug."`
	Yes    bool   `help:"Really have its data removed."`
}

// Run asks for the removal; a worker exports first and then removes.
func (c *tenantDropCmd) Run(ctx context.Context, t *terminal) error {
	if !c.Yes {
		return fault.New(fault.Conflict, "tenant.not_confirmed", "This removes the reseller's data for good. Add --yes.")
	}
	return change(ctx, t, c.output, c.Tenant, func(x *tools, r reseller.Reseller) error {
		return x.desk.Drop(ctx, r.ID, r.Slug, operator())
	})
}

// change runs one change of one reseller and shows how it stands afterwards.
func change(ctx context.Context, t *terminal, o output, which string, f func(*tools, reseller.Reseller) error) error {
	return withTools(ctx, func(x *tools) error {
		r, err := x.find(ctx, which)
		if err != nil {
			return err
		}
		if err := f(x, r); err != nil {
			return err
		}
		if r, err = x.desk.Get(ctx, r.ID); err != nil {
			return err
		}
		v := viewOf(r, x.cfg.Hosts.Platform)
		return o.print(t, v, func() { t.say("%s is now %s.", v.Name, v.Status) })
	})
}
