package tenancy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

const membershipsSQL = `SELECT count(*) FROM pg_auth_members m JOIN pg_roles t ON t.oid = m.roleid AND t.rolname ~ '^t_[0-9]+$'
	JOIN pg_roles l ON l.oid = m.member AND l.rolname ~ '^lane_'`

// Traffic runs over two nodes while the number of lanes grows and shrinks.
func TestChangeLanesUnderTraffic(t *testing.T) {
	p := startPlatform(t, "", 4)
	ctx := t.Context()
	b := newBuilder(t, p.dsn)
	nodes := []*tenancy.Pool{p.open(t, 4, b), p.open(t, 4, b)}
	if _, err := (tenancy.Stock{Builder: b}).Fill(ctx, 10); err != nil {
		t.Fatal(err)
	}
	var tenants []tenancy.Tenant
	for i := range 6 {
		c, err := nodes[0].Claim(ctx, claimOf(fmt.Sprint("shop-", i)), signs(ctx))
		if err != nil {
			t.Fatal(err)
		}
		tenants = append(tenants, c)
	}

	listener := dial(t, p.dsn)
	if _, err := listener.Exec(ctx, "LISTEN ezscale_directory"); err != nil {
		t.Fatal(err)
	}
	var heard atomic.Int64
	listening, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { // what the directory of each node does
		asks := dial(t, p.dsn)
		for {
			n, err := listener.WaitForNotification(listening)
			if err != nil {
				return
			}
			if n.Payload != "lanes" {
				continue
			}
			heard.Add(1)
			lanes, err := tenancy.LanesOf(ctx, asks)
			if err != nil {
				t.Error(err)
			}
			for _, node := range nodes {
				if err := node.Resize(ctx, lanes); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var done atomic.Bool
	var ran, claimed atomic.Int64
	for i, c := range tenants {
		wg.Go(func() {
			db := nodes[i%2].Bind(c)
			for !done.Load() {
				var names []string
				err := db.Update(ctx, func(tx *tenancy.Tx) error {
					if err := sign(ctx, tx, c.Slug); err != nil {
						return err
					}
					return tx.NewRaw("SELECT DISTINCT name FROM accounts").Scan(ctx, &names)
				})
				if err != nil || len(names) != 1 || names[0] != c.Slug {
					t.Errorf("%s reads %q: %v", c.Slug, names, err)
					return
				}
				ran.Add(1)
			}
		})
	}
	wg.Go(func() {
		for i := 0; !done.Load(); i++ {
			c, err := nodes[1].Claim(ctx, claimOf(fmt.Sprint("late-", i)), signs(ctx))
			if err != nil {
				t.Error(err)
				return
			}
			if names := signatures(t, nodes[0].Bind(c)); len(names) != 1 || names[0] != c.Slug {
				t.Errorf("%s reads %q", c.Slug, names)
			}
			claimed.Add(1)
		}
	})
	changes := []int{7, 3, 16, 1, 4}
	for _, n := range changes {
		if err := tenancy.ChangeLanes(ctx, p.owner, n, tenancy.LaneChange{Grace: 700 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	for heard.Load() < int64(len(changes)) && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	stop()
	wg.Wait()
	t.Logf("%d transactions and %d claims while the lanes changed %d times", ran.Load(), claimed.Load(), len(changes))
	all := scalar[int](t, p.owner, "SELECT (SELECT count(*) FROM central.tenants) + (SELECT count(*) FROM central.spares)")
	if n := scalar[int](t, p.owner, membershipsSQL); n != all {
		t.Errorf("%d memberships of lanes for %d tenants and spares", n, all)
	}
}

// A change that was killed in its grace is repeated and ends.
func TestChangeLanesGoesOn(t *testing.T) {
	p := startPlatform(t, "", 4)
	ctx := t.Context()
	many := 10_000
	if scalar[bool](t, p.owner, "SELECT current_setting('server_version_num')::int >= 160000") {
		many = 500 // from 16 on each grant of an owner without SUPERUSER walks through all his roles
	}
	err := pgx.BeginFunc(ctx, p.owner, func(tx pgx.Tx) error { // roles alone: it is grants that are counted
		_, err := tx.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
			EXECUTE format('CREATE ROLE t_%%s LOGIN NOINHERIT', i); END LOOP; END $$`, many))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO central.spares (id, lane, schema_version) SELECT i, 0, 1 FROM generate_series(1, $1::int) i", many)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tenancy.ChangeLanes(ctx, p.owner, 4, tenancy.LaneChange{}); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](t, p.owner, membershipsSQL); n != many {
		t.Fatalf("%d memberships, want %d", n, many)
	}
	dies, cancel := context.WithCancel(ctx)
	killer := dial(t, p.dsn)
	if _, err := killer.Exec(ctx, "LISTEN ezscale_directory"); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = killer.WaitForNotification(ctx)
		cancel()
	}()
	start := time.Now()
	if err := tenancy.ChangeLanes(dies, dial(t, p.dsn), 9, tenancy.LaneChange{Grace: time.Hour}); err == nil {
		t.Fatal("the grace ended early")
	}
	t.Logf("granted in %v", time.Since(start).Round(time.Millisecond))
	if n := scalar[int](t, p.owner, membershipsSQL); n <= many {
		t.Errorf("%d memberships: the old ones must stand in the grace", n)
	}
	start = time.Now()
	if err := tenancy.ChangeLanes(ctx, p.owner, 9, tenancy.LaneChange{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("revoked in %v", time.Since(start).Round(time.Millisecond))
	if n := scalar[int](t, p.owner, membershipsSQL); n != many {
		t.Errorf("%d memberships, want %d", n, many)
	}
	for _, bad := range []int{0, -1, tenancy.MaxLanes + 1} {
		if err := tenancy.ChangeLanes(ctx, p.owner, bad, tenancy.LaneChange{}); err == nil {
			t.Errorf("%d lanes are none to have", bad)
		}
	}
}
