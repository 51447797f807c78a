package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fleet"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// lane builds spares until one lane has n, and answers with these, by number.
func lane(t *testing.T, w *tenancytest.World, n int) []tenancy.ID {
	t.Helper()
	b, err := tenancy.NewBuilder(w.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	have := map[int][]tenancy.ID{}
	for {
		id, err := b.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l := id.Lane(tenancytest.Lanes)
		if have[l] = append(have[l], id); len(have[l]) == n {
			return have[l]
		}
	}
}

// transactions is in how many transactions the versions of the spares were noted.
func transactions(t *testing.T, w *tenancytest.World, of []tenancy.ID) int {
	t.Helper()
	return scalar[int](t, w.Owner, "SELECT count(DISTINCT xmin::text) FROM central.spares WHERE id = ANY($1)", numbers(of))
}

func numbers(of []tenancy.ID) []int64 {
	all := make([]int64, len(of))
	for i, id := range of {
		all[i] = id.Number()
	}
	return all
}

func version(t *testing.T, c *pgx.Conn, id tenancy.ID) int {
	t.Helper()
	return scalar[int](t, c, "SELECT schema_version FROM central.spares WHERE id = $1", id.Number())
}

// TestTenantsOfALaneShareATransaction, unless rows are changed, whose time nobody knows.
func TestTenantsOfALaneShareATransaction(t *testing.T) {
	w := tenancytest.New(t)
	spares := lane(t, w, 4)
	if r := migrate(t, migrator(t, w, later(t, column)), fleet.Options{}); !r.Complete() {
		t.Fatalf("%+v", r)
	}
	if n := transactions(t, w, spares); n != 1 {
		t.Errorf("four spares of a lane took %d transactions", n)
	}
	for _, id := range spares {
		if owner := scalar[string](t, w.Owner, "SELECT relowner::regrole::text FROM pg_class WHERE oid = $1::regclass", id.Schema()+".accounts_by_nickname"); owner != id.Schema() {
			t.Errorf("the index of %s belongs to %s", id.Schema(), owner)
		}
	}
	files := []string{column}
	for _, sql := range []string{
		"UPDATE accounts SET nickname = name;",
		"/* first */ WITH x AS (SELECT 1) DELETE FROM accounts WHERE false;",
		"CREATE TABLE extras (id uuid PRIMARY KEY);\nINSERT INTO extras SELECT id FROM accounts;",
	} {
		files = append(files, sql)
		if r := migrate(t, migrator(t, w, later(t, files...)), fleet.Options{}); !r.Complete() {
			t.Fatalf("%+v", r)
		}
		if n := transactions(t, w, spares); n != len(spares) {
			t.Errorf("%q took %d transactions for four spares", sql, n)
		}
	}
}

// TestOneOfAGroupFails: what was done before it stays done, and the others go on.
func TestOneOfAGroupFails(t *testing.T) {
	for at := range 4 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			w := tenancytest.New(t)
			spares := lane(t, w, 4)
			run(t, w.Owner, "ALTER TABLE "+spares[at].Schema()+".accounts ADD COLUMN nickname int")
			r := migrate(t, migrator(t, w, later(t, "CREATE TABLE extras (id uuid PRIMARY KEY);", column)), fleet.Options{})
			if r.Stopped != "" || len(r.Failures) != 1 || r.Failures[0].ID != spares[at] || !r.Failures[0].Spare {
				t.Fatalf("%+v", r)
			}
			for i, id := range spares {
				there := scalar[bool](t, w.Owner, "SELECT to_regclass($1) IS NOT NULL", id.Schema()+".extras")
				if v := version(t, w.Owner, id); (v == 9002) == (i == at) || there == (i == at) {
					t.Errorf("with the spare %d in the way, %d is at %d and has the new table: %t", at, i, v, there)
				}
			}
			if all := scalar[int](t, w.Owner, "SELECT count(*) FROM central.spares WHERE schema_version = 9002"); r.Migrated != all+3 {
				t.Errorf("%d schemas are reported, %d spares and 3 tenants are there", r.Migrated, all)
			}
		})
	}
}

// TestSomebodyInTheWayOfAGroup delays only its own tenant: the others of the lane are done
// while the lock is still held.
func TestSomebodyInTheWayOfAGroup(t *testing.T) {
	w := tenancytest.New(t)
	spares := lane(t, w, 4)
	tx, err := w.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE "+spares[1].Schema()+".accounts"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, w, later(t, column))
	r := migrate(t, m, fleet.Options{LockTimeout: 20 * time.Millisecond, Attempts: 3}) // the lock is held all the time
	if r.Stopped != "" || len(r.Failures) != 1 || r.Failures[0].ID != spares[1] {
		t.Errorf("%+v", r)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, id := range spares {
		if v := version(t, w.Owner, id); (v == 9001) == (i == 1) {
			t.Errorf("the spare %d is at %d", i, v)
		}
	}
	if r := migrate(t, m, fleet.Options{}); !r.Complete() || r.Migrated != 1 {
		t.Errorf("%+v", r)
	}
}
