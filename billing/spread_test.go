package billing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSpreadOverMonths(t *testing.T) {
	eur := func(minor int64) Money { return Money{Minor: minor, Currency: "EUR"} }
	for name, c := range map[string]struct {
		amount int64
		period Period
		want   map[time.Month]int64
	}{
		"a month":                {900, Period{dayIn(11, 1), dayIn(12, 1)}, map[time.Month]int64{11: 900}},
		"across two":             {3000, Period{dayIn(11, 21), dayIn(12, 21)}, map[time.Month]int64{11: 1000, 12: 2000}}, // ten days and twenty
		"a credit":               {-3000, Period{dayIn(11, 21), dayIn(12, 21)}, map[time.Month]int64{11: -1000, 12: -2000}},
		"a quarter":              {9200, Period{dayIn(7, 1), dayIn(10, 1)}, map[time.Month]int64{7: 3100, 8: 3100, 9: 3000}}, // of 92 days
		"at once":                {500, Period{From: dayIn(11, 30)}, map[time.Month]int64{11: 500}},
		"an end before it began": {500, Period{dayIn(11, 30), dayIn(11, 1)}, map[time.Month]int64{11: 500}},
	} {
		got, err := Spread(eur(c.amount), c.period)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		for _, p := range got {
			if p.Part != eur(c.want[p.From.Month()]) || p.From.Day() != 1 {
				t.Errorf("%s: %s has %v", name, p.From.Month(), p.Part)
			}
		}
	}
}

// The parts come to the amount, in order and without a gap.
func TestSpreadsComeToTheAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := dayIn(1, 1).Add(time.Duration(rapid.Int64Range(0, 365*24*3600).Draw(t, "from")) * time.Second)
		p := Period{from, from.Add(time.Duration(rapid.Int64Range(0, 3*365*24*3600).Draw(t, "for")) * time.Second)}
		amount := rapid.Int64Range(-10_000_000, 10_000_000).Draw(t, "amount")
		got, err := Spread(Money{Minor: amount, Currency: "EUR"}, p)
		if err != nil || len(got) == 0 {
			t.Fatal(got, err)
		}
		sum := int64(0)
		for i, x := range got {
			if sum += x.Part.Minor; i > 0 && !x.From.Equal(got[i-1].From.AddDate(0, 1, 0)) {
				t.Fatalf("%v follows %v", x.From, got[i-1].From)
			}
		}
		if sum != amount {
			t.Fatalf("%d spread as %d", amount, sum)
		}
	})
}
