package tenancytest_test

import (
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func TestTwoTenantsOfOneLane(t *testing.T) {
	w := tenancytest.New(t)
	if w.A.ID.Lane(tenancytest.Lanes) != w.B.ID.Lane(tenancytest.Lanes) {
		t.Fatal("A and B live in different lanes")
	}
	ctx := t.Context()
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		err := w.DB(who).Update(ctx, func(tx *tenancy.Tx) error {
			if _, err := tx.Enqueue(ctx, nothing{}, tenancy.JobOptions{Key: "k"}); err != nil {
				return err
			}
			if _, err := tx.RecordUsage(ctx, tenancy.Usage{Key: "k", SKU: "vps", Kind: "start", Quantity: 1, At: tx.Now()}); err != nil {
				return err
			}
			if err := tx.TouchSite(ctx, ""); err != nil {
				return err
			}
			_, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (gen_random_uuid(), ?, 'EUR', ?, ?)", who.Slug, tx.Now(), tx.Now()).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		var names []string
		err := w.DB(who).View(ctx, func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT name FROM accounts").Scan(ctx, &names)
		})
		if err != nil || len(names) != 1 || names[0] != who.Slug {
			t.Errorf("%s reads %q: %v", who.Slug, names, err)
		}
	}
	var jobs, usage int
	err := w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT (SELECT count(*) FROM river.river_job), (SELECT count(*) FROM usage_events)").Scan(ctx, &jobs, &usage)
	})
	if err != nil || jobs != 3 || usage != 3 {
		t.Errorf("%d jobs, %d usage events: %v", jobs, usage, err)
	}
}

type nothing struct{}

func (nothing) Kind() string { return "test.nothing" }
