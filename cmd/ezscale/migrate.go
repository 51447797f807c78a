package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fleet"
)

type migrateCmd struct {
	output
	Status  bool `help:"Say who is where, and change nothing." xor:"how"`
	DryRun  bool `help:"Say what a run would do, and change nothing." xor:"how"`
	Workers int  `help:"Tenants at once; 0: four for each core."`
	Quiet   bool `help:"No progress on standard error."`
}

// installed is what migrate tells of the platform's part.
type installed struct {
	Lanes    int      `json:"lanes"`
	Refusals []string `json:"refusals"` // statements only a superuser may run; doctor tells what follows
}

// migrated is what a run tells.
type migrated struct {
	Platform installed      `json:"platform"`
	Target   int            `json:"target"`
	Migrated int            `json:"migrated"`
	Skipped  int            `json:"skipped"`
	Failures []fleetFailure `json:"failures"`
	Stopped  string         `json:"stopped,omitempty"`
	Seconds  float64        `json:"seconds"`
}

type fleetFailure struct {
	Schema  string `json:"schema"`
	Spare   bool   `json:"spare"`
	Version int    `json:"version"`
	Error   string `json:"error"`
}

// Run installs or updates the platform and brings every tenant up to date.
func (c *migrateCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := configure[adminConfig]()
	if err != nil {
		return err
	}
	if c.Status || c.DryRun {
		m, done, err := openMigrator(ctx, cfg)
		if err != nil {
			return err
		}
		defer done()
		if c.Status {
			return c.status(ctx, t, m)
		}
		return c.dryRun(ctx, t, m)
	}
	platform, err := install(ctx, cfg.Database, cfg.Keys)
	if err != nil {
		return err
	}
	m, done, err := openMigrator(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	r, err := m.Run(ctx, fleet.Options{Workers: c.Workers, Progress: c.progress(t)})
	if err != nil {
		return err
	}
	return c.report(t, platform, r)
}

// migrateFleet brings every tenant up to date without a word, for the demo: its data
// outlives the program that made it.
func migrateFleet(ctx context.Context, cfg *adminConfig) error {
	m, done, err := openMigrator(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	r, err := m.Run(ctx, fleet.Options{})
	if err == nil && !r.Complete() {
		err = fmt.Errorf("%d schemas were not migrated %s", len(r.Failures), r.Stopped)
	}
	return err
}

// openMigrator makes a migrator over an installed database.
func openMigrator(ctx context.Context, cfg *adminConfig) (_ *fleet.Migrator, done func(), err error) {
	ring, err := parseKeys(cfg.Keys)
	if err != nil {
		return nil, nil, err
	}
	lanes, err := lanesOf(ctx, cfg.Database.URL)
	if err != nil {
		return nil, nil, err
	}
	db := tenancyConfig(cfg.Database, ring, time.Now)
	central, err := tenancy.OpenCentral(ctx, db, 2)
	if err != nil {
		return nil, nil, err
	}
	db.Lanes = lanes
	m, err := fleet.New(fleet.Config{OwnerDSN: cfg.Database.URL, Database: db, Central: central})
	if err != nil {
		central.Close()
		return nil, nil, err
	}
	return m, central.Close, nil
}

// progress shows one line that is written over, and a last one for each stage.
func (c *migrateCmd) progress(t *terminal) func(fleet.Progress) {
	if c.Quiet || c.JSON {
		return nil
	}
	var last time.Time
	return func(p fleet.Progress) {
		if p.Done < p.Total && time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		const width = 30
		filled := width
		if p.Total > 0 {
			filled = width * p.Done / p.Total
		}
		end := ""
		if p.Done >= p.Total {
			end = "\n"
		}
		_, _ = fmt.Fprintf(t.err, "\r%-9s [%s%s] %d of %d, %d failed%s", p.Stage, strings.Repeat("#", filled), strings.Repeat(".", width-filled), p.Done, p.Total, p.Failed, end)
	}
}

func (c *migrateCmd) report(t *terminal, platform installed, r fleet.Report) error {
	m := migrated{Platform: platform, Target: r.Target, Migrated: r.Migrated, Skipped: r.Skipped, Failures: []fleetFailure{}, Stopped: r.Stopped, Seconds: r.Took.Seconds()}
	for _, f := range r.Failures {
		m.Failures = append(m.Failures, fleetFailure{Schema: f.ID.Schema(), Spare: f.Spare, Version: f.Version, Error: f.Err})
	}
	err := c.print(t, m, func() {
		t.say("The platform is up to date, with %d lanes.", platform.Lanes)
		if len(platform.Refusals) > 0 {
			t.say("%d statements need a superuser and were left out; ezscale doctor tells what follows.", len(platform.Refusals))
		}
		t.say("Version %d: %d schemas migrated, %d were there already, in %.1f s.", m.Target, m.Migrated, m.Skipped, m.Seconds)
		for _, f := range m.Failures {
			t.say("%s stays at version %d: %s", f.Schema, f.Version, f.Error)
		}
		if m.Stopped != "" {
			t.say("Stopped: %s. Run it again when that is mended; it goes on where it ended.", m.Stopped)
		}
	})
	if err == nil && !r.Complete() {
		return errFound
	}
	return err
}

// fleetStatus is who is where, for programs.
type fleetStatus struct {
	Target   int         `json:"target"`
	Template int         `json:"template"`
	Tenants  map[int]int `json:"tenants"`
	Spares   map[int]int `json:"spares"`
	Failing  int         `json:"failing"`
	Current  bool        `json:"current"`
}

func (c *migrateCmd) status(ctx context.Context, t *terminal, m *fleet.Migrator) error {
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	v := fleetStatus{s.Target, s.Template, s.Tenants, s.Spares, s.Failing, s.Current()}
	return c.print(t, v, func() {
		rows := [][]string{{"template", strconv.Itoa(s.Template), "1"}}
		rows = append(rows, versions("tenants", s.Tenants)...)
		rows = append(rows, versions("spares", s.Spares)...)
		t.table([]string{"WHAT", "VERSION", "SCHEMAS"}, rows)
		switch {
		case s.Current():
			t.say("Everything is at version %d.", s.Target)
		default:
			t.say("The target is version %d; %d tenants are in maintenance because their migration failed.", s.Target, s.Failing)
		}
	})
}

func versions(what string, at map[int]int) [][]string {
	var rows [][]string
	for v, n := range at {
		rows = append(rows, []string{what, strconv.Itoa(v), strconv.Itoa(n)})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i][1] < rows[j][1] })
	return rows
}

