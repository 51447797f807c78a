package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func entry(action string, detail map[string]any) audit.Entry {
	p := identity.Principal{World: identity.Reseller, PersonID: uuid.New(), Name: "Ada"}
	return audit.Entry{Actor: audit.By(p), Action: action, Target: audit.Target{Kind: "brand", ID: "1"}, Detail: detail, IP: "192.0.2.1", RequestID: "r1"}
}

func mustAppend(t *testing.T, db *tenancy.DB, n int) {
	t.Helper()
	for i := range n {
		err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
			return audit.Append(t.Context(), tx, entry("brand.published", map[string]any{"n": i}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustInspect(t *testing.T, w *tenancytest.World, who tenancy.Tenant) audit.Report {
	t.Helper()
	report, err := audit.InspectTenant(t.Context(), w.Central, w.DB(who))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestChainsOfTwoTenantsAndThePlatform(t *testing.T) {
	w := tenancytest.New(t)
	mustAppend(t, w.DB(w.A), 20)
	mustAppend(t, w.DB(w.B), 3)
	err := w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
		return audit.Append(t.Context(), tx, audit.Entry{Actor: audit.System("scheduler"), Action: "tenant.created", Target: audit.Target{Kind: "tenant", ID: "1"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]int64{"alpha": 20, "beta": 3} {
		tenant := map[string]tenancy.Tenant{"alpha": w.A, "beta": w.B}[who]
		if r := mustInspect(t, w, tenant); !r.Holds() || r.Entries != want {
			t.Errorf("%s: %+v", who, r)
		}
	}
	central, err := audit.InspectCentral(t.Context(), w.Central)
	if err != nil || !central.Holds() || central.Entries != 1 {
		t.Errorf("central: %+v, %v", central, err)
	}
	var list []audit.Recorded
	err = w.DB(w.B).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		list, err = audit.List(t.Context(), tx, audit.Filter{Action: "brand.", Limit: 2})
		return err
	})
	if err != nil || len(list) != 2 || list[0].Seq != 3 || list[0].Actor.Name != "Ada" || list[0].Detail["n"] != 2.0 {
		t.Errorf("list: %+v, %v", list, err)
	}
	err = w.DB(w.B).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		list, err = audit.List(t.Context(), tx, audit.Filter{TargetKind: "brand", TargetID: "1", Before: 2})
		return err
	})
	if err != nil || len(list) != 1 || list[0].Seq != 1 {
		t.Errorf("second page: %+v, %v", list, err)
	}
}

func TestAppendTakesWhateverItIsGiven(t *testing.T) {
	w := tenancytest.New(t)
	hostile := []audit.Entry{
		entry("a.b\x00c", map[string]any{"nul": "a\x00b", "slash": `\u0000`, "both": "\\\x00"}),
		entry("\xff\xfe", map[string]any{"big": 1e300, "small": 1e-300, "z": 1, "a": []any{1.50, nil, true}}),
		entry(strings.Repeat("ü", 100000), map[string]any{"long": strings.Repeat("x", 1<<20)}),
		{},
	}
	for _, e := range hostile {
		if err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error { return audit.Append(t.Context(), tx, e) }); err != nil {
			t.Errorf("%.20q: %v", e.Action, err)
		}
	}
	if r := mustInspect(t, w, w.A); !r.Holds() || r.Entries != int64(len(hostile)) {
		t.Errorf("%+v", r)
	}
}

func TestAppendsAtOnceMakeOneChain(t *testing.T) {
	w := tenancytest.New(t)
	errs := make(chan error)
	for i := range 12 {
		go func() {
			errs <- w.DB(w.A).Update(context.Background(), func(tx *tenancy.Tx) error {
				return audit.Append(context.Background(), tx, entry(fmt.Sprintf("n.%d", i), nil))
			})
		}()
	}
	for range 12 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if r := mustInspect(t, w, w.A); !r.Holds() || r.Entries != 12 {
		t.Errorf("%+v", r)
	}
}

// What the program's own roles may not do, Postgres refuses.
func TestPostgresRefusesToChangeTheTrail(t *testing.T) {
	w := tenancytest.New(t)
	mustAppend(t, w.DB(w.A), 1)
	for _, sql := range []string{"UPDATE audit_entries SET action = 'x'", "DELETE FROM audit_entries"} {
		err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(sql).Exec(t.Context())
			return err
		})
		if !tenancy.IsDenied(err) {
			t.Errorf("a tenant ran %q: %v", sql, err)
		}
		for _, table := range []string{"audit_entries", "audit_anchors"} {
			central := strings.Replace(sql, "audit_entries", table, 1)
			if table == "audit_anchors" {
				central = strings.Replace(central, "action = 'x'", "seq = 1", 1)
			}
			err = w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
				_, err := tx.NewRaw(central).Exec(t.Context())
				return err
			})
			if !tenancy.IsDenied(err) {
				t.Errorf("the central plane ran %q: %v", central, err)
			}
			if _, err := w.Owner.Exec(t.Context(), strings.Replace(central, table, "central."+table, 1)); !tenancy.IsDenied(err) {
				t.Errorf("the owner ran %q: %v", central, err)
			}
		}
	}
}

