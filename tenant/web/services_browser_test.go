package web_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestServicesInABrowser looks at a service's pages in the states that none of the demo's is
// in, and watches one come alive without being loaded again.
func TestServicesInABrowser(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	port := serve(t, e.front)
	id := e.things[e.A.ID][":service"]
	home := "http://" + e.A.PrimaryHost + ":" + port
	at, manage := home+"/client/services/"+id, home+"/manage/services/"+id
	changed := tenancytest.Start
	state := func(all ...string) {
		t.Helper()
		must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			for _, sql := range all {
				changed = changed.Add(time.Second)
				if err := exec(t.Context(), tx, "UPDATE services SET changed_at = ?, "+sql, changed); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	drive := browser.Open(t)
	customer := tab(t, drive, home, e.as(t, e.A, identity.CustomerMember))
	team := tab(t, drive, home, e.as(t, e.A, identity.ResellerOwner))
	const live = "observed = 'active', operation = '', step = '', problem = '', desired = 'active', power = 'on', holds = '{}', progress = 0, address = '203.0.113.7'"
	for _, shot := range []struct{ name, sql, words string }{
		{"installing", "observed = 'installing', operation = 'create', step = 'installing', operation_since = now(), progress = 40", "40 % done"},
		{"failed", "observed = 'failed', operation = 'create', step = 'installing', operation_since = now(), problem = 'The platform has no room left for it.'", "did not come to its end"},
		{"suspended", `observed = 'suspended', desired = 'suspended', power = 'off', holds = '{"billing": "The invoice of 1 October is not paid."}'`, "not paid"},
		{"off", "power = 'off'", "Start"},
		{"gone", "observed = 'gone', problem = 'The platform does not have it any more.'", "no longer find"},
	} {
		state(live, shot.sql)
		customer.Go(at)
		customer.Wait("main", shot.words)
		customer.CheckViews("service_" + shot.name)
		team.Go(manage)
		team.Wait("main", "Timeline")
		team.CheckViews("manage_service_" + shot.name)
	}
	state(live)
	t.Run("it comes alive", func(t *testing.T) {
		state(live, "observed = 'none', operation = 'create', step = 'waiting', operation_since = now(), address = ''")
		p := customer
		p.Go(at)
		p.Wait(".steps", "Reserving a place")
		state("observed = 'installing', step = 'installing', progress = 40")
		p.Wait(".steps", "40 % done")
		state(live)
		p.Wait("#service-live", "Running")
		p.Wait("#service-live", "203.0.113.7")
		p.Check("alive")
	})
}