// plannedStep is one migration a run would apply.
type plannedStep struct {
	Version  int      `json:"version"`
	Name     string   `json:"name"`
	Tenants  int      `json:"tenants"`
	Spares   int      `json:"spares"`
	Template bool     `json:"template"`
	Refused  []string `json:"refused"`
}

func (c *migrateCmd) dryRun(ctx context.Context, t *terminal, m *fleet.Migrator) error {
	steps, err := m.DryRun(ctx)
	if err != nil {
		return err
	}
	plan, refused := []plannedStep{}, false
	for _, s := range steps {
		p := plannedStep{s.Version, s.Name, s.Tenants, s.Spares, s.Template, []string{}}
		for _, f := range s.Findings {
			p.Refused, refused = append(p.Refused, f.String()), true
		}
		plan = append(plan, p)
	}
	err = c.print(t, plan, func() {
		if len(plan) == 0 {
			t.say("There is nothing to do.")
		}
		for _, p := range plan {
			t.say("%s: %d tenants, %d spares", p.Name, p.Tenants, p.Spares)
			for _, why := range p.Refused {
				t.say("  refused: %s", why)
			}
		}
	})
	if err == nil && refused {
		return errFound
	}
	return err
}

// install lays the platform into the database, or brings it up to date.
func install(ctx context.Context, db databaseConfig, keys keysConfig) (installed, error) {
	ring, err := parseKeys(keys)
	if err != nil {
		return installed{}, err
	}
	owner, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		return installed{}, fmt.Errorf("database: %w", err)
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	refused, err := tenancy.Install(ctx, owner, tenancy.InstallOptions{Lanes: db.Lanes, Password: ring.DerivePassword})
	if err != nil {
		return installed{}, err
	}
	done := installed{Refusals: []string{}}
	for _, r := range refused {
		done.Refusals = append(done.Refusals, r.Statement)
	}
	done.Lanes, err = tenancy.LanesOf(ctx, owner)
	return done, err
}
