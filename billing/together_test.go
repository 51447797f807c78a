package billing_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestTogetherByExample(t *testing.T) {
	a := billing.Renewing{Account: "a", Day: "2027-03-01", Currency: "EUR", Ahead: true, Lines: 2}
	with := func(change func(*billing.Renewing)) billing.Renewing { b := a; change(&b); return b }
	got := billing.Together([]billing.Renewing{
		a,
		with(func(r *billing.Renewing) { r.Day = "2027-03-02" }),
		with(func(r *billing.Renewing) { r.Currency = "USD" }),
		a,
		with(func(r *billing.Renewing) { r.Method = "m" }),
		with(func(r *billing.Renewing) { r.Ahead = false }),
		with(func(r *billing.Renewing) { r.Account = "b" }),
		with(func(r *billing.Renewing) { r.Alone = true }),
		with(func(r *billing.Renewing) { r.Alone = true }),
		with(func(r *billing.Renewing) { r.Lines = billing.MostTogether - 4 }),
		a, // there is no room left for it
		with(func(r *billing.Renewing) { r.Method = "m" }),
		with(func(r *billing.Renewing) { r.Chased = "p" }),
		with(func(r *billing.Renewing) { r.Chased = "p" }),
	})
	want := [][]int{{0, 3, 9}, {1}, {2}, {4, 11}, {5}, {6}, {7}, {8}, {10}, {12, 13}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v", got)
	}
}

func TestTogetherAtByExample(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2027, 3, 31, 21, 30, 0, 0, time.UTC) // 31 March, 23:30, in summer
	for _, x := range []struct {
		to    time.Time
		ahead int
		want  time.Time
	}{
		{from.AddDate(0, 1, 0), 3, time.Date(2027, 3, 27, 23, 0, 0, 0, time.UTC)}, // the 28th: the clock is not put on yet as it begins
		{from.AddDate(1, 0, 0), 14, time.Date(2027, 3, 24, 23, 0, 0, 0, time.UTC)},
		{from.AddDate(0, 0, 9), 3, time.Date(2027, 3, 28, 22, 0, 0, 0, time.UTC)},
		{from.AddDate(0, 1, 0), 0, time.Date(2027, 3, 30, 22, 0, 0, 0, time.UTC)},
	} {
		if got := billing.TogetherAt(billing.Period{From: from, To: x.to}, x.ahead, berlin); !got.Equal(x.want) {
			t.Errorf("%d days ahead of a period until %s: %s", x.ahead, x.to, got)
		}
	}
}

// TestTogetherLosesNothing draws renewals: each is in one group, of its own kind, and no
// group but of one has too many lines.
func TestTogetherLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) billing.Renewing {
			pick := func(name string) string { return rapid.SampledFrom([]string{"", "x"}).Draw(t, name) }
			return billing.Renewing{Account: pick("account"), Day: pick("day"), Currency: pick("currency"), Method: pick("method"),
				Ahead: rapid.Bool().Draw(t, "ahead"), Alone: rapid.Bool().Draw(t, "alone"), Lines: rapid.IntRange(1, billing.MostTogether*2).Draw(t, "lines")}
		}), 0, 40).Draw(t, "all")
		seen := map[int]bool{}
		for _, g := range billing.Together(all) {
			lines, of := 0, all[g[0]]
			for _, i := range g {
				if seen[i] {
					t.Fatalf("%d twice", i)
				}
				seen[i] = true
				lines += all[i].Lines
				same := all[i]
				if same.Lines = of.Lines; same != of || len(g) > 1 && same.Alone {
					t.Fatalf("%+v with %+v", all[i], of)
				}
			}
			if len(g) > 1 && lines > billing.MostTogether {
				t.Fatalf("%d lines", lines)
			}
		}
		if len(seen) != len(all) {
			t.Fatalf("%d of %d", len(seen), len(all))
		}
	})
}
