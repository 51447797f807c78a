package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

const (
	kills  = 24
	spares = 8 // for each lane: enough that every life of a worker builds some
)

// fillStock is the platform's job of that kind, which otherwise the clock enqueues.
type fillStock struct{}

func (fillStock) Kind() string { return "platform.fill_stock" }

func TestKilledWorkersLeaveNothingHalfDone(t *testing.T) {
	h := newHouse(t, fmt.Sprintf("EZSCALE_SPARES=%d", spares))
	pool, central := h.planes()
	all := h.tenants(central)
	rounds := make(chan struct{})
	var sent [2]int
	var feeder sync.WaitGroup
	feeder.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-rounds:
				return
			case <-time.After(30 * time.Millisecond):
			}
			if err := h.letter(pool.Bind(all[n%2]), fmt.Sprintf("mail %d", n), address(n)); err != nil {
				t.Errorf("enqueue mail %d: %v", n, err)
				return
			}
			sent[n%2]++
		}
	})
	at := freePorts(t)
	at.http, at.https = h.first.http, h.first.https
	for round := range kills {
		must(t, central.Update(context.Background(), func(tx *tenancy.CentralTx) error {
			_, err := tx.Enqueue(context.Background(), fillStock{}, tenancy.JobOptions{Key: fmt.Sprintf("round %d", round)})
			return err
		}))
		w := h.start("work", at)
		if round%3 != 0 { // a third dies in its first moments
			w.awaitReady()
		}
		time.Sleep(rand.N(700 * time.Millisecond)) //nolint:gosec // any moment
		w.kill()
	}
	close(rounds)
	feeder.Wait()
	if t.Failed() {
		return
	}

	w := h.work()
	h.until("every job is done", func() error {
		if left := query[string](h, `SELECT coalesce(string_agg(kind || ' ' || state || ' ' || attempt, ', '), '') FROM (
			SELECT kind, state::text, attempt FROM river.river_job WHERE state <> 'completed' ORDER BY id LIMIT 5) x`); left != "" {
			return fmt.Errorf("%s\n%s", left, w.log.complaints())
		}
		return nil
	})
	for i, who := range all {
		schema := who.ID.Schema()
		if got := query[int](h, "SELECT count(*) FROM "+schema+".mails WHERE key LIKE 'mail %'"); got != sent[i] {
			t.Errorf("%s has %d mails of %d", who.Slug, got, sent[i])
		}
		if got := query[int](h, "SELECT count(*) FROM "+schema+".mails WHERE state <> 'sent' OR sent_at IS NULL OR sealed_body IS NOT NULL OR last_error IS NOT NULL"); got != 0 {
			t.Errorf("%s has %d mails that are not settled", who.Slug, got)
		}
	}
	missing, doubled := 0, 0
	for n := range sent[0] + sent[1] {
		switch got := len(h.trap.Mails(address(n))); {
		case got == 0:
			missing++
		case got > 1:
			doubled++
		}
	}
	if missing > 0 || sent[0] == 0 || sent[1] == 0 {
		t.Errorf("%d of %v mails never arrived", missing, sent)
	}
	if doubled > kills*10 { // at most what was under way when a worker died
		t.Errorf("%d mails arrived more than once", doubled)
	}
	h.checkStock(all[0])
	w.stop()
	t.Logf("%d mails over %d killed workers, %d arrived again", sent[0]+sent[1], kills, doubled)
}

func address(n int) string { return fmt.Sprintf("person%d@people.test", n) }

// checkStock holds every schema against a tenant's that is known to be whole.
func (h *house) checkStock(whole tenancy.Tenant) {
	h.t.Helper()
	if got := query[int](h, "SELECT count(*) FROM central.spares"); got < spares*lanes {
		h.t.Errorf("%d spares, want %d", got, spares*lanes)
	}
	const schemas = `(SELECT oid, nspname, substr(nspname, 3)::bigint AS id FROM pg_namespace WHERE nspname ~ '^t_[0-9]+$') n`
	if got := query[string](h, `SELECT coalesce(string_agg(nspname, ', '), '') FROM `+schemas+`
		WHERE id NOT IN (SELECT id FROM central.spares UNION SELECT id FROM central.tenants)`); got != "" {
		h.t.Errorf("half-built schemas: %s", got)
	}
	if got := query[string](h, `SELECT coalesce(string_agg(rolname, ', '), '') FROM pg_roles WHERE rolname ~ '^t_[0-9]+$'
		AND rolname NOT IN (SELECT nspname FROM pg_namespace)`); got != "" {
		h.t.Errorf("roles without a schema: %s", got)
	}
	if got := query[string](h, fmt.Sprintf(`SELECT coalesce(string_agg(nspname || ' has ' || n, ', '), '') FROM (
		SELECT nspname, (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid) AS n FROM %s) x
		WHERE n <> (SELECT count(*) FROM pg_class WHERE relnamespace = '%s'::regnamespace)`, schemas, whole.ID.Schema())); got != "" {
		h.t.Errorf("schemas that lack something: %s", got)
	}
	if got := query[int](h, "SELECT count(*) FROM central.spares WHERE id IN (SELECT id FROM central.tenants)"); got != 0 {
		h.t.Errorf("%d spares are tenants too", got)
	}
	h.run("tenant", "create", "Gamma", "--owner-email", "owner@gamma.test")
}
