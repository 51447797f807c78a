package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// claims is how many tenants are claimed, and colds how many are built cold.
const (
	claims = 100
	colds  = 60
)

// tenant measures what a sign-up costs: from stock, cold, and for everybody else.
func (r *run) tenant(ctx context.Context) error {
	f, err := r.grow(ctx, r.Tenants)
	if err != nil {
		return err
	}
	builder, err := tenancy.NewBuilder(f.dsn)
	if err != nil {
		return err
	}
	defer builder.Close()
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: f.dsn, Lanes: f.lanes, ConnsPerLane: 2, Cold: builder, Claims: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	cold, err := timeEach(colds, func(int) error { _, err := builder.Build(ctx); return err })
	if err != nil {
		return err
	}
	if _, err := (tenancy.Stock{Builder: builder}).Fill(ctx, claims); err != nil {
		return err
	}
	if err := meetEvery(ctx, pool, f.ids[:1000]); err != nil {
		return err
	}
	var after []time.Duration
	stamp := time.Now().UnixNano()
	warm, err := timeEach(claims, func(i int) error {
		_, err := pool.Claim(ctx, tenancy.Claim{
			Key: fmt.Sprintf("bench %d %d", stamp, i), Slug: fmt.Sprintf("c%d-%d", stamp, i), Name: "Claimed", OwnerEmail: "owner@claimed.test",
		}, func(_ tenancy.Tenant, tx *tenancy.Tx) error {
			_, err := tx.NewRaw(seedAccounts).Exec(ctx)
			return err
		})
		return err
	}, func(i int) error {
		at := time.Now()
		err := meetEvery(ctx, pool, f.ids[i:i+1])
		after = append(after, time.Since(at))
		return err
	})
	if err != nil {
		return err
	}
	at := fmt.Sprintf(" at %d tenants", len(f.ids))
	r.promise("tenant", "claim from stock with a seed of 12 rows, p95"+at, millis(quantile(warm, 95)), "ms", atMost, 10)
	r.report("tenant", "claim from stock, p50"+at, millis(quantile(warm, 50)), "ms")
	r.promise("tenant", "cold build, p95"+at, millis(quantile(cold, 95)), "ms", atMost, 250)
	r.report("tenant", "cold build, p50"+at, millis(quantile(cold, 50)), "ms")
	r.promise("tenant", "first bound query of an old connection after a claim, p95"+at, millis(quantile(after, 95)), "ms", atMost, 2)
	return nil
}

const seedAccounts = `INSERT INTO accounts (id, name, currency, created_at, changed_at)
	SELECT gen_random_uuid(), 'Account ' || n, 'EUR', now(), now() FROM generate_series(1, 12) n`

// meetEvery runs one bound query in each tenant.
func meetEvery(ctx context.Context, pool *tenancy.Pool, ids []tenancy.ID) error {
	for _, id := range ids {
		err := pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) error {
			var n int
			return tx.NewRaw("SELECT count(*) FROM plans").Scan(ctx, &n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// timeEach runs do n times and says how long each took; what follows is not timed.
func timeEach(n int, do func(i int) error, then ...func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for i := range n {
		at := time.Now()
		if err := do(i); err != nil {
			return nil, err
		}
		took = append(took, time.Since(at))
		for _, f := range then {
			if err := f(i); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

func quantile(took []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
