package checkout_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

func (r *rig) ask(t testing.TB, account uuid.UUID, items ...catalog.Picked) (checkout.Quote, error) {
	t.Helper()
	return r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: account, Items: items})
}

func (r *rig) stock(t testing.TB, slug string) int {
	t.Helper()
	return r.count(t, r.A, "SELECT stock FROM plans WHERE slug = ?", slug)
}

// TestAQuoteKeepsItsPiece: nobody else gets it while the quote lives, the account has one
// hold however often it asks, and a quote that expired frees it without anything being done.
func TestAQuoteKeepsItsPiece(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	r.exec(t, r.A, "UPDATE plans SET stock = 2 WHERE slug = 'advice'")
	ida, ben := r.customers[r.A.ID], r.customer(t, r.A, "owner", "ben@a.test")
	var q checkout.Quote
	for range 4 { // looking again and again keeps one piece
		var err error
		q, err = r.ask(t, ida.Account, plan("advice"))
		must(t, err)
	}
	if !q.HeldUntil.Equal(q.ExpiresAt) {
		t.Errorf("held until %s", q.HeldUntil)
	}
	if _, err := r.ask(t, ben.Account, plan("advice"), plan("advice")); !fault.Is(err, "checkout.held") {
		t.Errorf("one is kept for another: %v", err)
	}
	_, err := r.ask(t, ben.Account, plan("advice"))
	must(t, err)
	stranger, err := r.desk.Preview(t.Context(), r.DB(r.A), checkout.Ask{Items: []catalog.Picked{plan("advice")}})
	must(t, err)
	if len(stranger.Problems) != 1 || !fault.Is(stranger.Problems[0].Err, "checkout.held") {
		t.Errorf("a stranger is told %+v", stranger.Problems)
	}
	// Another cart gives the first up.
	if _, err := r.ask(t, ben.Account, plan("last")); err != nil {
		t.Error(err)
	}
	if q, err := r.ask(t, ben.Account, small()); err != nil || !q.HeldUntil.IsZero() {
		t.Errorf("%v, held until %s", err, q.HeldUntil)
	}
	if q, err = r.ask(t, ida.Account, plan("advice"), plan("advice")); err != nil {
		t.Fatalf("what is free again: %v", err)
	}
	w.Clock.Advance(checkout.QuoteFor)
	b, err := r.ask(t, ben.Account, plan("advice"), plan("advice"))
	must(t, err)
	_, err = r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	wants(t, "the quote that expired", err, "checkout.quote_expired")
	accept := r.accept(r.A, b.ID)
	accept.AccountID, accept.PersonID = ben.Account, ben.Person.ID
	for range 2 {
		_, err = r.desk.Place(t.Context(), r.DB(r.A), accept)
		must(t, err)
	}
	if r.stock(t, "advice") != 0 || r.count(t, r.A, "SELECT count(*) FROM plans WHERE held IS NOT NULL") != 0 {
		t.Errorf("%d are left", r.stock(t, "advice"))
	}
	_, err = r.ask(t, ida.Account, plan("last"), plan("last"))
	wants(t, "two of the last one", err, "checkout.out_of_stock")
	_, err = r.ask(t, ida.Account, plan("advice"))
	wants(t, "nothing is left", err, "checkout.out_of_stock")
	if n := r.count(t, r.B, "SELECT count(*) FROM plans WHERE held IS NOT NULL"); n != 0 {
		t.Errorf("the neighbour holds %d", n)
	}
}

// TestNothingIsSoldTwiceByAHundred: as many orders as there are pieces, and whoever was
// given a quote gets what it is over.
func TestNothingIsSoldTwiceByAHundred(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	const pieces = 7
	r.exec(t, r.A, "UPDATE plans SET stock = ? WHERE slug = 'advice'", pieces)
	r.exec(t, r.A, `INSERT INTO accounts (id, name, currency, time_zone, country, kind, billing, created_at, changed_at) SELECT gen_random_uuid(), name, currency, time_zone, country, kind, billing, created_at, changed_at
		FROM accounts CROSS JOIN generate_series(1, 99)`)
	r.exec(t, r.A, `INSERT INTO memberships (account_id, person_id, role, created_at) SELECT a.id, ?, 'owner', a.created_at FROM accounts a ON CONFLICT DO NOTHING`, r.customers[r.A.ID].Person.ID)
	var accounts []uuid.UUID
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM accounts").Scan(t.Context(), &accounts)
	}))
	var all sync.WaitGroup
	var sold, refused atomic.Int64
	for _, account := range accounts {
		all.Go(func() {
			q, err := r.ask(t, account, plan("advice"))
			if fault.Is(err, "checkout.held") || fault.Is(err, "checkout.out_of_stock") {
				refused.Add(1)
				return
			}
			if err == nil {
				accept := r.accept(r.A, q.ID)
				accept.AccountID = account
				_, err = r.desk.Place(t.Context(), r.DB(r.A), accept)
			}
			if err != nil {
				t.Errorf("who has a quote: %v", err)
				return
			}
			sold.Add(1)
		})
	}
	all.Wait()
	if sold.Load() != pieces || refused.Load() != int64(len(accounts))-pieces || r.stock(t, "advice") != 0 {
		t.Errorf("%d sold, %d refused, %d left", sold.Load(), refused.Load(), r.stock(t, "advice"))
	}
	w.Clock.Advance(time.Minute)
	if n := r.count(t, r.A, "SELECT count(*) FROM orders"); n != pieces {
		t.Errorf("%d orders", n)
	}
}
