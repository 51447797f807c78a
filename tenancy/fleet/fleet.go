// Package fleet brings ten thousand schemas from one version to the next: the
// template and the spares first, then canaries, then everybody, a transaction each,
// in parallel, resumable at any moment. It lints what it is about to run. It knows no
// table of a tenant, and leaves the central schema to tenancy.Install.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

// Config makes a Migrator.
type Config struct {
	// OwnerDSN is the owner's, leading to Postgres itself: the run holds a lock on it
	// and the template schema is the owner's.
	OwnerDSN string
	// Database is the lanes' DSN and passwords. Each tenant is migrated over its own
	// lane's login, which is a member of it anyway: no login is above all tenants.
	Database   tenancy.Config
	Central    *tenancy.Central
	Migrations []tenancy.Migration // nil: those of this program
	Log        *slog.Logger
}

// Migrator migrates a fleet. It is safe for concurrent use; of several runs one goes
// on and the others are told so.
type Migrator struct {
	cfg     Config
	all     []tenancy.Migration
	rows    map[int]bool // versions that touch rows
	version int
}

// New makes a migrator; it connects to nothing.
func New(cfg Config) (*Migrator, error) {
	if cfg.Migrations == nil {
		all, err := tenancy.TenantMigrations()
		if err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
		cfg.Migrations = all
	}
	if len(cfg.Migrations) == 0 {
		return nil, errors.New("fleet: there are no migrations")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Migrator{cfg: cfg, all: cfg.Migrations, rows: map[int]bool{}, version: cfg.Migrations[len(cfg.Migrations)-1].Version}
	for _, x := range m.all {
		m.rows[x.Version] = touchesRows(x.SQL)
	}
	return m, nil
}

// Version is where a run leads.
func (m *Migrator) Version() int { return m.version }

// Pending returns what a schema at version was still needs, in order.
func (m *Migrator) Pending(was int) []tenancy.Migration {
	i, _ := slices.BinarySearchFunc(m.all, was+1, func(a tenancy.Migration, v int) int { return a.Version - v })
	return m.all[i:]
}

// script is the text of what a schema at version was still needs.
func (m *Migrator) script(was int) string {
	var b strings.Builder
	for _, x := range m.Pending(was) {
		b.WriteString(x.SQL)
		b.WriteString("\n;\n")
	}
	return b.String()
}

// alone reports whether what a schema at version was still needs wants a transaction to
// itself: how long a change of rows takes is known only when it is done.
func (m *Migrator) alone(was int) bool {
	return slices.ContainsFunc(m.Pending(was), func(x tenancy.Migration) bool { return m.rows[x.Version] })
}

// ErrBusy is returned by Run when another run is under way.
var ErrBusy = errors.New("fleet: another migration is under way")

// LintError is returned by Run when a migration it would run is refused.
type LintError struct{ Findings []Finding }

func (e *LintError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return "fleet: migrations refused:\n" + strings.Join(lines, "\n")
}

// Stage is a part of a run, in this order.
type Stage string

// The stages of a run.
const (
	Template Stage = "template"
	Spares   Stage = "spares"
	Canaries Stage = "canaries"
	Tenants  Stage = "tenants"
)

// Progress is told after every schema.
type Progress struct {
	Stage  Stage
	Done   int // of this stage
	Failed int // of the whole run
	Total  int // of this stage
}

// Options are the circumstances of a run. Zero values mean the usual ones.
type Options struct {
	Workers     int // 0: four a core: making an index waits for the disk while others work
	Canaries    int // tenants that go first, one failure of which ends the run; 0: 3; below 0: none
	MaxFailures int // so many failed tenants end the run; 0: 5
	LockTimeout time.Duration
	Attempts    int            // at one schema, when a lock is not to be had; 0: 5
	Progress    func(Progress) // called from one goroutine at a time; may be nil
}

func (o Options) filled() Options {
	if o.Workers <= 0 {
		o.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if o.Canaries == 0 {
		o.Canaries = 3
	}
	if o.MaxFailures <= 0 {
		o.MaxFailures = 5
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = 2 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	return o
}

// Failure is one schema that was not migrated. Its transaction left nothing behind.
type Failure struct {
	ID      tenancy.ID
	Spare   bool
	Version int // where it still is
	Err     string
}

// Report is how a run went.
type Report struct {
	RunID    string
	Target   int
	Migrated int // schemas brought to the target, spares included
	Skipped  int // that were there already
	Failures []Failure
	// Stopped says why the run ended early; empty when it went through.
	Stopped string
	Took    time.Duration
}

// Complete reports whether every schema is at the target.
func (r Report) Complete() bool { return r.Stopped == "" && len(r.Failures) == 0 }

// Status is who is where.
type Status struct {
	Target   int
	Template int         // version of the template schema; 0: it is empty
	Tenants  map[int]int // version → tenants
	Spares   map[int]int
	Failing  int // tenants in maintenance because their last migration failed
}

// Current reports whether a run would have nothing to do.
func (s Status) Current() bool {
	behind := func(at map[int]int) bool {
		for v := range at {
			if v < s.Target {
				return true
			}
		}
		return false
	}
	return s.Template >= s.Target && s.Failing == 0 && !behind(s.Tenants) && !behind(s.Spares)
}

// Status asks who is where, in one query, whatever the size of the fleet.
func (m *Migrator) Status(ctx context.Context) (Status, error) {
	s := Status{Target: m.version, Tenants: map[int]int{}, Spares: map[int]int{}}
	err := m.cfg.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var rows []struct {
			What    string
			Version int
			Count   int
			Failing int
		}
		err := tx.NewRaw(`SELECT 'tenants' AS what, schema_version AS version, count(*) AS count, count(migration_error) AS failing
				FROM tenants WHERE status <> 'dropped' GROUP BY schema_version
			UNION ALL SELECT 'spares', schema_version, count(*), 0 FROM spares GROUP BY schema_version
			UNION ALL SELECT 'template', value::int, 1, 0 FROM settings WHERE name = 'template_version'`).Scan(ctx, &rows)
		for _, r := range rows {
			switch r.What {
			case "tenants":
				s.Tenants[r.Version] = r.Count
				s.Failing += r.Failing
			case "spares":
				s.Spares[r.Version] = r.Count
			default:
				s.Template = r.Version
			}
		}
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("fleet status: %w", err)
	}
	return s, nil
}

// Step is one migration and how many schemas still need it.
type Step struct {
	Version  int
	Name     string
	Tenants  int
	Spares   int
	Template bool
	Findings []Finding // not empty: a run refuses to begin
}

// DryRun tells what a run would do, and does nothing.
func (m *Migrator) DryRun(ctx context.Context) ([]Step, error) {
	s, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	before := func(at map[int]int, v int) (n int) {
		for version, count := range at {
			if version < v {
				n += count
			}
		}
		return n
	}
	var steps []Step
	for _, x := range m.all {
		step := Step{
			Version: x.Version, Name: x.Name, Tenants: before(s.Tenants, x.Version), Spares: before(s.Spares, x.Version),
			Template: s.Template < x.Version, Findings: Lint(x.Name+".sql", x.SQL),
		}
		if step.Tenants+step.Spares > 0 || step.Template {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// runLock is held on the owner's session for as long as a run goes on.
const runLock = 0x657a_666c_6565 // "ezflee"

func (m *Migrator) lock(ctx context.Context) (*pgx.Conn, error) {
	owner, err := pgx.Connect(ctx, m.cfg.OwnerDSN)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	var got bool
	if err := owner.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", runLock).Scan(&got); err != nil || !got {
		hangUp(ctx, owner)
		if err == nil {
			err = ErrBusy
		}
		return nil, err
	}
	return owner, nil
}

// unlock ends the run for everybody else. The session's end alone is seen by PostgreSQL
// only some moments after we hung up, and the next run would be refused.
func unlock(ctx context.Context, owner *pgx.Conn) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = owner.Exec(within, "SELECT pg_advisory_unlock($1)", runLock)
	hangUp(ctx, owner)
}

func hangUp(ctx context.Context, c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.Close(ctx)
}
