package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// cancelPatience is how long Postgres has to answer a cancelled statement before
// the connection is given up.
const cancelPatience = 2 * time.Second

// canceller cancels in Postgres the statement whose context ended, and keeps the
// connection: closing it, as pgx does by itself, would make a burst of deadlines a
// burst of logins.
//
// A request to cancel, once begun, is carried through even when the statement ended
// meanwhile. PgBouncer 1.18 dies of one that is hung up early, and a request that is
// still on its way could hit the next statement. What may be left of it meets the
// ROLLBACK that follows every cancelled statement.
type canceller struct {
	conn *pgconn.PgConn
	sent chan struct{}
}

func newCanceller(conn *pgconn.PgConn) ctxwatch.Handler { return &canceller{conn: conn} }

// HandleCancel is called when the context of a statement under way ends.
func (c *canceller) HandleCancel(ended context.Context) {
	deadline := time.Now().Add(cancelPatience) //nolint:forbidigo // a connection knows no other clock
	_ = c.conn.Conn().SetDeadline(deadline)
	c.sent = make(chan struct{})
	go func() {
		defer close(c.sent)
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ended), deadline)
		defer cancel()
		_ = c.conn.CancelRequest(ctx) // when it fails, the deadline ends the statement
	}()
}

// HandleUnwatchAfterCancel is called when the statement is over.
func (c *canceller) HandleUnwatchAfterCancel() {
	<-c.sent
	_ = c.conn.Conn().SetDeadline(time.Time{})
}
