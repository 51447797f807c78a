package checkout_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/coupon"
)

func (r *rig) codes(t testing.TB, most int) {
	t.Helper()
	must(t, coupon.SaveMost(t.Context(), r.DB(r.A), most, audit.Origin{Actor: audit.System("test")}))
}

func stacks(with string) func(*coupon.Form) { return func(f *coupon.Form) { f.Stacks = with } }

func five(f *coupon.Form) { f.Kind, f.Percent, f.Amounts = "amount", "", map[string]string{"EUR": "5"} }

// TestWhichCodesCountTogether: as many as the shop lets, and each must let the other.
func TestWhichCodesCountTogether(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.coupon(t, r.A, "ANY", stacks("any"))
	r.coupon(t, r.A, "ANY5", stacks("any"), five)
	r.coupon(t, r.A, "KIND", stacks("kinds"))
	r.coupon(t, r.A, "KIND5", stacks("kinds"), five)
	r.coupon(t, r.A, "ALONE")
	try := func(typed string) (string, error) {
		q, err := r.desk.Preview(t.Context(), r.DB(r.A), checkout.Ask{AccountID: r.customers[r.A.ID].Account, Items: []catalog.Picked{plan("advice")}, Coupon: typed})
		must(t, err)
		return q.Coupon, q.CouponErr
	}
	if got, err := try("ANY ANY5"); got != "ANY" || err == nil || !coupon.Is(err) {
		t.Errorf("a shop that lets one count: %q, %v", got, err)
	}
	r.codes(t, 2)
	for typed, want := range map[string]string{
		"ANY": "ANY", "any5 any": "ANY ANY5", "ANY ANY": "ANY", "KIND KIND5": "KIND KIND5", "KIND ANY5": "ANY5 KIND", "KIND ANY": "KIND !coupon.alone", "ALONE ANY": "ALONE !coupon.alone",
		"ANY ALONE": "ANY !coupon.alone", "NONE ANY": "ANY !coupon.unknown", "ANY ANY5 KIND5": "ANY ANY5 !coupon.alone", "KIND ANY5 KIND5": "ANY5 KIND !coupon.alone",
	} {
		got, err := try(typed)
		want, code, bad := strings.Cut(want, " !")
		if got != want || (err != nil) != bad {
			t.Errorf("%q: %q, %v", typed, got, err)
		} else if bad {
			wants(t, typed, err, code)
		}
	}
	r.coupon(t, r.A, "MORE", stacks("any"))
	if got, err := try("ANY ANY5 MORE"); got != "ANY ANY5" || err == nil {
		t.Errorf("one too many: %q, %v", got, err)
	}
	if err := coupon.SaveMost(t.Context(), r.DB(r.A), 6, audit.Origin{}); !coupon.Is(err) && err == nil {
		t.Error("six")
	}
}

