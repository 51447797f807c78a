package checkout_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/coupon"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// coupon makes a code of a fifth off the first invoice.
func (r *rig) coupon(t testing.TB, of tenancy.Tenant, code string, change ...func(*coupon.Form)) {
	t.Helper()
	f := coupon.Form{Code: code, Kind: "percent", Percent: "20", Cycles: "1"}
	for _, c := range change {
		c(&f)
	}
	_, err := coupon.Add(t.Context(), r.DB(of), f, time.UTC, audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}})
	must(t, err)
}

func (r *rig) quoteWith(t testing.TB, of tenancy.Tenant, code string, items ...catalog.Picked) (checkout.Quote, error) {
	t.Helper()
	return r.desk.Quote(t.Context(), r.DB(of), checkout.Ask{AccountID: r.customers[of.ID].Account, Items: items, Coupon: code})
}

func (r *rig) uses(t testing.TB, code string) int {
	t.Helper()
	return r.count(t, r.A, "SELECT uses FROM coupons WHERE code = ?", code)
}

func (r *rig) booksBalance(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	must(t, r.DB(of).View(t.Context(), func(tx *tenancy.Tx) error {
		books, err := invoicing.Books(t.Context(), tx)
		if err == nil && len(books.Problems) > 0 {
			t.Errorf("the books: %v", books.Problems)
		}
		return err
	}))
}

func TestACodeTakesOffWhatItSays(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "welcome", func(f *coupon.Form) { f.Cycles = "3" })
	q, err := r.quoteWith(t, r.A, " Welcome ", small(), plan("advice"))
	must(t, err)
	// A fifth of 9.99, 3.00, 2.00 and 50.00; setting up stays.
	if q.Coupon != "WELCOME" || q.Off != euros(200+60+40+1000) || q.Net != euros(6999-1300) || q.Total != euros(5699+1083) {
		t.Errorf("%s off, net %s, total %s", q.Off, q.Net, q.Total)
	}
	want := []checkout.Again{{Cycle: billing.Monthly, Net: euros(1199), Times: 2, Full: euros(1499)}}
	if got := checkout.Recurring(q.Items); !slices.Equal(got, want) {
		t.Errorf("again: %+v", got)
	}
	january := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	if next, full := want[0].Next(january, time.UTC), want[0].FullFrom(january, time.UTC); next.Day() != 28 || full.Format(time.DateOnly) != "2027-04-30" {
		t.Errorf("again on %s, in full on %s", next, full)
	}
	o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	if o, err = r.desk.Get(t.Context(), r.DB(r.A), o.ID, uuid.Nil); err != nil || o.Total != q.Total || o.Coupon != "WELCOME" || o.Off != q.Off || r.uses(t, "WELCOME") != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if n := r.count(t, r.A, "SELECT count(*) FROM invoice_lines WHERE description LIKE '%, 20 % off with WELCOME'"); n != 4 {
		t.Errorf("%d lines say so", n)
	}
	if n := r.count(t, r.A, `SELECT count(*) FROM subscriptions WHERE discount = '{"code":"WELCOME","ppm":200000,"cycles":3}'`); n != 2 {
		t.Errorf("%d subscriptions keep it", n)
	}
	must(t, r.desk.Cancel(t.Context(), r.DB(r.A), checkout.CancelRequest{OrderID: o.ID}))
	must(t, r.desk.Cancel(t.Context(), r.DB(r.A), checkout.CancelRequest{OrderID: o.ID}))
	if n := r.uses(t, "WELCOME"); n != 0 {
		t.Errorf("%d uses after it was cancelled twice", n)
	}
	r.booksBalance(t, r.A)
}

func TestAnAmountIsSharedByWhatIsBought(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "TEN", func(f *coupon.Form) {
		f.Kind, f.Amounts, f.Setup = "amount", map[string]string{"EUR": "10.00", "USD": "11"}, true
		f.Plans = []string{"00000000-0000-7000-8000-000000000011", "00000000-0000-7000-8000-000000000012"}
	})
	q, err := r.quoteWith(t, r.A, "TEN", small(), plan("advice"), catalog.Picked{Product: "vps", Plan: "last", Cycle: billing.Monthly, Region: "ams", Image: "debian-13"})
	must(t, err)
	// 19.99 and 4.99 share it; advice is not one of its plans.
	if q.Off != euros(1000) || q.Items[0].Discount.Off != euros(800) || q.Items[1].Discount != nil || q.Items[2].Discount.Off != euros(200) {
		t.Errorf("%s: %+v", q.Off, q.Items)
	}
	if _, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID)); err != nil {
		t.Error(err)
	}
	r.booksBalance(t, r.A)
}

