package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

const (
	// together is how many tenants share a transaction at most. It saves each a commit and
	// a note of its own; the price is that their tables stay locked until the last is done.
	together = 8
	// groupWait is how long a group waits for a lock, so that somebody who holds one
	// tenant's table holds up the others of the group for no longer.
	groupWait = 50 * time.Millisecond
	// groupStatement is what one statement may take in a group: who has large tables is
	// migrated alone.
	groupStatement = 200 * time.Millisecond
	// groupTime is after how long a group was too large, and the next is half of it.
	groupTime = 500 * time.Millisecond
)

// grouped is how many of the next schemas may share a transaction.
func (r *run) grouped(todo []schema, size int) int {
	if r.m.alone(todo[0].was) {
		return 1
	}
	n := 1
	for n < min(size, len(todo)) && todo[n].was == todo[0].was {
		n++
	}
	return n
}

// group migrates as many of the schemas as it can in one transaction, in their order, each
// bound to its own tenant and behind a savepoint of its own, and answers how many it
// committed. With an error the one after them is in the way: it is rolled back and what was
// done before it is kept. All is one message; one for each took a sixth more time of the
// processor.
func (r *run) group(ctx context.Context, conn **pgx.Conn, todo []schema) (done int, why error) {
	if err := r.connect(ctx, conn, todo[0].id); err != nil {
		return 0, err
	}
	var message strings.Builder
	message.WriteString(begin(min(groupWait, r.o.LockTimeout)))
	fmt.Fprintf(&message, "SET LOCAL statement_timeout = %d;\n", groupStatement.Milliseconds())
	for _, s := range todo {
		message.WriteString("SAVEPOINT one;\n" + r.bound(s) + "RELEASE one;\n")
	}
	message.WriteString(r.noted(todo))
	results, why := tenancy.SendScript(ctx, *conn, message.String(), r.apart)
	if why == nil {
		return len(todo), nil
	}
	for _, x := range results {
		if x.CommandTag.String() == "RELEASE" { // no migration has one
			done++
		}
	}
	if done == 0 || done == len(todo) {
		rollBack(ctx, *conn, "ROLLBACK")
		return 0, why
	}
	rollBack(ctx, *conn, "ROLLBACK TO one")
	if err := r.send(ctx, *conn, r.noted(todo[:done])); err != nil {
		return 0, err
	}
	return done, why
}
