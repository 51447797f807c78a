package tenancy

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// wire is the connection as bun sees it: one statement a call, only statements about
// data, only within the life of the transaction.
type wire struct {
	ctx    context.Context // the transaction's: ends with it
	caller <-chan struct{} // the end of the context the transaction was asked for with
	conn   *sql.Conn
	pgx    *pgx.Conn
	clock  time.Time // of a sandbox, as its transaction began; zero: it has none
}

func acquire(ctx context.Context, db *sql.DB) (*wire, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &wire{ctx: ctx, conn: c}
	if err := c.Raw(func(dc any) error { w.pgx = dc.(*stdlib.Conn).Conn(); return nil }); err != nil {
		_ = c.Close()
		return nil, err
	}
	return w, nil
}

// send runs a message of our own making, of one or many statements.
func (w *wire) send(message string) error {
	_, err := w.pgx.PgConn().Exec(w.ctx, message).ReadAll()
	return err
}

// begin sends the message that begins the transaction. When it asks for the tenant's
// clock, the answer is kept.
func (w *wire) begin(message string) error {
	results, err := w.pgx.PgConn().Exec(w.ctx, message).ReadAll()
	if err != nil {
		return err
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 || last.Rows[0][0] == nil {
		return nil
	}
	micros, err := strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
	if err != nil {
		return fmt.Errorf("the tenant's clock: %w", err)
	}
	w.clock = time.UnixMicro(micros).UTC()
	return nil
}

func (w *wire) commit() error {
	switch w.pgx.PgConn().TxStatus() {
	case 'T':
	case 'E':
		return ErrRolledBack // Postgres would answer COMMIT with ROLLBACK and no error
	default:
		_ = w.pgx.Close(w.ctx)
		return ErrEscaped
	}
	return w.send("COMMIT")
}

// release gives the connection back clean or not at all.
func (w *wire) release() {
	if pc := w.pgx.PgConn(); !pc.IsClosed() && !pc.IsBusy() && pc.TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 2*time.Second)
		defer cancel()
		if _, err := pc.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			_ = w.pgx.Close(ctx)
		}
	}
	_ = w.conn.Close()
}

// within ties the caller's context to the transaction's, whichever the caller used.
// done, when not nil, frees what that took.
func (w *wire) within(ctx context.Context) (_ context.Context, done func(), err error) {
	if err := w.ctx.Err(); err != nil {
		return nil, nil, errors.Join(sql.ErrTxDone, err)
	}
	switch ctx.Done() {
	case nil, w.ctx.Done(), w.caller: // nearly always; w.ctx ends with the caller's
		return w.ctx, nil, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.ctx, func() { cancel(context.Cause(w.ctx)) })
	return ctx, func() { stop(); cancel(nil) }, nil
}

// QueryContext runs one statement. A context of the caller's own is let go at the end
// of the transaction: rows are read after we return.
func (w *wire) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := allowed(query); err != nil {
		return nil, err
	}
	ctx, _, err := w.within(ctx)
	if err != nil {
		return nil, err
	}
	return w.conn.QueryContext(ctx, query, args...)
}

// QueryRowContext is QueryContext for one row; bun counts with it.
func (w *wire) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	err := allowed(query)
	if err == nil {
		ctx, _, err = w.within(ctx)
	}
	if err != nil { // only package sql can make a row that holds an error: ours comes from nowhere
		return hollow.DB.QueryRowContext(context.WithValue(context.WithoutCancel(w.ctx), refusal{}, err), query)
	}
	return w.conn.QueryRowContext(ctx, query, args...)
}

// ExecContext uses the extended protocol. pgx would take the simple one for a statement
// without arguments, and bun never has any: "…; COMMIT; …" would then be three statements.
func (w *wire) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := allowed(query); err != nil {
		return nil, err
	}
	if len(args) > 0 {
		return nil, errArguments
	}
	ctx, done, err := w.within(ctx)
	if err != nil {
		return nil, err
	}
	if done != nil {
		defer done()
	}
	tag, err := w.pgx.PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Close()
	return driver.RowsAffected(tag.RowsAffected()), err
}

// allowed admits statements about data. Everything that could change who we are or end
// the transaction (SET, RESET, COMMIT, DO, CALL, PREPARE, DDL, …) starts with another word.
func allowed(query string) error {
	switch verb(query) {
	case "select", "insert", "update", "delete", "with", "values", "merge":
		return nil
	}
	return fmt.Errorf("%w: %q", ErrRefused, verb(query))
}

// verb is the first word of a statement. A leading comment hides it and is refused: to
// skip one safely we would have to agree with Postgres on nesting and on line ends.
func verb(q string) string {
	q = strings.TrimLeft(q, " \t\r\n\f\v(")
	end := strings.IndexFunc(q, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' })
	if end < 0 {
		end = len(q)
	}
	return strings.ToLower(q[:end])
}
