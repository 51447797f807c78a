package coupon_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/coupon"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// Whoever comes again gets the same variant, and each is got by about half.
func TestVariants(t *testing.T) {
	n := map[string]int{}
	for i := range 2000 {
		n[coupon.Variant("WELCOME", strconv.Itoa(i))]++
	}
	if n[coupon.VariantA] < 900 || n[coupon.VariantB] < 900 || len(n) != 2 {
		t.Errorf("%v", n)
	}
	rapid.Check(t, func(t *rapid.T) {
		code, who := rapid.String().Draw(t, "code"), rapid.String().Draw(t, "who")
		first, again := coupon.Variant(code, who), coupon.Variant(strings.Clone(code), strings.Clone(who))
		if first != again || first != coupon.VariantA && first != coupon.VariantB {
			t.Fatalf("%q, then %q", first, again)
		}
	})
}

// Whatever is used and given back in whatever order, of two shops with the same code: it
// is never used more often than it may be, and every use that is left is counted.
func TestNoCodeIsUsedPastItsLimit(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		code, most := "CODE"+strconv.Itoa(n), rapid.IntRange(1, 4).Draw(t, "most")
		shops := []*tenancy.DB{w.DB(w.A), w.DB(w.B)}
		for _, db := range shops {
			if _, err := coupon.Add(ctx, db, coupon.Form{Code: code, Kind: "free", Cycles: "1", MaxUses: strconv.Itoa(most)}, time.UTC, by); err != nil {
				t.Fatal(err)
			}
		}
		used := []int{0, 0}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i, back := rapid.IntRange(0, 1).Draw(t, "shop"), rapid.Bool().Draw(t, "back")
			err := shops[i].Update(ctx, func(tx *tenancy.Tx) error {
				if back {
					return coupon.GiveBack(ctx, tx, code)
				}
				_, err := coupon.Use(ctx, tx, code, "", coupon.Buyer{AccountID: uuid.New(), Currency: "EUR", Plans: []uuid.UUID{uuid.New()}})
				return err
			})
			switch {
			case back && err == nil:
				used[i] = max(used[i]-1, 0)
			case back:
				t.Fatal(err)
			case err == nil:
				used[i]++
			case !fault.Is(err, "coupon.used_up") || used[i] < most:
				t.Fatalf("used %d of %d times: %v", used[i], most, err)
			}
			err = shops[i].View(ctx, func(tx *tenancy.Tx) error {
				r, err := coupon.Get(ctx, tx, code)
				if err == nil && (r.Uses != used[i] || used[i] > most) {
					t.Fatalf("%d uses are counted, %d were made of %d", r.Uses, used[i], most)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What is wrong with a code of the newer kinds stands at its field.
func TestFormsOfTheNewerKinds(t *testing.T) {
	w := tenancytest.New(t)
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}
	for field, f := range map[string]coupon.Form{
		"cycles":        {Kind: "free", Cycles: "0"}, // everything, for ever
		"days":          {Kind: "trial"},
		"other_percent": {Kind: "percent", Percent: "10", Cycles: "1", Other: true, OtherCycles: "1"},
		"other_cycles":  {Kind: "free", Cycles: "1", Other: true, OtherCycles: "-1"},
		"accounts":      {Kind: "free", Cycles: "1", Accounts: "nobody@example.com\n'--"},
	} {
		f.Code = "X-" + strings.ToUpper(field)
		_, err := coupon.Add(t.Context(), w.DB(w.A), f, time.UTC, by)
		if got := fault.From(err).Fields; err == nil || got[field] == "" {
			t.Errorf("%s: %v, %v", field, err, got)
		}
	}
	good := coupon.Form{Code: "HALVES", Kind: "trial", Days: "7", Other: true, OtherDays: "14"}
	if _, err := coupon.Add(t.Context(), w.DB(w.A), good, time.UTC, by); err != nil {
		t.Fatal(err)
	}
	err := w.DB(w.A).View(t.Context(), func(tx *tenancy.Tx) error {
		r, err := coupon.Get(t.Context(), tx, "halves")
		if f := coupon.Of(r.Coupon, time.UTC); f.Days != "7" || f.OtherDays != "14" || !f.Other {
			t.Errorf("shown again: %+v", f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