func TestWhatACodeTakesOffWhollyIsDelivered(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, "DELETE FROM gateways") // nothing is to be paid
	r.coupon(t, r.A, "GIFT", func(f *coupon.Form) { f.Percent, f.Setup = "100", true })
	q, err := r.quoteWith(t, r.A, "GIFT", small())
	must(t, err)
	o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	if !o.Total.IsZero() || o.Off != euros(1999) {
		t.Errorf("%+v", o)
	}
	must(t, r.desk.Paid(t.Context(), r.DB(r.A), *o.InvoiceID))
	if n := r.count(t, r.A, "SELECT count(*) FROM services"); n != 1 {
		t.Errorf("%d services", n)
	}
	r.booksBalance(t, r.A)
}

func TestWhyACodeDoesNotCount(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	now := r.Clock.Now()
	r.coupon(t, r.B, "NEIGHBOUR")
	for code, change := range map[string]func(*coupon.Form){
		"GOOD":     func(*coupon.Form) {},
		"OFF":      func(*coupon.Form) {},
		"LATER":    func(f *coupon.Form) { f.StartsOn = now.AddDate(0, 0, 1).Format(time.DateOnly) },
		"ENDED":    func(f *coupon.Form) { f.EndsOn = now.AddDate(0, 0, -1).Format(time.DateOnly) },
		"TODAY":    func(f *coupon.Form) { f.EndsOn = now.Format(time.DateOnly) },
		"ADVICE":   func(f *coupon.Form) { f.Plans = []string{"00000000-0000-7000-8000-000000000014"} },
		"AUSTRIA":  func(f *coupon.Form) { f.Countries = "at, ch" },
		"GERMANY":  func(f *coupon.Form) { f.Countries = "AT;DE" },
		"DOLLARS":  func(f *coupon.Form) { f.Kind, f.Amounts = "amount", map[string]string{"USD": "5"} },
		"FIRST":    func(f *coupon.Form) { f.NewCustomers = true },
		"ONCE":     func(f *coupon.Form) { f.MaxPerAccount = "1" },
		"ONE-ONLY": func(f *coupon.Form) { f.MaxUses = "1" },
	} {
		r.coupon(t, r.A, code, change)
	}
	must(t, coupon.Switch(t.Context(), r.DB(r.A), "OFF", coupon.Off, audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}))
	for code, want := range map[string]string{
		"NEIGHBOUR": "coupon.unknown", "NOSUCH": "coupon.unknown", "OFF": "coupon.unknown", "LATER": "coupon.unknown", "ENDED": "coupon.expired",
		"ADVICE": "coupon.not_for_this", "AUSTRIA": "coupon.country", "DOLLARS": "coupon.currency",
		"'; DROP TABLE coupons; --": "coupon.unknown", "\x00\xff": "coupon.unknown", "?0 ?1": "coupon.unknown", strings.Repeat("A", 5000): "coupon.unknown", "ＷＥＬＣＯＭＥ": "coupon.unknown", "ß": "coupon.unknown",
	} {
		_, err := r.quoteWith(t, r.A, code, small())
		wants(t, code, err, want)
		preview, err := r.desk.Preview(t.Context(), r.DB(r.A), checkout.Ask{Items: []catalog.Picked{small()}, Coupon: code})
		if err != nil || preview.CouponErr == nil && code != "AUSTRIA" || preview.Total.IsZero() || !preview.Off.IsZero() && code != "AUSTRIA" {
			t.Errorf("%.40q for a stranger: %v, %+v", code, err, preview)
		}
	}
	for _, code := range []string{"GOOD", "TODAY", "GERMANY", "FIRST", "ONCE", "ONE-ONLY"} {
		q, err := r.quoteWith(t, r.A, code, plan("advice"))
		must(t, err)
		if code == "ONCE" || code == "ONE-ONLY" {
			_, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
			must(t, err)
		}
	}
	for code, want := range map[string]string{"FIRST": "coupon.new_customers", "ONCE": "coupon.used_before", "ONE-ONLY": "coupon.used_up"} {
		_, err := r.quoteWith(t, r.A, code, small())
		wants(t, code, err, want)
	}
}