// Whoever gets around the rights (a superuser by hand) is found out.
func TestVerifyFindsWhatWasForged(t *testing.T) {
	for _, c := range []struct{ name, forge, reason string }{
		{"an entry changed", "UPDATE audit_entries SET detail = '{\"n\": 9}' WHERE seq = 5", "entry 5 was changed"},
		{"an hour moved", "UPDATE audit_entries SET at = (at AT TIME ZONE 'UTC' + interval '1 microsecond') AT TIME ZONE 'UTC' WHERE seq = 7", "entry 7 was changed"},
		{"an entry removed from the middle", "DELETE FROM audit_entries WHERE seq = 6", "entry 6 is missing"},
		{"the first removed", "DELETE FROM audit_entries WHERE seq = 1", "entry 1 is missing"},
		{"the last removed", "DELETE FROM audit_entries WHERE seq = 20", "its head says 20"},
		{
			"the end removed and the head with it",
			"DELETE FROM audit_entries WHERE seq > 10; UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_entries WHERE seq = 10)",
			"anchored entry 17",
		},
		{"everything removed", "DELETE FROM audit_entries; UPDATE audit_head SET seq = 0, hash = ''", "and it is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := tenancytest.New(t)
			mustAppend(t, w.DB(w.A), 20)
			mustAppend(t, w.DB(w.B), 20)
			if _, err := w.Owner.PgConn().Exec(t.Context(), "SET search_path TO "+w.A.ID.Schema()+"; "+c.forge).ReadAll(); err != nil {
				t.Fatal(err)
			}
			if r := mustInspect(t, w, w.A); r.Holds() || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("%+v, want %q", r, c.reason)
			}
			if r := mustInspect(t, w, w.B); !r.Holds() {
				t.Errorf("the other tenant's chain: %+v", r)
			}
		})
	}
}

// A chain rewritten from its start with right hashes still misses its anchors.
func TestAnchorsCatchARewrittenChain(t *testing.T) {
	w := tenancytest.New(t)
	mustAppend(t, w.DB(w.A), 3)
	if _, err := w.Owner.PgConn().Exec(t.Context(), "SET search_path TO "+w.A.ID.Schema()+"; DELETE FROM audit_entries; UPDATE audit_head SET seq = 0, hash = ''").ReadAll(); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(1)
	mustAppend(t, w.DB(w.A), 4)
	err := w.DB(w.A).View(t.Context(), func(tx *tenancy.Tx) error {
		r, err := audit.Verify(t.Context(), tx)
		if err == nil && !r.Holds() {
			t.Errorf("the rewritten chain does not hold by itself, so this test tests nothing: %+v", r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := mustInspect(t, w, w.A); r.Holds() {
		t.Error("the anchors did not notice")
	}
}
