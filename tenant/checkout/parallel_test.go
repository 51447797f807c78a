package checkout_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestOrderNumbersWithoutGapsWhileManyOrder: some are refused after they had their
// number, some are sent twice; every number is given once and none is left out.
func TestOrderNumbersWithoutGapsWhileManyOrder(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	var quotes []checkout.PlaceRequest
	for i := range 16 {
		q := r.quote(t, r.A, plan("advice"))
		quotes = append(quotes, r.accept(r.A, q.ID))
		if i%4 == 3 { // what it comes to is another amount by now: found out once the invoice is made
			r.exec(t, r.A, "UPDATE quotes SET total_minor = total_minor + 1, net_minor = net_minor + 1 WHERE id = ?", q.ID)
		}
	}
	r.exec(t, r.A, `INSERT INTO accounts (id, name, currency, time_zone, country, kind, billing, created_at, changed_at) SELECT gen_random_uuid(), name, currency, time_zone, country, kind, billing, created_at, changed_at
		FROM accounts CROSS JOIN generate_series(1, 3)`)
	r.exec(t, r.A, `INSERT INTO memberships (account_id, person_id, role, created_at) SELECT a.id, ?, 'owner', a.created_at FROM accounts a ON CONFLICT DO NOTHING`, r.customers[r.A.ID].Person.ID)
	var accounts []uuid.UUID
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM accounts ORDER BY id").Scan(t.Context(), &accounts)
	}))
	for i := range quotes { // four of each: more than five unpaid are refused
		quotes[i].AccountID = accounts[i%len(accounts)]
		r.exec(t, r.A, "UPDATE quotes SET account_id = ? WHERE id = ?", quotes[i].AccountID, quotes[i].QuoteID)
	}
	var all sync.WaitGroup
	for i, q := range quotes {
		for range 2 {
			all.Go(func() {
				_, err := r.desk.Place(t.Context(), r.DB(r.A), q)
				if i%4 == 3 {
					wants(t, "another amount", err, "checkout.price_changed")
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	var orders, distinct, first, last, invoices, sequences int
	must(t, r.Owner.QueryRow(t.Context(), strings.ReplaceAll(`SELECT count(*), count(DISTINCT number), min(number), max(number),
		(SELECT count(DISTINCT sequence) FROM ~invoices), (SELECT max(sequence) FROM ~invoices) FROM ~orders`, "~", r.A.ID.Schema()+".")).
		Scan(&orders, &distinct, &first, &last, &invoices, &sequences))
	if orders != 12 || distinct != 12 || first != 1001 || last != 1012 {
		t.Errorf("%d orders, %d numbers from %d to %d", orders, distinct, first, last)
	}
	if invoices != 12 || sequences != 12 {
		t.Errorf("%d invoices, numbered up to %d", invoices, sequences)
	}
}

// TestAnOrderPlacedWhileOthersAreLookedAtIsNotForgotten: the look finds nothing that
// waits, and takes the tenant off the agenda, in the moment in which an order puts it there.
func TestAnOrderPlacedWhileOthersAreLookedAtIsNotForgotten(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	o := r.order(t, r.A, plan("advice"))
	r.exec(t, r.A, "UPDATE orders SET state = 'cancelled' WHERE id = ?", o.ID)
	written, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := r.DB(r.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw("UPDATE orders SET state = 'awaiting_payment', placed_at = ? WHERE id = ?", tx.Now(), o.ID).Exec(t.Context())
			err = errors.Join(err, tx.SetAgenda(t.Context(), checkout.AgendaKind, tx.Now().Add(45*time.Minute)))
			close(written)
			<-release
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-written
	all.Go(func() {
		if err := r.desk.Due(t.Context(), r.DB(r.A), w.Clock.Now()); err != nil {
			t.Error(err)
		}
	})
	for waits := 0; waits == 0; time.Sleep(5 * time.Millisecond) {
		must(t, r.Owner.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waits))
	}
	close(release)
	all.Wait()
	if due := r.due(t, r.A); !due.Equal(w.Clock.Now().Add(45 * time.Minute)) {
		t.Errorf("it is looked at %s", due)
	}
}

// TestTheNextOrderPutsNothingOff: an order that waits already is looked at when it was
// to be, however many follow.
func TestTheNextOrderPutsNothingOff(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	first := w.Clock.Now().Add(45 * time.Minute)
	for range 3 {
		r.order(t, r.A, plan("advice"))
		w.Clock.Advance(20 * time.Minute)
		if due := r.due(t, r.A); !due.Equal(first) {
			t.Errorf("looked at %s, not %s", due, first)
		}
	}
	if due := r.due(t, r.B); !due.IsZero() {
		t.Errorf("the neighbour is looked at %s", due)
	}
	must(t, r.desk.Due(t.Context(), r.DB(r.A), w.Clock.Now()))
	if due := r.due(t, r.A); !due.Equal(first.Add(20 * time.Minute)) {
		t.Errorf("next looked at %s", due)
	}
}
