package tenancy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrNotSandbox is returned for a copy into what is no sandbox.
var ErrNotSandbox = errors.New("tenancy: only a sandbox is made a copy")

// CopyTable says what of a table goes into a copy: a SELECT over the original's table, in
// the order of columns. Without a query the copy's table stays empty.
type CopyTable struct {
	Query   string
	Columns []string
}

// Copy fills an empty sandbox with what shape takes of another tenant, all of one moment.
// Two transactions do it, one after the other, each bound to one of the two as any other
// is: the first writes what it reads to a file of this process, the second reads the file.
// No connection ever reaches both. finish ends the second, which is committed whole or not
// at all; a sandbox that is filled is left as it is. Copy returns how many rows it wrote.
func (p *Pool) Copy(ctx context.Context, from, to Tenant, shape func(table string, columns []string) CopyTable, finish func(*Tx) error) (rows int64, err error) {
	switch {
	case from.ID.IsZero() || to.ID.IsZero():
		return 0, ErrNoTenant
	case !to.Sandbox || from.ID == to.ID:
		return 0, fmt.Errorf("copy %s to %s: %w", from.ID.Schema(), to.ID.Schema(), ErrNotSandbox)
	}
	spool, err := os.CreateTemp("", "ezscale-copy-")
	if err != nil {
		return 0, fmt.Errorf("copy %s: %w", from.ID.Schema(), err)
	}
	defer func() { _ = spool.Close(); _ = os.Remove(spool.Name()) }()
	parts, err := p.copyOut(ctx, from, spool, shape)
	if err != nil {
		return 0, fmt.Errorf("copy %s: %w", from.ID.Schema(), err)
	}
	err = p.Bind(to).Update(ctx, func(tx *Tx) error {
		rows = 0
		for _, part := range parts {
			n, err := tx.copyIn(ctx, part, io.NewSectionReader(spool, part.at, part.bytes))
			if errors.Is(err, errFilled) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("table %s: %w", part.name, err)
			}
			rows += n
		}
		return finish(tx)
	})
	if err != nil {
		return 0, fmt.Errorf("copy to %s: %w", to.ID.Schema(), err)
	}
	return rows, nil
}

// copied is one table's rows in the file.
type copied struct {
	name      string
	columns   []string
	at, bytes int64
}

func (p *Pool) copyOut(ctx context.Context, from Tenant, to io.Writer, shape func(string, []string) CopyTable) (parts []copied, err error) {
	release, err := p.admit(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	set, leave := p.enter()
	defer leave()
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" + bind(from.ID)
	err = once(ctx, set.lanes[from.ID.Lane(len(set.lanes))].db, begin, func(w *wire) error {
		tables, err := tablesOf(w, from.ID)
		if err != nil {
			return err
		}
		counted := &counter{to: to}
		for _, t := range tables {
			take := shape(t.Name, t.Columns)
			if take.Query == "" {
				continue
			}
			if err := allowed(take.Query); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			part := copied{name: t.Name, columns: take.Columns, at: counted.n}
			if _, err := w.pgx.PgConn().CopyTo(w.ctx, counted, "COPY ("+take.Query+") TO STDOUT (ENCODING 'UTF8')"); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			part.bytes = counted.n - part.at
			parts = append(parts, part)
		}
		return nil
	})
	return parts, err
}

// errFilled says that the copy was made before.
var errFilled = errors.New("tenancy: the sandbox is filled")

func (tx *Tx) copyIn(ctx context.Context, part copied, from io.Reader) (int64, error) {
	table := pgx.Identifier{part.name}.Sanitize()
	var filled bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM "+table+")").Scan(ctx, &filled); err != nil {
		return 0, err
	}
	if filled {
		return 0, errFilled
	}
	quoted := make([]string, len(part.columns))
	for i, c := range part.columns {
		quoted[i] = pgx.Identifier{c}.Sanitize()
	}
	tag, err := tx.wire.pgx.PgConn().CopyFrom(tx.wire.ctx, from, "COPY "+table+" ("+strings.Join(quoted, ", ")+") FROM STDIN (ENCODING 'UTF8')")
	return tag.RowsAffected(), err
}