func TestAQuoteWithACodeThatWasChangedIsRefused(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}
	r.coupon(t, r.A, "WELCOME", func(f *coupon.Form) { f.MaxUses = "5" })
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() {
			must(t, coupon.Change(t.Context(), r.DB(r.A), coupon.Form{Code: "WELCOME", Kind: "percent", Percent: "10", Cycles: "1"}, time.UTC, by))
		}, "checkout.price_changed"},
		{func() {
			must(t, coupon.Change(t.Context(), r.DB(r.A), coupon.Form{Code: "WELCOME", Kind: "percent", Percent: "20", Cycles: "2"}, time.UTC, by))
		}, "checkout.price_changed"},
		{func() {
			must(t, coupon.Change(t.Context(), r.DB(r.A), coupon.Form{Code: "WELCOME", Kind: "percent", Percent: "20", Cycles: "1", Countries: "FR"}, time.UTC, by))
		}, "coupon.country"},
		{func() { must(t, coupon.Switch(t.Context(), r.DB(r.A), "WELCOME", coupon.Off, by)) }, "coupon.unknown"},
	} {
		must(t, coupon.Change(t.Context(), r.DB(r.A), coupon.Form{Code: "WELCOME", Kind: "percent", Percent: "20", Cycles: "1"}, time.UTC, by))
		q, err := r.quoteWith(t, r.A, "WELCOME", small())
		must(t, err)
		c.change()
		_, err = r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
		wants(t, "a code that was changed", err, c.want)
	}
	if n := r.uses(t, "WELCOME"); n != 0 {
		t.Errorf("%d uses", n)
	}
	if _, held, _ := r.room.state(); held != 0 {
		t.Errorf("%d holds are left", held)
	}
}

// TestNoCodeIsUsedPastItsLimit: a hundred buy at once with a code for ten.
func TestNoCodeIsUsedPastItsLimit(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "TEN", func(f *coupon.Form) { f.MaxUses = "10" })
	person := r.customers[r.A.ID].Person.ID
	r.exec(t, r.A, `INSERT INTO accounts (id, name, currency, time_zone, country, kind, billing, created_at, changed_at) SELECT gen_random_uuid(), name, currency, time_zone, country, kind, billing, created_at, changed_at
		FROM accounts CROSS JOIN generate_series(1, 24)`)
	r.exec(t, r.A, `INSERT INTO memberships (account_id, person_id, role, created_at) SELECT a.id, ?, 'owner', a.created_at FROM accounts a ON CONFLICT DO NOTHING`, person)
	var accounts []uuid.UUID
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM accounts ORDER BY id").Scan(t.Context(), &accounts)
	}))
	requests := make([]checkout.PlaceRequest, 100)
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			account := accounts[i%len(accounts)]
			q, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: account, Items: []catalog.Picked{plan("advice")}, Coupon: "TEN"})
			if err != nil {
				t.Error(err)
				return
			}
			requests[i] = r.accept(r.A, q.ID)
			requests[i].AccountID = account
		})
	}
	all.Wait()
	place := func() (placed []checkout.Order) {
		var mu sync.Mutex
		for _, q := range requests {
			all.Go(func() {
				o, err := r.desk.Place(t.Context(), r.DB(r.A), q)
				if err != nil {
					wants(t, "a code that is used up", err, "coupon.used_up")
					return
				}
				mu.Lock()
				placed = append(placed, o)
				mu.Unlock()
			})
		}
		all.Wait()
		return placed
	}
	if placed := place(); len(placed) != 10 || r.uses(t, "TEN") != 10 {
		t.Fatalf("%d orders, %d uses", len(placed), r.uses(t, "TEN"))
	}
	// The same forms once more find their orders; what three give back is used by three.
	placed := place()
	for _, o := range placed[:3] {
		must(t, r.desk.Cancel(t.Context(), r.DB(r.A), checkout.CancelRequest{OrderID: o.ID}))
	}
	if n := r.uses(t, "TEN"); len(placed) != 10 || n != 7 {
		t.Errorf("%d orders, %d uses after three were cancelled", len(placed), n)
	}
	place()
	if n, orders := r.uses(t, "TEN"), r.count(t, r.A, "SELECT count(*) FROM orders WHERE coupon = 'TEN' AND state <> 'cancelled'"); n != 10 || orders != 10 {
		t.Errorf("%d uses, %d orders", n, orders)
	}
	r.booksBalance(t, r.A)
}

// TestTwoTabsUseACodeOnce: one customer, one use each, several orders at once; what
// lapses unpaid may be tried again.
func TestTwoTabsUseACodeOnce(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	for i, change := range []func(*coupon.Form){func(f *coupon.Form) { f.MaxPerAccount = "1" }, func(f *coupon.Form) { f.NewCustomers = true }} {
		code := "ONCE" + strconv.Itoa(i)
		r.coupon(t, r.A, code, change)
		var all sync.WaitGroup
		var placed []checkout.Order
		var mu sync.Mutex
		var quotes []checkout.Quote
		for range 4 {
			q, err := r.quoteWith(t, r.A, code, plan("advice"))
			must(t, err)
			quotes = append(quotes, q)
		}
		for _, q := range quotes {
			all.Go(func() {
				o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
				if err != nil {
					wants(t, "the other tab", err, []string{"coupon.used_before", "coupon.new_customers"}[i])
					return
				}
				mu.Lock()
				placed = append(placed, o)
				mu.Unlock()
			})
		}
		all.Wait()
		if len(placed) != 1 || r.uses(t, code) != 1 {
			t.Fatalf("%d orders, %d uses", len(placed), r.uses(t, code))
		}
		r.Clock.Advance(checkout.LapseAfter + time.Hour)
		must(t, r.desk.Due(t.Context(), r.DB(r.A), r.Clock.Now()))
		if n := r.uses(t, code); n != 0 {
			t.Errorf("%d uses after it lapsed", n)
		}
		if _, err := r.quoteWith(t, r.A, code, plan("advice")); err != nil {
			t.Error(err)
		}
	}
}

