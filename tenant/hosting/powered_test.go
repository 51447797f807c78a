package hosting_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// powered are the times a service told that it was on: since, and until or on.
func (p *place) powered(id uuid.UUID) (all []string) {
	p.t.Helper()
	rows, err := p.Owner.Query(p.t.Context(), "SELECT args::text FROM river.river_job WHERE kind = 'service.powered' AND args->>'service_id' = $1 ORDER BY id", id.String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw string
		var job hosting.PoweredJob
		if err := rows.Scan(&raw); err != nil {
			p.t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(raw), &job); err != nil {
			p.t.Fatal(err)
		}
		text := job.Since.Format("15:04")
		if job.Until.IsZero() {
			text += " on"
		} else {
			text += " to " + job.Until.Format("15:04")
		}
		all = append(all, text)
	}
	return all
}

func TestAServiceTellsWhenItIsOn(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	p := open(t, w, w.A)
	id := p.order()
	p.run(`INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, included, capped, tiers, position, created_at)
		SELECT gen_random_uuid(), s.plan_id, 'on', 'On', 'hour', 'sessions', 'session', 15, 'power', 'graduated', 0, false, '[]', 1, '2026-10-15 09:30Z' FROM subscriptions s JOIN services v ON v.subscription_id = s.id WHERE v.id = ?`, id)
	p.settle(id)
	if got := p.powered(id); !slices.Equal(got, []string{"10:00 on"}) {
		t.Fatalf("after it began: %q", got)
	}
	w.Clock.Advance(65 * time.Minute)
	if err := hosting.Power(t.Context(), p.db, id, provisioners.ForceOff, p.caller()); err != nil {
		t.Fatal(err)
	}
	p.settle(id)
	w.Clock.Advance(time.Hour)
	if err := hosting.Power(t.Context(), p.db, id, provisioners.Start, p.caller()); err != nil {
		t.Fatal(err)
	}
	p.settle(id)
	w.Clock.Advance(time.Hour)
	p.update(func(tx *tenancy.Tx) error { return hosting.Suspend(t.Context(), tx, id, hosting.HoldSpend, "used up") })
	p.settle(id)
	p.settle(id)
	got := p.powered(id)
	if len(got) != 4 || got[1] != "10:00 to 11:05" || got[2] != "12:05 on" || got[3] != "12:05 to 13:05" {
		t.Errorf("%q", got)
	}
	if s := p.get(id); !s.OnSince.IsZero() {
		t.Errorf("it is on since %s", s.OnSince)
	}
}