// TestTwoCodesOnAnOrder: the share first and then the amount, whichever was typed first;
// both are counted, reported by what each took off, taken off renewals as long as each
// counts, and given back when the order lapses.
func TestTwoCodesOnAnOrder(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.codes(t, 3)
	r.coupon(t, r.A, "FIFTH", stacks("any"), func(f *coupon.Form) { f.Cycles = "3" })
	r.coupon(t, r.A, "FIVE", stacks("any"), five)
	var orders []checkout.Order
	for _, typed := range []string{"FIVE FIFTH", "fifth five"} {
		q, err := r.quoteWith(t, r.A, typed, plan("advice"))
		must(t, err)
		if q.Coupon != "FIFTH FIVE" || q.Off != euros(1500) || q.Net != euros(3500) || !q.MoreCodes {
			t.Errorf("%q: %s, %s off, net %s", typed, q.Coupon, q.Off, q.Net)
		}
		o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
		must(t, err)
		orders = append(orders, o)
	}
	monthly, err := r.quoteWith(t, r.A, "FIVE FIFTH", small())
	must(t, err)
	again := checkout.Recurring(monthly.Items)
	if len(again) != 1 || again[0].Times != 2 || again[0].Net != euros(1199) || again[0].Full != euros(1499) {
		t.Errorf("%+v", again)
	}
	if r.uses(t, "FIFTH") != 2 || r.uses(t, "FIVE") != 2 {
		t.Errorf("%d and %d uses", r.uses(t, "FIFTH"), r.uses(t, "FIVE"))
	}
	r.pay(t, r.A, orders[0])
	must(t, r.desk.Paid(t.Context(), r.DB(r.A), *orders[0].InvoiceID))
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error {
		for code, off := range map[string]int64{"FIFTH": 1000, "FIVE": 500} {
			c, err := coupon.Get(t.Context(), tx, code)
			if err != nil || len(c.Paid) != 1 || c.Paid[0].Off != euros(off) || c.Paid[0].Orders != 1 {
				t.Errorf("%s: %+v %v", code, c.Paid, err)
			}
		}
		return nil
	}))
	must(t, r.desk.Cancel(t.Context(), r.DB(r.A), checkout.CancelRequest{OrderID: orders[1].ID}))
	if r.uses(t, "FIFTH") != 1 || r.uses(t, "FIVE") != 1 {
		t.Errorf("given back: %d and %d uses", r.uses(t, "FIFTH"), r.uses(t, "FIVE"))
	}
	// What a shop changes in between is refused and not charged otherwise.
	q, err := r.quoteWith(t, r.A, "FIVE FIFTH", plan("advice"))
	must(t, err)
	r.exec(t, r.A, "UPDATE coupons SET stacks = NULL WHERE code = 'FIVE'")
	_, err = r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	wants(t, "it counts alone by now", err, "checkout.price_changed")
	if r.uses(t, "FIFTH") != 1 {
		t.Errorf("a refused order used a code")
	}
	r.booksBalance(t, r.A)
}

// TestNoStackIsUsedPastItsLimits: a hundred at once, with two codes in either order.
func TestNoStackIsUsedPastItsLimits(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.codes(t, 2)
	r.coupon(t, r.A, "A5", stacks("any"), func(f *coupon.Form) { f.MaxUses = "5" })
	r.coupon(t, r.A, "B7", stacks("any"), five, func(f *coupon.Form) { f.MaxUses = "7" })
	r.exec(t, r.A, `INSERT INTO accounts (id, name, currency, time_zone, country, kind, billing, created_at, changed_at) SELECT gen_random_uuid(), name, currency, time_zone, country, kind, billing, created_at, changed_at
		FROM accounts CROSS JOIN generate_series(1, 99)`)
	r.exec(t, r.A, `INSERT INTO memberships (account_id, person_id, role, created_at) SELECT a.id, ?, 'owner', a.created_at FROM accounts a ON CONFLICT DO NOTHING`, r.customers[r.A.ID].Person.ID)
	var accounts []uuid.UUID
	must(t, r.DB(r.A).View(t.Context(), func(tx *tenancy.Tx) error { return tx.NewRaw("SELECT id FROM accounts").Scan(t.Context(), &accounts) }))
	quotes := make([]uuid.UUID, len(accounts))
	for i, account := range accounts {
		typed := [...]string{"A5 B7", "B7 A5"}[i%2]
		q, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: account, Items: []catalog.Picked{plan("advice")}, Coupon: typed})
		must(t, err)
		quotes[i] = q.ID
	}
	var all sync.WaitGroup
	var placed atomic.Int64
	for i, account := range accounts {
		all.Go(func() {
			accept := r.accept(r.A, quotes[i])
			accept.AccountID = account
			switch _, err := r.desk.Place(t.Context(), r.DB(r.A), accept); {
			case err == nil:
				placed.Add(1)
			case !coupon.Is(err):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if placed.Load() != 5 || r.uses(t, "A5") != 5 || r.uses(t, "B7") != 5 {
		t.Errorf("%d orders, %d and %d uses", placed.Load(), r.uses(t, "A5"), r.uses(t, "B7"))
	}
}
