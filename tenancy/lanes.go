package tenancy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Resize changes the number of lanes the pool uses, to what the database was
// changed to. Transactions that began before go on over the lanes they have; no
// transaction fails because of it. It returns at once; lanes that are no longer
// used are closed when their last transaction has left.
func (p *Pool) Resize(ctx context.Context, lanes int) error {
	p.resizing.Lock()
	defer p.resizing.Unlock()
	old := p.set // only Resize writes it
	have := len(old.lanes)
	if lanes == have {
		return nil
	}
	kept := append([]lane(nil), old.lanes[:min(have, max(lanes, 0))]...)
	if lanes > have || lanes < 1 {
		// The pools outlive the call that opens them.
		more, err := openLanes(context.WithoutCancel(ctx), p.cfg, have, lanes)
		if err != nil {
			return err
		}
		kept = append(kept, more...)
	}
	p.mu.Lock()
	p.set = &laneSet{lanes: kept}
	p.mu.Unlock()
	p.retiring.Go(func() {
		old.users.Wait()
		if lanes < have {
			closeLanes(old.lanes[lanes:])
		}
	})
	return nil
}

// Lanes is the number of lanes the database has now.
func (tx *CentralTx) Lanes(ctx context.Context) (n int, err error) {
	if err := tx.NewRaw("SELECT value::int FROM settings WHERE name = 'lanes'").Scan(ctx, &n); err != nil {
		return 0, fmt.Errorf("number of lanes: %w", err)
	}
	return n, nil
}

// LaneChange are the circumstances of a change of the number of lanes.
type LaneChange struct {
	Password func(role string) string // of the lanes' logins; nil: they get none
	// Grace is how long nodes have to take the new number: longer than the period
	// of the directory's resync, for a notification may be lost.
	Grace time.Duration
}

// ChangeLanes spreads the tenants over n lanes while everything runs. It makes the
// logins, grants every tenant and spare to its new lane, publishes the number (nodes
// hear `lanes` on the channel ezscale_directory and call Pool.Resize), waits for
// the grace and revokes the old memberships. Interrupted, it may be repeated with
// the same number and goes on. owner is a connection of the database's owner.
func ChangeLanes(ctx context.Context, owner *pgx.Conn, n int, o LaneChange) error {
	if n < 1 || n > MaxLanes {
		return fmt.Errorf("change lanes: %d lanes: at least 1 and at most %d", n, MaxLanes)
	}
	release, err := lockInstall(ctx, owner)
	if err != nil {
		return err
	}
	defer release()
	abroad, err := stayHere(ctx, owner)
	if err != nil {
		return fmt.Errorf("change lanes: %w", err)
	}
	defer abroad()
	if err := makeLanes(ctx, owner, n, o.Password); err != nil {
		return err
	}
	if err := settleLanes(ctx, owner, n); err != nil {
		return err
	}
	if err := grantLanes(ctx, owner, n); err != nil {
		return fmt.Errorf("change lanes: %w", err)
	}
	var age float64 // of the number: an interrupted change has waited a part of the grace
	err = owner.QueryRow(ctx, "SELECT extract(epoch FROM clock_timestamp() - changed_at)::float8 FROM central.settings WHERE name = 'lanes'").Scan(&age)
	if err != nil {
		return fmt.Errorf("change lanes: %w", err)
	}
	select {
	case <-time.After(o.Grace - time.Duration(age*float64(time.Second))):
	case <-ctx.Done():
		return fmt.Errorf("change lanes: the old memberships stand until it is repeated: %w", ctx.Err())
	}
	if err := revokeLanes(ctx, owner); err != nil {
		return fmt.Errorf("change lanes: revoke: %w", err)
	}
	return nil
}

// placement is where a tenant or spare lives and which lanes may become it.
type placement struct {
	id      ID
	members []string
}

// placements reads all tenants and spares with the lanes that are members of them.
func placements(ctx context.Context, tx pgx.Tx) ([]placement, error) {
	rows, err := tx.Query(ctx, `
		SELECT x.id, coalesce(array_agg(l.rolname::text) FILTER (WHERE l.rolname IS NOT NULL), '{}')
		FROM (SELECT id FROM central.tenants WHERE status <> 'dropped' UNION SELECT id FROM central.spares) x
		LEFT JOIN pg_roles r ON r.rolname = 't_' || x.id
		LEFT JOIN pg_auth_members m ON m.roleid = r.oid
		LEFT JOIN pg_roles l ON l.oid = m.member AND l.rolname ~ '^lane_[0-9]+$'
		GROUP BY x.id ORDER BY x.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p placement, err error) {
		return p, row.Scan(&p.id, &p.members)
	})
}

// grantLanes grants, moves the spares and publishes, in one transaction. It holds
// the row of the number, which builds share: none ends under another number.
func grantLanes(ctx context.Context, owner *pgx.Conn, n int) error {
	o, err := whoOwns(ctx, owner)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM central.settings WHERE name = 'lanes' FOR UPDATE"); err != nil {
			return err
		}
		all, err := placements(ctx, tx)
		if err != nil {
			return err
		}
		missing := map[string][]string{}
		ids, lanes := make([]int64, len(all)), make([]int32, len(all))
		for i, p := range all {
			lane := p.id.Lane(n)
			ids[i], lanes[i] = p.id.Number(), int32(lane) //nolint:gosec // at most MaxLanes
			if !slices.Contains(p.members, LaneLogin(lane)) {
				missing[LaneLogin(lane)] = append(missing[LaneLogin(lane)], p.id.Schema())
			}
		}
		for login, tenants := range missing {
			if _, err := tx.Exec(ctx, "GRANT "+strings.Join(tenants, ", ")+" TO "+login+o.settable()); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `UPDATE central.spares s SET lane = x.lane
			FROM unnest($1::bigint[], $2::int[]) AS x (id, lane) WHERE s.id = x.id AND s.lane <> x.lane`, ids, lanes)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE central.settings SET value = to_jsonb($1::int), changed_at = clock_timestamp() WHERE name = 'lanes' AND value <> to_jsonb($1::int)", n); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "SELECT pg_notify('ezscale_directory', 'lanes')")
		return err
	})
}

// revokeLanes takes away every membership of a lane that is not the tenant's own.
func revokeLanes(ctx context.Context, owner *pgx.Conn) error {
	return pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, "SELECT value::int FROM central.settings WHERE name = 'lanes' FOR UPDATE").Scan(&n); err != nil {
			return err
		}
		all, err := placements(ctx, tx)
		if err != nil {
			return err
		}
		surplus := map[string][]string{}
		for _, p := range all {
			for _, m := range p.members {
				if m != LaneLogin(p.id.Lane(n)) {
					surplus[m] = append(surplus[m], p.id.Schema())
				}
			}
		}
		for login, tenants := range surplus {
			if _, err := tx.Exec(ctx, "REVOKE "+strings.Join(tenants, ", ")+" FROM "+login); err != nil {
				return err
			}
		}
		return nil
	})
}
