// Package twin keeps the list of sandbox twins: whose copy each is, where its clock stands
// and where it is to go. It owns the table twins, the clock in it, and the limits. It does
// not copy, turn or drop: those who have both planes at hand do, and say here how far they
// have come.
package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// State is where a twin stands in its life.
type State string

// The states.
const (
	Making   State = "making"
	Ready    State = "ready"
	Failed   State = "failed"
	Dropping State = "dropping"
	Dropped  State = "dropped"
)

// The bounds of what can be asked for.
const (
	Limit      = 4                        // twins of one reseller at once
	Life       = 14 * 24 * time.Hour      // unless fewer days are asked for
	MaxLife    = 60 * 24 * time.Hour      //
	MaxAhead   = 5 * 366 * 24 * time.Hour // of its beginning
	MaxShare   = 100                      // percent
	shareOfPpm = 10_000                   // of a million, a percent
	MaxRaise   = 400                      // percent
)

// Options are how a twin is made, and what differs in it.
type Options struct {
	Names   bool    `json:"names,omitempty"`   // customers keep their names and addresses
	Seed    int64   `json:"seed"`              // of what happens by chance: two twins with one seed have the same luck
	Short   float64 `json:"short"`             // percent of the saved methods that run short in a month
	Expired float64 `json:"expired"`           // percent of them that expire in a month
	Raise   float64 `json:"raise,omitempty"`   // percent on all prices; negative: off
	Running bool    `json:"running,omitempty"` // the raise also for what runs, from its next invoice
	Leave   float64 `json:"leave,omitempty"`   // percent of the customers it concerns who cancel because of it
	Days    int     `json:"days"`              // until it is dropped
	Slug    string  `json:"slug,omitempty"`    // first label of its host; empty: made from the shop's
	Invite  Invited `json:"invite"`            // who may sign in to it
}

// Invited is the person of the reseller's team who asked.
type Invited struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// Ppm is a percentage in parts of a million.
func Ppm(percent float64) int { return int(percent*shareOfPpm + 0.5) }

func (o *Options) check() error {
	wrong := map[string]string{}
	for field, v := range map[string]float64{"short": o.Short, "expired": o.Expired, "leave": o.Leave} {
		if !(v >= 0 && v <= MaxShare) {
			wrong[field] = "Give a share between 0 and 100 percent."
		}
	}
	if !(o.Raise >= -90 && o.Raise <= MaxRaise) {
		wrong["raise"] = fmt.Sprintf("Give a change between -90 and %d percent.", MaxRaise)
	}
	if o.Days == 0 {
		o.Days = int(Life / (24 * time.Hour))
	}
	if o.Days < 1 || o.Days > int(MaxLife/(24*time.Hour)) {
		wrong["days"] = fmt.Sprintf("Give 1 to %d days.", int(MaxLife/(24*time.Hour)))
	}
	if o.Slug = strings.ToLower(strings.TrimSpace(o.Slug)); o.Slug != "" {
		if err := reseller.CheckSlug(o.Slug); err != nil {
			wrong["slug"] = fault.From(err).Message
		}
	}
	return fault.Fields("twin.invalid", wrong)
}

