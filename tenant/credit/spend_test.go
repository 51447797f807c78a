package credit_test

import (
	"strconv"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// Whatever is given, spent and returned in whatever order: an account never spends more
// than it was given, and what is left is what was not spent. Nothing of it is the
// neighbour's.
func TestNoMoreIsSpentThanWasGiven(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	db, n := w.DB(w.A), 0
	eur := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
	rapid.Check(t, func(t *rapid.T) {
		account, invoice := uuid.New(), uuid.Nil
		do := func(fn func(tx *tenancy.Tx) error) {
			if err := db.Update(ctx, fn); err != nil {
				t.Fatal(err)
			}
		}
		do(func(tx *tenancy.Tx) error {
			n++
			_, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, credit_by_hand, created_at, changed_at) VALUES (?, 'A', 'EUR', true, now(), now())", account).Exec(ctx)
			if err != nil {
				return err
			}
			inv, err := invoicing.Issue(ctx, tx, invoicing.Draft{Key: "test/" + strconv.Itoa(n), AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: eur(1_000_000)}}})
			invoice = inv.ID
			return err
		})
		given, spent := int64(0), int64(0)
		for i := range rapid.IntRange(1, 6).Draw(t, "steps") {
			amount := rapid.Int64Range(1, 1000).Draw(t, "amount")
			want := credit.Want{AccountID: account, InvoiceID: invoice, Owed: eur(amount)}
			switch rapid.SampledFrom([]string{"give", "spend", "return"}).Draw(t, "step") {
			case "give":
				do(func(tx *tenancy.Tx) error {
					_, err := credit.Give(ctx, tx, credit.New{Key: account.String() + strconv.Itoa(i), AccountID: account, Kind: credit.Given, From: billing.Promotions, Amount: eur(amount), By: "Rita"})
					return err
				})
				given += amount
			case "spend":
				do(func(tx *tenancy.Tx) error {
					paid, err := credit.Spend(ctx, tx, []credit.Want{want}, true)
					if got := paid[invoice].Minor; err == nil && got != min(amount, given-spent) {
						t.Fatalf("of %d owed %d were paid, with %d left", amount, got, given-spent)
					}
					spent += paid[invoice].Minor
					return err
				})
			case "return":
				err := db.Update(ctx, func(tx *tenancy.Tx) error { return credit.Return(ctx, tx, want, eur(amount)) })
				if tooMuch := amount > spent; tooMuch != fault.Is(err, "credit.too_much") || !tooMuch && err != nil {
					t.Fatalf("returning %d of %d: %v", amount, spent, err)
				}
				if err == nil {
					spent -= amount
				}
			}
			var is struct{ Given, Left, Moved int64 }
			do(func(tx *tenancy.Tx) error {
				return tx.NewRaw(`SELECT coalesce(sum(g.amount_minor), 0)::bigint AS given, coalesce(sum(g.left_minor), 0)::bigint AS left,
					coalesce(sum((SELECT sum(m.minor) FROM credit_moves m WHERE m.grant_id = g.id)), 0)::bigint AS moved FROM credit_grants g WHERE g.account_id = ?`, account).Scan(ctx, &is)
			})
			if is.Given != given || is.Left != given-spent || is.Moved != is.Left || is.Left < 0 {
				t.Fatalf("given %d, spent %d: %+v", given, spent, is)
			}
		}
	})
	err := w.DB(w.B).View(ctx, func(tx *tenancy.Tx) error {
		var theirs int
		err := tx.NewRaw("SELECT count(*) FROM credit_grants").Scan(ctx, &theirs)
		if theirs != 0 {
			t.Errorf("the neighbour has %d pieces", theirs)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
