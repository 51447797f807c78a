package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

// state is how a checked part is.
type state string

const (
	well    state = "ok"
	warning state = "warn" // works, and wants somebody
	wrong   state = "wrong"
	unknown state = "unknown" // could not be looked at, because another part is wrong
)

// finding is one line of the doctor.
type finding struct {
	Check string `json:"check"`
	State state  `json:"state"`
	Means string `json:"means"`
	Mend  string `json:"mend,omitempty"` // the command that mends it
}

type doctorCmd struct {
	output
	Tenants bool `help:"Verify the audit trail and the books of every tenant too; it reads all of them."`
}

// Run checks everything and prints a line each.
func (c *doctorCmd) Run(ctx context.Context, t *terminal) error {
	var cfg serveConfig
	if err := loadInto(&cfg); err != nil {
		return err
	}
	found := (&doctor{cfg: &cfg, allTrails: c.Tenants}).examine(ctx)
	err := c.print(t, found, func() {
		rows := make([][]string, len(found))
		for i, f := range found {
			rows[i] = []string{string(f.State), f.Check, f.Means}
		}
		t.table([]string{"STATE", "CHECK", "MEANS"}, rows)
		for _, f := range found {
			if f.Mend != "" && f.State != well {
				t.say("\n%s: %s", f.Check, f.Mend)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.State == wrong {
			return errFound
		}
	}
	return nil
}

// doctor looks at one installation. It changes nothing.
type doctor struct {
	cfg       *serveConfig
	allTrails bool
	owner     *pgx.Conn
	tools     *tools
	found     []finding
}

func (d *doctor) note(check string, s state, mend, format string, args ...any) {
	d.found = append(d.found, finding{Check: check, State: s, Means: fmt.Sprintf(format, args...), Mend: mend})
}

// checkTimeout bounds one check.
const checkTimeout = 15 * time.Second

func (d *doctor) examine(ctx context.Context) []finding {
	checks := []struct {
		name string
		look func(context.Context) error
		data bool // needs the installed database
	}{
		{"master keys", d.masterKeys, false}, {"postgres", d.postgres, false}, {"installation", d.installation, false},
		{"clock", d.clock, true}, {"walls", d.walls, true}, {"lanes", d.lanes, true}, {"migrations", d.migrations, true},
		{"spares", d.spares, true}, {"sealed", d.sealed, true}, {"audit", d.trails, true}, {"books", d.books, true}, {"wholesale", d.wholesale, true}, {"jobs", d.jobs, true}, {"mails", d.mails, true},
		{"redis", d.redis, false}, {"smtp", d.smtp, false}, {"stripe", d.stripe, false}, {"acme", d.acme, false}, {"dns", d.resolvers, false},
		{"uploads", d.uploads, false}, {"disk", d.disk, false},
	}
	for _, c := range checks {
		if c.data && d.tools == nil {
			d.note(c.name, unknown, "", "not looked at: the database is not ready")
			continue
		}
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		if err := c.look(limited); err != nil {
			d.note(c.name, wrong, mendOf(c.name), "%s", oneLine(err))
		}
		cancel()
	}
	if d.tools != nil {
		d.tools.close()
	}
	if d.owner != nil {
		_ = d.owner.Close(ctx)
	}
	return d.found
}

// mendOf is what to do about a check that failed altogether.
func mendOf(check string) string {
	return map[string]string{
		"master keys":  "make a key with `ezscale secrets new` and put it into EZSCALE_MASTER_KEYS; keep the old ones behind it",
		"postgres":     "start PostgreSQL 15 or newer and check EZSCALE_DATABASE_URL",
		"installation": "ezscale migrate",
		"redis":        "start Redis and check EZSCALE_REDIS_URL",
		"smtp":         "check EZSCALE_SMTP_URL and that this machine may reach the mail server",
		"stripe":       "check EZSCALE_STRIPE_SECRET_KEY and EZSCALE_STRIPE_PUBLISHABLE_KEY, and that this machine may reach EZSCALE_STRIPE_API_URL",
		"acme":         "check EZSCALE_ACME_DIRECTORY (and EZSCALE_ACME_ROOTS) and that this machine may reach it",
		"dns":          "check EZSCALE_DNS_RESOLVERS and that this machine may reach them over UDP and TCP",
		"uploads":      "check EZSCALE_STORAGE_URL and its rights",
	}[check]
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (d *doctor) masterKeys(context.Context) error {
	ring, err := parseKeys(d.cfg.Keys)
	if err != nil {
		var p setting.Problem
		if errors.As(err, &p) {
			return p
		}
		return err
	}
	sealed, err := ring.Seal("doctor", nil, []byte("x"))
	if err != nil {
		return err
	}
	if _, err := ring.Open("doctor", nil, sealed); err != nil {
		return err
	}
	d.note("master keys", well, "", "%d, the first seals and opens", strings.Count(d.cfg.Keys.Master, ",")+1)
	return nil
}