// Twin is one of the list.
type Twin struct {
	ID        uuid.UUID
	TenantID  tenancy.ID // zero: not claimed yet
	OfID      tenancy.ID
	Slug      string // of the copy's host; empty: not claimed yet
	Of        string // name of the reseller
	Name      string
	State     State
	Problem   string
	Options   Options
	BeganAt   time.Time
	NowAt     time.Time
	FromAt    time.Time // of the last advance; zero: never
	GoalAt    time.Time // zero: it stands still
	Grain     time.Duration
	Stop      bool
	Steps     int64
	Jobs      int64
	Failures  int64
	Worked    time.Duration
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Advancing reports whether its clock is to be turned.
func (t Twin) Advancing() bool { return t.State == Ready && !t.GoalAt.IsZero() }

// Percent is how far an advance has come.
func (t Twin) Percent() int {
	whole := t.GoalAt.Sub(t.FromAt)
	if t.GoalAt.IsZero() || whole <= 0 {
		return 100
	}
	return int(100 * t.NowAt.Sub(t.FromAt) / whole)
}

type row struct {
	ID           uuid.UUID
	TenantID     int64
	OfID         tenancy.ID
	Slug, Of     string
	Name         string
	State        State
	Problem      string
	Options      json.RawMessage
	BeganAt      time.Time
	NowAt        time.Time
	FromAt       time.Time
	GoalAt       time.Time
	GrainSeconds int
	Stop         bool
	Steps        int64
	Jobs         int64
	Failures     int64
	WorkedMs     int64
	CreatedBy    string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

const columns = `w.id, coalesce(w.tenant_id, 0) AS tenant_id, w.of_id, coalesce(t.slug, '') AS slug, coalesce(o.name, '') AS of, w.name, w.state, w.problem, w.options,
	w.began_at, w.now_at, w.from_at, w.goal_at, w.grain_seconds, w.stop, w.steps, w.jobs, w.failures, w.worked_ms, w.created_by, w.created_at, w.expires_at`

const tables = ` FROM twins w LEFT JOIN tenants t ON t.id = w.tenant_id LEFT JOIN tenants o ON o.id = w.of_id `

func (r row) twin() (t Twin, err error) {
	t = Twin{
		ID: r.ID, OfID: r.OfID, Slug: r.Slug, Of: r.Of, Name: r.Name, State: r.State, Problem: r.Problem, BeganAt: r.BeganAt.UTC(), NowAt: r.NowAt.UTC(),
		Grain: time.Duration(r.GrainSeconds) * time.Second, Stop: r.Stop, Steps: r.Steps, Jobs: r.Jobs, Failures: r.Failures,
		Worked: time.Duration(r.WorkedMs) * time.Millisecond, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
	}
	if !r.FromAt.IsZero() {
		t.FromAt = r.FromAt.UTC()
	}
	if !r.GoalAt.IsZero() {
		t.GoalAt = r.GoalAt.UTC()
	}
	if r.TenantID != 0 {
		if t.TenantID, err = tenancy.NumberedID(r.TenantID); err != nil {
			return t, err
		}
	}
	return t, json.Unmarshal(r.Options, &t.Options)
}

// Desk is the list. It is safe for concurrent use.
type Desk struct{ Central *tenancy.Central }

var errUnknown = fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")

// ClaimKey is the key under which a twin's tenant is claimed; the database makes a sandbox
// of it and of no other.
func ClaimKey(id uuid.UUID) string { return "twin:" + id.String() }

// Target is the twin's original in the trail.
func target(of tenancy.ID) audit.Target { return audit.Target{Kind: "tenant", ID: of.String()} }

// Ask puts a twin of a reseller on the list and has it made by a job, once a key. Faults:
// twin.invalid about fields, twin.limit, twin.of_a_twin, tenant.unknown; twin.unknown for the
// key of another reseller's.
func (d *Desk) Ask(ctx context.Context, of tenancy.ID, name string, o Options, id uuid.UUID, by audit.Origin) (t Twin, err error) {
	if err := o.check(); err != nil {
		return Twin{}, err
	}
	if name = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(name, ""), "\x00", "")), " "); name == "" {
		name = "Twin"
	}
	if r := []rune(name); len(r) > 60 {
		return Twin{}, fault.Field("name", "twin.bad_name", "Please use at most 60 characters.")
	}
	options, err := json.Marshal(o)
	if err != nil {
		return Twin{}, err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		old, err := one(ctx, tx, "w.id = ?", id)
		switch {
		case err == nil && old.OfID != of: // another's key says nothing of what it stands for
			return errUnknown
		case err == nil:
			t = old
			return nil
		case !fault.Is(err, "twin.unknown"):
			return err
		}
		if err := mayHaveOne(ctx, tx, of); err != nil {
			return err
		}
		now := tx.Now()
		_, err = tx.NewRaw(`INSERT INTO twins (id, of_id, name, state, problem, options, began_at, now_at, grain_seconds, stop, steps, jobs, failures, worked_ms, created_by, created_at, expires_at, changed_at)
			VALUES (?, ?, ?, 'making', '', ?::jsonb, ?, ?, 3600, false, 0, 0, 0, 0, ?, ?, ?, ?)`,
			id, of, name, string(options), now, now, by.Actor.Name, now, now.AddDate(0, 0, o.Days), now).Exec(ctx)
		if err != nil {
			return fmt.Errorf("ask for a twin of %s: %w", of, err)
		}
		if _, err := tx.Enqueue(ctx, WorkJob{Twin: id}, tenancy.JobOptions{Key: id.String() + " make"}); err != nil {
			return err
		}
		if t, err = one(ctx, tx, "w.id = ?", id); err != nil {
			return err
		}
		return by.Record(ctx, tx, "twin.asked", target(of), map[string]any{"twin": id.String(), "name": name, "names_kept": o.Names, "raise": o.Raise})
	})
	return t, err
}