// Everything of the first invoices, for some customers only; the others are told nothing.
func TestFreeInvoicesForNamedCustomers(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	stranger := r.customer(t, r.A, "owner", "other@example.com")
	r.coupon(t, r.A, "FRIENDS", func(f *coupon.Form) {
		f.Kind, f.Percent, f.Cycles, f.Setup, f.Accounts = "free", "", "2", true, strings.ToUpper(r.customers[r.A.ID].Person.Email)
	})
	_, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: stranger.Account, Items: []catalog.Picked{small()}, Coupon: "FRIENDS"})
	wants(t, "somebody else", err, "coupon.unknown")
	q, err := r.quoteWith(t, r.A, "FRIENDS", small())
	must(t, err)
	again := checkout.Recurring(q.Items)
	if !q.Total.IsZero() || len(again) != 1 || again[0].Times != 1 || !again[0].Net.IsZero() || again[0].Full != euros(1499) {
		t.Errorf("today %s, then %+v", q.Total, again)
	}
	o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	must(t, r.desk.Paid(t.Context(), r.DB(r.A), *o.InvoiceID))
	r.booksBalance(t, r.A)
}

// A trial is longer by the days of a code, and what was quoted is what is kept.
func TestACodeThatMakesATrialLonger(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "LONGER", func(f *coupon.Form) { f.Kind, f.Percent, f.Cycles, f.Days = "trial", "", "", "10" })
	_, err := r.quoteWith(t, r.A, "LONGER", small())
	wants(t, "nothing is tried", err, "coupon.not_for_this")
	r.exec(t, r.A, trials)
	q, err := r.quoteWith(t, r.A, "LONGER", small())
	must(t, err)
	if q.Items[0].Trial.Days != 24 || q.Longer != 10 || !q.Off.IsZero() {
		t.Errorf("%+v", q.Items[0].Trial)
	}
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}
	must(t, coupon.Change(t.Context(), r.DB(r.A), coupon.Form{Code: "LONGER", Kind: "trial", Days: "5"}, time.UTC, by))
	_, err = r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	wants(t, "another code by now", err, "checkout.price_changed")
	q, err = r.quoteWith(t, r.A, "LONGER", small())
	must(t, err)
	_, err = r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE state = 'trial' AND (trial->>'days')::int = 19"); n != 1 || r.uses(t, "LONGER") != 1 {
		t.Errorf("%d trials of 19 days", n)
	}
}

// Two variants: who came as a stranger keeps theirs, the order keeps which it was, and the
// report tells them apart.
func TestTwoVariantsOfACode(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "SPLIT", func(f *coupon.Form) { f.Other, f.OtherPercent, f.OtherCycles = true, "50", "1" })
	seen := map[string]string{}
	for i := 0; len(seen) < 2; i++ {
		who := strconv.Itoa(i)
		seen[coupon.Variant("SPLIT", who)] = who
	}
	for variant, off := range map[string]int64{coupon.VariantA: 1000, coupon.VariantB: 2500} {
		ask := checkout.Ask{Items: []catalog.Picked{plan("advice")}, Coupon: "SPLIT", Visitor: seen[variant]}
		stranger, err := r.desk.Preview(t.Context(), r.DB(r.A), ask)
		must(t, err)
		ask.AccountID = r.customers[r.A.ID].Account
		q, err := r.desk.Quote(t.Context(), r.DB(r.A), ask)
		must(t, err)
		if q.Off != euros(off) || stranger.Off != q.Off || q.Variants[q.Coupon] != variant {
			t.Errorf("%s: %s off, %s as a stranger", variant, q.Off, stranger.Off)
		}
		o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
		must(t, err)
		if variant == coupon.VariantB {
			r.pay(t, r.A, o)
			must(t, r.desk.Paid(t.Context(), r.DB(r.A), *o.InvoiceID))
		}
	}
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error {
		all, err := coupon.Compare(t.Context(), tx, "split")
		if err != nil || len(all) != 2 || all[0].Uses != 1 || all[0].Orders != 0 || all[1].Orders != 1 || all[1].Off != euros(2500) {
			t.Errorf("%+v, %v", all, err)
		}
		return err
	}))
}
