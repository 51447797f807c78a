package hosting_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// told are the jobs about a service's traffic, the oldest first.
func (p *place) told(id uuid.UUID) (all []hosting.TrafficJob) {
	p.t.Helper()
	rows, err := p.Owner.Query(p.t.Context(), "SELECT args::text FROM river.river_job WHERE kind = 'service.traffic' AND args->>'service_id' = $1 ORDER BY id", id.String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw string
		var job hosting.TrafficJob
		if err := rows.Scan(&raw); err != nil {
			p.t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(raw), &job); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, job)
	}
	return all
}

// A service that is billed by its traffic has it asked with every look at it and once more
// before it is ended; one that is not has nobody asked.
func TestAServiceTellsItsTraffic(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	base := open(t, w, w.A)
	p := plantOf(t, base)
	id := p.order()
	p.settle(id)
	w.Clock.Advance(4 * time.Hour)
	if _, err := p.drive(id); err != nil {
		t.Fatal(err)
	}
	if got := p.told(id); len(got) != 0 {
		t.Fatalf("nothing is billed by traffic, and it was told %d times", len(got))
	}
	p.run(`INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, included, capped, tiers, position, created_at)
		SELECT gen_random_uuid(), s.plan_id, 'traffic', 'Traffic', 'GB', 'sum', '', 0, 'traffic', 'graduated', 0, false, '[]', 1, '2026-10-15 09:30Z' FROM subscriptions s JOIN services v ON v.subscription_id = s.id WHERE v.id = ?`, id)
	w.Clock.Advance(32 * 24 * time.Hour)
	if _, err := p.drive(id); err != nil {
		t.Fatal(err)
	}
	got := p.told(id)
	if len(got) != 1 || len(got[0].Periods) != 2 || got[0].SubscriptionID != p.get(id).SubscriptionID {
		t.Fatalf("after a month: %+v", got)
	}
	now, before := got[0].Periods[0], got[0].Periods[1]
	if !before.From.Equal(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)) || !before.To.Equal(now.From) || before.Used <= now.Used || now.Used <= 0 {
		t.Errorf("the months are %+v and %+v", now, before)
	}
	w.Clock.Advance(time.Minute)
	p.update(func(tx *tenancy.Tx) error { return hosting.Terminate(t.Context(), tx, id, "cancelled") })
	p.settle(id)
	last := p.told(id)
	if len(last) < 2 || last[1].Periods[0].Used <= now.Used {
		t.Errorf("before it was ended: %+v", last)
	}
}