// mayHaveOne locks the reseller's row, so that two at once are counted one after the other.
func mayHaveOne(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) error {
	var r struct {
		Sandbox bool
		Status  tenancy.Status
	}
	err := tx.NewRaw("SELECT sandbox, status FROM tenants WHERE id = ? FOR UPDATE", of).Scan(ctx, &r)
	switch {
	case tenancy.IsNoRows(err) || err == nil && r.Status == tenancy.Dropped:
		return fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	case err != nil:
		return fmt.Errorf("lock reseller %s: %w", of, err)
	case r.Sandbox:
		return fault.New(fault.Conflict, "twin.of_a_twin", "A twin has no twin of its own. Make another of the shop itself.")
	}
	var n int
	if err := tx.NewRaw("SELECT count(*) FROM twins WHERE of_id = ? AND state <> 'dropped'", of).Scan(ctx, &n); err != nil {
		return fmt.Errorf("count twins of %s: %w", of, err)
	}
	if n >= Limit {
		return fault.New(fault.Conflict, "twin.limit", fmt.Sprintf("A shop has at most %d twins at once. Drop one first.", Limit))
	}
	return nil
}

func one(ctx context.Context, tx *tenancy.CentralTx, where string, args ...any) (Twin, error) {
	var r row
	err := tx.NewRaw("SELECT "+columns+tables+"WHERE "+where, args...).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Twin{}, errUnknown
	}
	if err != nil {
		return Twin{}, fmt.Errorf("read twin: %w", err)
	}
	return r.twin()
}

// Get returns one. Fault: twin.unknown.
func (d *Desk) Get(ctx context.Context, id uuid.UUID) (t Twin, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		t, err = one(ctx, tx, "w.id = ?", id)
		return err
	})
	return t, err
}

// Of returns one of a reseller's; of another's there is none. Fault: twin.unknown.
func (d *Desk) Of(ctx context.Context, of tenancy.ID, id uuid.UUID) (t Twin, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		t, err = one(ctx, tx, "w.id = ? AND w.of_id = ?", id, of)
		return err
	})
	return t, err
}

// ByTenant returns the twin a tenant is. Fault: twin.unknown.
func (d *Desk) ByTenant(ctx context.Context, id tenancy.ID) (t Twin, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		t, err = one(ctx, tx, "w.tenant_id = ?", id)
		return err
	})
	return t, err
}

// List returns a reseller's twins that are not dropped, the newest first; the zero ID, all.
func (d *Desk) List(ctx context.Context, of tenancy.ID) (all []Twin, err error) {
	return d.list(ctx, "w.state <> 'dropped' AND ? IN (0, w.of_id)", of.Number())
}

func (d *Desk) list(ctx context.Context, where string, args ...any) (all []Twin, err error) {
	var rows []row
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+columns+tables+"WHERE "+where+" ORDER BY w.created_at DESC, w.id LIMIT 500", args...).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("list twins: %w", err)
	}
	for _, r := range rows {
		t, err := r.twin()
		if err != nil {
			return nil, fmt.Errorf("list twins: %w", err)
		}
		all = append(all, t)
	}
	return all, nil
}

// WorkJob does for a twin what it is to have done: it is made, its clock is turned, it is
// dropped.
type WorkJob struct {
	Twin uuid.UUID `json:"twin"`
}

// Kind names the job.
func (WorkJob) Kind() string { return "twin.work" }

// TickJob looks for twins that want work, and drops those that have expired.
type TickJob struct{}

// Kind names the job.
func (TickJob) Kind() string { return "twin.tick" }

// Unfinished are the twins that want work by now. Those that have expired are on their way
// to be dropped.
func (d *Desk) Unfinished(ctx context.Context) ([]Twin, error) {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE twins SET state = 'dropping', goal_at = NULL, stop = true, changed_at = ? WHERE expires_at <= ? AND state IN ('ready', 'failed', 'making')", tx.Now(), tx.Now()).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for expired twins: %w", err)
	}
	return d.list(ctx, `w.state IN ('making', 'dropping') OR w.state = 'ready' AND (w.goal_at IS NOT NULL
		OR EXISTS (SELECT FROM river.river_job j WHERE j.state = 'pending' AND j.queue = 'twin-' || w.tenant_id AND j.scheduled_at <= w.now_at))`)
}
