package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestShopBehindPgBouncer runs the whole program with its tenants' transactions behind a
// pooler in transaction mode, one connection a lane for all processes: customers sign in
// and buy, jobs build their servers, a tenant is made, and the pooler dies and comes back.
// That no tenant meets another there is the isolation test's to prove.
func TestShopBehindPgBouncer(t *testing.T) {
	m := newMarket(t, 0)
	pooler := tenancytest.StartPgBouncer(t, m.pg.Socket(), "ezscale", lanes)
	m.environ = append(m.environ, "EZSCALE_LANES_URL="+pooler.DSN)
	n, w := m.serve(m.first), m.work()
	n.want("a shop's page", alpha+"/?fresh", http.StatusOK, "Alpha")
	n.want("the other's", beta+"/?fresh", http.StatusOK, "Beta")
	for _, s := range m.shops {
		b := newShopper(t, s, s.customer(), m.first.http)
		if !b.enter() || !b.buy(false) || b.repeats > 0 {
			t.Fatalf("%s: %d repeats, %v\n%s", b.who.email, b.repeats, b.broken, n.log.complaints())
		}
	}
	for _, s := range m.shops {
		m.until("the server is built and the customer told", func() error {
			in := s.who.ID.Schema()
			if got := query[string](m.house, `SELECT (SELECT count(*) FROM `+in+`.services WHERE observed = 'active')
				|| ' ' || (SELECT count(*) FROM `+in+`.orders WHERE state = 'fulfilled') || ' ' || (SELECT count(*) FROM `+in+`.mails WHERE template = 'service_ready' AND state = 'sent')`); got != "1 1 1" {
				return fmt.Errorf("active servers, fulfilled orders, mails sent: %s\n%s", got, w.log.complaints())
			}
			return nil
		})
	}
	m.run("tenant", "create", "Gamma", "--owner-email", "owner@gamma.test")
	n.eventually("a tenant made meanwhile", "http://gamma.localhost/", http.StatusOK, "Gamma")
	if carried, logins := pooler.Transactions(t, "ezscale"); carried < 50 || logins < len(m.shops) || logins > lanes {
		t.Errorf("the pooler carried %d transactions for %d logins: whose were they?", carried, logins)
	}

	n.want("a page is kept in memory", alpha+"/", http.StatusOK, "Alpha")
	pooler.Stop()
	n.want("a page in memory while the pooler is away", alpha+"/", http.StatusOK, "Alpha")
	if a := n.get(beta + "/?again"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, down) {
		t.Errorf("a page that is not: %d\n%s", a.status, short(a.body))
	}
	pooler.Start(t)
	n.eventually("it is back", beta+"/?again", http.StatusOK, "Beta")
	m.run("doctor", "--tenants")
	n.stop()
	w.stop()
}
