package tenancy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Run keeps the resolver fresh until ctx ends, whose error it returns. It survives
// every fault of the database. It begins with a full load; a caller that must not
// serve before one calls Refresh first.
func (r *Resolver) Run(ctx context.Context) error {
	var listener sync.WaitGroup
	if r.cfg.Listen != nil {
		listener.Go(func() { r.listen(ctx) })
	}
	defer listener.Wait()
	poll, resync := time.NewTicker(r.cfg.Poll), time.NewTicker(r.cfg.Resync)
	defer poll.Stop()
	defer resync.Stop()
	whole := r.state.Load().at.IsZero()
	for {
		if whole {
			whole = r.report(ctx, r.Refresh(ctx)) != nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-resync.C:
			whole = true
		case <-poll.C:
			if !whole {
				many, err := r.poll(ctx)
				whole = many || r.report(ctx, err) != nil
			}
		case first := <-r.told:
			ids, all := r.gather(first)
			if whole = whole || all || len(ids) > manyChanged; !whole {
				whole = r.report(ctx, r.RefreshTenant(ctx, ids...)) != nil
			}
		}
	}
}

// report logs what went wrong and is healed by a full load at the next turn.
func (r *Resolver) report(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "directory not refreshed; the last known state serves", "error", err)
		select { // not at full speed while the database is away
		case <-ctx.Done():
		case <-time.After(r.cfg.Poll / 2):
		}
	}
	return err
}

// poll asks what changed since the last time. many: so much that all should be loaded.
func (r *Resolver) poll(ctx context.Context) (many bool, err error) {
	r.load.Lock()
	defer r.load.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	old := r.state.Load()
	ids, mark, err := r.cfg.Directory.Changes(ctx, old.mark)
	if err != nil {
		return false, fmt.Errorf("ask for changes: %w", err)
	}
	if len(ids) > manyChanged {
		return true, nil
	}
	return false, r.refreshTenants(ctx, ids, mark)
}

// gather takes what else has arrived, so that a burst is one copy of the map.
func (r *Resolver) gather(first string) (ids []ID, all bool) {
	seen := map[ID]bool{}
	settle := time.After(5 * time.Millisecond)
	for payload := first; ; {
		number, ok := strings.CutPrefix(payload, "tenant ")
		id, err := ParseID(number)
		if !ok || err != nil {
			all = true // "all", or somebody newer than us
		} else if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		select {
		case payload = <-r.told:
		case <-settle:
			return ids, all
		}
	}
}

// listen passes notifications on and comes back after every fault. What was sent
// while nobody listened is made up for by a full load after each reconnect.
func (r *Resolver) listen(ctx context.Context) {
	const shortest, longest = 50 * time.Millisecond, 800 * time.Millisecond
	wait := shortest
	for ctx.Err() == nil {
		began := time.Now() //nolint:forbidigo // how long a connection lasted is real time
		err := r.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			wait = shortest
		}
		r.cfg.Log.WarnContext(ctx, "directory notifications lost; reconnecting", "error", err, "after", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // jitter
		}
		wait = min(wait*2, longest)
	}
}

func (r *Resolver) listenOnce(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	c, err := r.cfg.Listen(dial)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(closing)
	}()
	if _, err := c.Exec(dial, "LISTEN "+DirectoryChannel); err != nil {
		return err
	}
	r.pass("all")
	for {
		n, err := waitNotification(ctx, c)
		if err != nil {
			return err
		}
		if n != "" {
			r.pass(n)
		}
	}
}

// waitNotification returns the next payload, or "" after a while without one in which
// the connection proved to be alive.
func waitNotification(ctx context.Context, c *pgx.Conn) (string, error) {
	quiet, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	n, err := c.WaitForNotification(quiet)
	if err == nil {
		return n.Payload, nil
	}
	if ctx.Err() != nil || quiet.Err() == nil {
		return "", err
	}
	alive, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return "", c.Ping(alive)
}

// pass hands a payload to Run. When so many wait that there is no room, dropping one
// loses nothing: Changes names the tenant at the next poll.
func (r *Resolver) pass(payload string) {
	select {
	case r.told <- payload:
	default:
	}
}
