package tenancy

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// Tx is one bound transaction. It is dead when the function it was given to
// returns. It has no Begin: parts compose, wholes do not nest.
type Tx struct {
	statements
	tenant ID
	nodes  *nodes
	zone   string
	twin   bool // its time is a twin's, so what it tells the platform is heard by nobody
}

// Twin reports whether the tenant lives by a clock of its own: a sandbox twin, of whose
// figures and alerts the platform keeps none.
func (tx *Tx) Twin() bool { return tx.twin }

// Zone is the tenant's time zone.
func (tx *Tx) Zone() *time.Location {
	zone, err := time.LoadLocation(tx.zone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// TenantID is whom the transaction is bound to.
func (tx *Tx) TenantID() ID { return tx.tenant }

// Statements is what both planes' transactions offer: bun's builders, raw SQL and
// the time. Mechanisms that keep a table of the same shape in both planes
// (identity, audit, mail) are written against it.
type Statements interface {
	NewSelect() *bun.SelectQuery
	NewInsert() *bun.InsertQuery
	NewUpdate() *bun.UpdateQuery
	NewDelete() *bun.DeleteQuery
	NewRaw(query string, args ...any) *bun.RawQuery
	Now() time.Time
	Enqueue(ctx context.Context, job Job, o JobOptions) (bool, error)
}

var (
	_ Statements = (*Tx)(nil)
	_ Statements = (*CentralTx)(nil)
)

type statements struct {
	wire *wire
	now  time.Time
}

// hollow makes bun's builders and has no database: builder.DB() leads nowhere.
var hollow = bun.NewDB(sql.OpenDB(nowhere{}), pgdialect.New()) //nolint:forbidigo // there is nothing behind it

// nowhere connects to nothing. It answers with the refusal in the context, if any.
type nowhere struct{}

type refusal struct{}

func (nowhere) Connect(ctx context.Context) (driver.Conn, error) {
	if err, ok := ctx.Value(refusal{}).(error); ok {
		return nil, err
	}
	return nil, ErrNoTenant
}

func (nowhere) Driver() driver.Driver { return nil }

func (s *statements) NewSelect() *bun.SelectQuery { return hollow.NewSelect().Conn(s.wire) }
func (s *statements) NewInsert() *bun.InsertQuery { return hollow.NewInsert().Conn(s.wire) }
func (s *statements) NewUpdate() *bun.UpdateQuery { return hollow.NewUpdate().Conn(s.wire) }
func (s *statements) NewDelete() *bun.DeleteQuery { return hollow.NewDelete().Conn(s.wire) }

// NewRaw is one statement of SQL; its arguments are quoted by bun.
func (s *statements) NewRaw(query string, args ...any) *bun.RawQuery {
	return hollow.NewRaw(query, args...).Conn(s.wire)
}

// Now is the time at which the transaction began, UTC, on its plane's or tenant's clock.
// It has whole microseconds, as Postgres keeps them: what is written in two places, once
// as a value and once within JSON, would otherwise be rounded in two ways.
func (s *statements) Now() time.Time { return s.now.UTC().Truncate(time.Microsecond) }

// Job is work to be done after the commit: a struct of ids that names its kind. A
// kind, once used, is never given another meaning.
type Job interface{ Kind() string }

// JobOptions are optional. Key makes the job unique for the tenant and kind until it
// is cancelled or discarded.
type JobOptions struct {
	Queue string
	Key   string
	At    time.Time // zero: at once
}

// Enqueue adds a job with the transaction. It reports false when one with the same
// key exists. The database stamps the tenant; the caller cannot.
func (tx *Tx) Enqueue(ctx context.Context, job Job, o JobOptions) (bool, error) {
	return enqueue(ctx, &tx.statements, "door.enqueue", job, o)
}

func enqueue(ctx context.Context, s *statements, door string, job Job, o JobOptions) (bool, error) {
	args, err := json.Marshal(job)
	if err != nil {
		return false, fmt.Errorf("enqueue %s: %w", job.Kind(), err)
	}
	var at *time.Time
	if !o.At.IsZero() {
		at = &o.At
	}
	var id sql.NullInt64
	err = s.NewRaw("SELECT "+door+"(?, ?::jsonb, ?, ?, ?)", job.Kind(), string(args),
		bun.NullZero(o.Queue), bun.NullZero(o.Key), at).Scan(ctx, &id)
	if err != nil {
		return false, fmt.Errorf("enqueue %s: %w", job.Kind(), err)
	}
	return id.Valid, nil
}

// Queued is a job that is added together with others.
type Queued struct {
	Job     Job
	Options JobOptions
}

// EnqueueAll is Enqueue for many jobs at once, in their order. Those whose key exists
// are left out.
func (tx *Tx) EnqueueAll(ctx context.Context, all []Queued) error {
	if len(all) == 0 {
		return nil
	}
	type row struct {
		Kind  string     `json:"kind"`
		Args  Job        `json:"args"`
		Queue *string    `json:"queue"`
		Key   *string    `json:"key"`
		At    *time.Time `json:"at"`
	}
	rows := make([]row, len(all))
	for i, q := range all {
		rows[i] = row{Kind: q.Job.Kind(), Args: q.Job}
		if q.Options.Queue != "" {
			rows[i].Queue = &q.Options.Queue
		}
		if q.Options.Key != "" {
			rows[i].Key = &q.Options.Key
		}
		if !q.Options.At.IsZero() {
			rows[i].At = &q.Options.At
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("enqueue %d jobs: %w", len(all), err)
	}
	if _, err = tx.NewRaw("SELECT door.enqueue_all(?::jsonb)", string(text)).Exec(ctx); err != nil {
		return fmt.Errorf("enqueue %d jobs: %w", len(all), err)
	}
	return nil
}

// SetAgenda says when the tenant next has work of a kind; the zero time, that it has none.
func (tx *Tx) SetAgenda(ctx context.Context, kind string, due time.Time) error {
	_, err := tx.NewRaw("SELECT door.set_agenda(?, ?)", kind, bun.NullZero(due)).Exec(ctx)
	return err
}

// SetAgendaTo is SetAgenda with the time that query, a SELECT of one, answers, or none.
// Both are one statement, but for nodes: doors are not there, where tables are.
func (tx *Tx) SetAgendaTo(ctx context.Context, kind, query string, args ...any) error {
	spread, err := tx.Spread(ctx)
	if err != nil {
		return err
	}
	if !spread {
		_, err = tx.NewRaw("SELECT door.set_agenda(?, ("+query+"))", append([]any{kind}, args...)...).Exec(ctx)
		return err
	}
	var due sql.NullTime
	if err := tx.NewRaw("SELECT ("+query+")", args...).Scan(ctx, &due); err != nil {
		return err
	}
	return tx.SetAgenda(ctx, kind, due.Time)
}

// AdvanceAgenda says that the tenant has work of a kind at due at the latest: an earlier
// time that was set stays. It asks nothing of what else there is to do.
func (tx *Tx) AdvanceAgenda(ctx context.Context, kind string, due time.Time) error {
	_, err := tx.NewRaw("SELECT door.advance_agenda(?, ?)", kind, due).Exec(ctx)
	return err
}

// TouchSite says that what anonymous visitors see has changed; every node forgets
// the tenant's cached pages. A theme is given when a brand is published.
func (tx *Tx) TouchSite(ctx context.Context, theme string) error {
	_, err := tx.NewRaw("SELECT door.touch_site(?)", bun.NullZero(theme)).Exec(ctx)
	return err
}

// AnchorAudit keeps the end of the tenant's audit chain in the central schema.
func (tx *Tx) AnchorAudit(ctx context.Context, seq int64, hash []byte) error {
	_, err := tx.NewRaw("SELECT door.anchor_audit(?, ?)", seq, hash).Exec(ctx)
	return err
}

var errArguments = errors.New("tenancy: arguments are for bun to format")
