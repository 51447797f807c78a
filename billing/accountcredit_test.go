package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestSpendOrder(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	eur := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
	bought := billing.CreditGrant{Bought: true, Left: eur(1000), GrantedAt: now.AddDate(0, -6, 0)}
	given := billing.CreditGrant{Left: eur(500), GrantedAt: now}
	soon := billing.CreditGrant{Bought: true, Left: eur(300), GrantedAt: now, ExpiresAt: now.AddDate(0, 0, 1)}
	later := billing.CreditGrant{Left: eur(200), GrantedAt: now, ExpiresAt: now.AddDate(0, 1, 0)}
	gone := billing.CreditGrant{Left: eur(9999), GrantedAt: now.AddDate(0, -1, 0), ExpiresAt: now}
	dollars := billing.CreditGrant{Left: billing.Money{Minor: 9999, Currency: "USD"}, GrantedAt: now}
	all := []billing.CreditGrant{bought, dollars, given, gone, later, soon}
	for _, test := range []struct {
		amount int64
		parts  [6]int64 // as in all
	}{
		{0, [6]int64{}},
		{250, [6]int64{5: 250}},
		{450, [6]int64{4: 150, 5: 300}},
		{900, [6]int64{2: 400, 4: 200, 5: 300}},
		{1500, [6]int64{0: 500, 2: 500, 4: 200, 5: 300}},
		{5000, [6]int64{0: 1000, 2: 500, 4: 200, 5: 300}},
	} {
		parts, err := billing.Spend(all, eur(test.amount), now)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if p != eur(test.parts[i]) {
				t.Errorf("of %d grant %d gives %s, want %d", test.amount, i, p, test.parts[i])
			}
		}
	}
	if _, err := billing.Spend(all, eur(-1), now); err == nil {
		t.Error("less than nothing was spent")
	}
}

// What is spent comes to the amount or to all there is, no grant gives more than it has,
// and nothing of a later grant is touched while an earlier one has something left.
func TestSpendNeverTakesMoreThanThereIs(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]string{"EUR", "JPY", "KWD"})
		grants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) billing.CreditGrant {
			g := billing.CreditGrant{Bought: rapid.Bool().Draw(t, "bought"), Left: billing.Money{Minor: rapid.Int64Range(0, 1<<40).Draw(t, "left"), Currency: currency.Draw(t, "currency")},
				GrantedAt: now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "age")) * time.Hour)}
			if rapid.Bool().Draw(t, "expires") {
				g.ExpiresAt = now.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "in")) * time.Hour)
			}
			return g
		}), 0, 8).Draw(t, "grants")
		amount := billing.Money{Minor: rapid.Int64Range(0, 1<<42).Draw(t, "amount"), Currency: currency.Draw(t, "of")}
		parts, err := billing.Spend(grants, amount, now)
		if err != nil {
			t.Fatal(err)
		}
		var spent, there int64
		for i, g := range grants {
			if g.Counts(amount.Currency, now) {
				there += g.Left.Minor
			} else if parts[i].Minor != 0 {
				t.Fatalf("%+v gave %s", g, parts[i])
			}
			if parts[i].Minor < 0 || parts[i].Minor > g.Left.Minor {
				t.Fatalf("%+v gave %s", g, parts[i])
			}
			spent += parts[i].Minor
			for j, o := range grants {
				if parts[i].Minor > 0 && o.Counts(amount.Currency, now) && billing.SpendOrder(o, g) < 0 && parts[j] != o.Left {
					t.Fatalf("%+v gave before %+v was used up", g, o)
				}
			}
		}
		if spent != min(there, amount.Minor) {
			t.Fatalf("%d spent of %s, %d were there", spent, amount, there)
		}
	})
}

// Whatever happens to credit, the books sum to nothing and what stands on its account is
// what is left.
func TestCreditBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bought := rapid.Bool().Draw(t, "bought")
		eur := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
		left := rapid.Int64Range(1, 1<<40).Draw(t, "granted")
		from := billing.Promotions
		if bought {
			from = billing.Cash("stripe")
		}
		all := billing.PostCreditGranted(from, bought, eur(left))
		spent := int64(0)
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			n := rapid.Int64Range(0, left).Draw(t, "n")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				all, left, spent = append(all, billing.PostCreditSpent(bought, eur(n))...), left-n, spent+n
			case 1:
				n = rapid.Int64Range(0, spent).Draw(t, "back")
				all, left, spent = append(all, billing.PostCreditSpent(bought, eur(-n))...), left+n, spent-n
			case 2:
				all, left = append(all, billing.PostCreditExpired(bought, eur(n))...), left-n
			case 3:
				if bought {
					all, left = append(all, billing.PostCreditWithdrawn(eur(n))...), left-n
				}
			}
		}
		on, err := billing.Balances(all)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, m := range on {
			sum += m.Minor
		}
		if sum != 0 || on[billing.CreditAccount(bought)].Minor != -left {
			t.Fatalf("%d left, the books: %v", left, on)
		}
	})
}
