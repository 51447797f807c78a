package billing_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func quantity(t testing.TB, s string) *big.Rat {
	t.Helper()
	q, err := billing.ParseQuantity(s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func clock(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at
}

func november() billing.Period {
	return billing.Period{From: clock("2026-11-01T00:00:00Z"), To: clock("2026-12-01T00:00:00Z")}
}

// A cloud desktop is 0.20 an hour in steps of a quarter of an hour.
func TestSessionsAreRoundedUp(t *testing.T) {
	for _, test := range []struct {
		minutes int
		hours   string
		cost    int64
	}{
		{0, "0", 0}, {1, "0.25", 5}, {8, "0.25", 5}, {15, "0.25", 5}, {16, "0.5", 10}, {60, "1", 20}, {65, "1.25", 25}, {24 * 60, "24", 480},
	} {
		start := clock("2026-11-20T10:03:00Z")
		stop := start.Add(time.Duration(test.minutes) * time.Minute)
		events := []billing.MeterEvent{{Key: "a", At: start, Phase: billing.PhaseStart, Mark: "s"}, {Key: "b", At: stop, Phase: billing.PhaseStop, Mark: "s"}}
		used := billing.Measure(billing.MeterSessions, 15*time.Minute, november(), november().To, events)
		c, err := hourly(t, "0.20").Price(used)
		if err != nil || used.Cmp(quantity(t, test.hours)) != 0 || c.Net.Minor != test.cost {
			t.Errorf("%d minutes are %s hours and cost %v (%v), want %s and %d", test.minutes, used.FloatString(2), c.Net, err, test.hours, test.cost)
		}
	}
}

func hourly(t testing.TB, price string) billing.Tariff {
	t.Helper()
	rate, err := billing.ParseRate(price, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return billing.Tariff{Model: billing.Graduated, Tiers: []billing.Tier{{Unit: rate}}}
}

func TestAggregations(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	one := func(key string, at time.Time, value, mark string) billing.MeterEvent {
		return billing.MeterEvent{Key: key, At: at, Value: quantity(t, value), Mark: mark}
	}
	events := []billing.MeterEvent{
		one("0", at(1, 0).Add(-time.Hour), "100", "old"), // before the period: only what holds counts
		one("1", at(3, 0), "10", "ada"), one("2", at(16, 0), "2.5", "bob"), one("3", at(20, 0), "7", "ada"),
		one("3", at(20, 0), "7", "ada"), // again
		one("4", at(30, 23).Add(time.Hour), "1000", "next"),
	}
	for aggregation, want := range map[billing.Aggregation]string{
		billing.MeterSum: "19.5", billing.MeterMax: "10", billing.MeterLast: "7", billing.MeterUnique: "2",
		// 2 days at 100, 13 at 10, 4 at 2.5, 11 at 7, of 30
		billing.MeterWeighted: "13.9",
	} {
		if got := billing.Measure(aggregation, 0, november(), november().To, events); got.Cmp(quantity(t, want)) != 0 {
			t.Errorf("%s is %s, want %s", aggregation, got.FloatString(6), want)
		}
	}
	if got := billing.Measure(billing.MeterWeighted, 0, november(), at(2, 0), events); got.Cmp(new(big.Rat).SetFrac64(100, 30)) != 0 {
		t.Errorf("after a day of 100 the mean over the month is %s", got.FloatString(6))
	}
}

func TestTariffs(t *testing.T) {
	rate := func(s string) billing.Rate {
		r, err := billing.ParseRate(s, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	tiers := []billing.Tier{{UpTo: quantity(t, "100"), Unit: rate("0.10")}, {UpTo: quantity(t, "1000"), Unit: rate("0.05")}, {Unit: rate("0.0042")}}
	flat := []billing.Tier{{UpTo: quantity(t, "10"), Unit: rate("0"), Flat: billing.Money{Minor: 500, Currency: "EUR"}}, {Unit: rate("1"), Flat: billing.Money{Minor: 200, Currency: "EUR"}}}
	for _, test := range []struct {
		name   string
		tariff billing.Tariff
		used   string
		want   int64
	}{
		{"nothing", billing.Tariff{Model: billing.Graduated, Tiers: tiers}, "0", 0},
		{"first tier", billing.Tariff{Model: billing.Graduated, Tiers: tiers}, "100", 1000},
		{"second tier", billing.Tariff{Model: billing.Graduated, Tiers: tiers}, "300", 2000},
		{"third tier, a rate finer than a cent", billing.Tariff{Model: billing.Graduated, Tiers: tiers}, "1001", 5500},
		{"third tier, rounded once", billing.Tariff{Model: billing.Graduated, Tiers: tiers}, "2234", 6018},
		{"an allowance comes off first", billing.Tariff{Model: billing.Graduated, Included: quantity(t, "1000"), Tiers: tiers}, "1050", 500},
		{"within the allowance", billing.Tariff{Model: billing.Graduated, Included: quantity(t, "1000"), Tiers: tiers}, "1000", 0},
		{"volume, at the edge", billing.Tariff{Model: billing.Volume, Tiers: tiers}, "100", 1000},
		{"volume, past the edge", billing.Tariff{Model: billing.Volume, Tiers: tiers}, "101", 505},
		{"volume, the last", billing.Tariff{Model: billing.Volume, Tiers: tiers}, "10000", 4200},
		{"one package begun", billing.Tariff{Model: billing.Packages, Package: quantity(t, "50"), Tiers: []billing.Tier{{Unit: rate("3")}}}, "0.1", 300},
		{"two packages", billing.Tariff{Model: billing.Packages, Package: quantity(t, "50"), Tiers: []billing.Tier{{Unit: rate("3")}}}, "100", 600},
		{"packages after an allowance", billing.Tariff{Model: billing.Packages, Included: quantity(t, "100"), Package: quantity(t, "50"), Tiers: []billing.Tier{{Unit: rate("3")}}}, "150.000001", 600},
		{"fees of tiers", billing.Tariff{Model: billing.Graduated, Tiers: flat}, "12", 900},
	} {
		c, err := test.tariff.Price(quantity(t, test.used))
		if err != nil || c.Net != (billing.Money{Minor: test.want, Currency: "EUR"}) {
			t.Errorf("%s: %s cost %v, %v, want %d", test.name, test.used, c.Net, err, test.want)
		}
	}
	for name, bad := range map[string]billing.Tariff{
		"no tiers":        {Model: billing.Graduated},
		"no end":          {Model: billing.Graduated, Tiers: tiers[:1]},
		"descending":      {Model: billing.Volume, Tiers: []billing.Tier{tiers[1], tiers[0], tiers[2]}},
		"package of none": {Model: billing.Packages, Package: new(big.Rat), Tiers: tiers[2:]},
		"two packages":    {Model: billing.Packages, Package: quantity(t, "5"), Tiers: tiers},
		"no model":        {Tiers: tiers},
		"negative":        {Model: billing.Graduated, Included: big.NewRat(-1, 1), Tiers: tiers},
	} {
		if _, err := bad.Price(quantity(t, "1")); !errors.Is(err, billing.ErrTariff) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseQuantity(t *testing.T) {
	for _, s := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1/3", "1,5", "0x1", "1.0000001", "1234567890123456", " 1", "NaN", "1_0"} {
		if q, err := billing.ParseQuantity(s); !errors.Is(err, billing.ErrMeasure) {
			t.Errorf("%q is %v, %v", s, q, err)
		}
	}
	for s, want := range map[string]string{"0": "0", "1234567.5": "1,234,567.5", "999": "999", "1000": "1,000", "0.123456": "0.123"} {
		if got := billing.FormatQuantity(quantity(t, s)); got != want {
			t.Errorf("%s is written %s, want %s", s, got, want)
		}
	}
}

func TestUsagePeriodKeepsTheAnchor(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		anchor, at, from, to string
		zone                 *time.Location
	}{
		{"2026-01-31T12:00:00Z", "2026-02-28T11:59:59Z", "2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z", time.UTC},
		{"2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z", "2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z", time.UTC},
		{"2027-12-31T00:00:00Z", "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z", time.UTC}, // a leap year
		{"2026-03-15T23:00:00Z", "2026-03-30T00:00:00Z", "2026-03-15T23:00:00Z", "2026-04-15T22:00:00Z", berlin},   // midnight there, through the change to summer time
		{"2026-03-15T23:00:00Z", "2026-03-01T00:00:00Z", "2026-02-15T23:00:00Z", "2026-03-15T23:00:00Z", berlin},   // before it began
	} {
		p := billing.UsagePeriod(clock(test.anchor), clock(test.at), test.zone)
		if !p.From.Equal(clock(test.from)) || !p.To.Equal(clock(test.to)) {
			t.Errorf("%s from %s is in %s to %s", test.at, test.anchor, p.From.Format(time.RFC3339), p.To.Format(time.RFC3339))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		anchor := time.Unix(rapid.Int64Range(1.5e9, 2e9).Draw(t, "anchor"), 0)
		at := time.Unix(rapid.Int64Range(1.4e9, 2.2e9).Draw(t, "at"), 0)
		zone := rapid.SampledFrom([]*time.Location{time.UTC, berlin}).Draw(t, "zone")
		p := billing.UsagePeriod(anchor, at, zone)
		if next := billing.UsagePeriod(anchor, p.To, zone); !p.Contains(at) || !next.From.Equal(p.To) {
			t.Fatalf("%v is in %v, which is followed by %v", at, p, next)
		}
	})
}

func TestAPauseMakesAMonthOfUsageLonger(t *testing.T) {
	for _, test := range []struct{ month, pause, anchor, want string }{
		{"2027-03-10 2027-04-10", "2027-03-20 2027-03-25", "2027-04-15", "2027-03-10 2027-04-15"},
		{"2027-03-10 2027-04-10", "2027-03-10 2027-04-04", "2027-05-05", "2027-03-10 2027-05-05"}, // months of 30 days follow one of 31
		{"2027-03-10 2027-04-10", "2027-03-20 2028-03-19", "2028-04-09", "2027-03-10 2028-04-09"},
		{"2027-01-10 2027-02-10", "2027-01-20 2027-02-12", "2028-02-02", "2027-01-10 2027-03-02"}, // of a year: the day of the month is that of its end
	} {
		anchor, err := time.Parse(time.DateOnly, test.anchor)
		if err != nil {
			t.Fatal(err)
		}
		if got := billing.Lengthened(days(t, test.month), days(t, test.pause), anchor, time.UTC); got != days(t, test.want) {
			t.Errorf("%s with a pause %s goes on until %s", test.month, test.pause, got.To.Format(time.DateOnly))
		}
	}
	// However months are counted and wherever a pause begins, each time is in one month.
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "Australia/Lord_Howe")}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		anchor := time.Unix(rapid.Int64Range(1.5e9, 2e9).Draw(t, "anchor"), 0)
		var longer billing.Period
		at := anchor
		for range rapid.IntRange(1, 4).Draw(t, "pauses") {
			at = at.Add(time.Duration(rapid.Int64Range(1, 1e6).Draw(t, "after")) * 10 * time.Second)
			pause := billing.Period{From: at, To: at.Add(time.Duration(rapid.Int64Range(1, 3e6).Draw(t, "rests")) * 10 * time.Second)}
			month := billing.UsageMonth(anchor, longer, at, zone)
			anchor = billing.UsagePeriod(anchor, at, zone).To.Add(pause.To.Sub(pause.From)) // as what is paid
			longer, at = billing.Lengthened(month, pause, anchor, zone), pause.To
			if !longer.From.Equal(month.From) || !longer.To.After(pause.To) || longer.To.Sub(pause.To) > month.To.Sub(pause.From)+4*24*time.Hour {
				t.Fatalf("%v with a pause %v is %v", month, pause, longer)
			}
		}
		for p, n := billing.UsageMonth(anchor, longer, longer.From.AddDate(0, -3, 0), zone), 0; n < 10; n++ {
			next := billing.UsageMonth(anchor, longer, p.To, zone)
			last := p.To.Add(-time.Nanosecond)
			if !next.From.Equal(p.To) || !next.To.After(next.From) || billing.UsageMonth(anchor, longer, last, zone) != p {
				t.Fatalf("%v is followed by %v, %v is longer", p, next, longer)
			}
			p = next
		}
	})
}

// days is a period of two days, the second not in it.
func days(t *testing.T, text string) (p billing.Period) {
	t.Helper()
	from, to, _ := strings.Cut(text, " ")
	var errs [2]error
	p.From, errs[0] = time.Parse(time.DateOnly, from)
	p.To, errs[1] = time.Parse(time.DateOnly, to)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return p
}

func drawEvents(t *rapid.T) []billing.MeterEvent {
	n := rapid.IntRange(0, 30).Draw(t, "n")
	events := make([]billing.MeterEvent, n)
	for i := range events {
		events[i] = billing.MeterEvent{
			Key: fmt.Sprint(i), At: november().From.Add(time.Duration(rapid.IntRange(-3000, 50000).Draw(t, "minute")) * time.Minute),
			Value: big.NewRat(rapid.Int64Range(0, 1e6).Draw(t, "value"), 1000), Mark: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "mark"),
			Phase: rapid.SampledFrom([]string{billing.PhaseStart, billing.PhaseStop}).Draw(t, "phase"),
		}
	}
	return events
}

func TestOrderAndRepetitionOfEventsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		shuffled := rapid.Permutation(append(append([]billing.MeterEvent{}, events...), events...)).Draw(t, "order")
		for _, a := range []billing.Aggregation{billing.MeterSum, billing.MeterMax, billing.MeterLast, billing.MeterUnique, billing.MeterWeighted, billing.MeterSessions} {
			until := november().From.Add(time.Duration(rapid.IntRange(0, 50000).Draw(t, "until")) * time.Minute)
			x, y := billing.Measure(a, 15*time.Minute, november(), until, events), billing.Measure(a, 15*time.Minute, november(), until, shuffled)
			if x.Cmp(y) != 0 {
				t.Fatalf("%s is %s in one order and %s in another", a, x, y)
			}
		}
	})
}

func TestSplittingEventsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t)
		var split []billing.MeterEvent
		for _, e := range events {
			half := new(big.Rat).Mul(e.Value, big.NewRat(rapid.Int64Range(0, 10).Draw(t, "share"), 10))
			x, y := e, e
			x.Key, x.Value = e.Key+"/1", half
			y.Key, y.Value = e.Key+"/2", new(big.Rat).Sub(e.Value, half)
			split = append(split, x, y)
		}
		whole, parts := billing.Measure(billing.MeterSum, 0, november(), november().To, events), billing.Measure(billing.MeterSum, 0, november(), november().To, split)
		if whole.Cmp(parts) != 0 {
			t.Fatalf("%s split is %s", whole, parts)
		}
	})
}

func TestStepsOfASessionAreTheSameHoweverItsTimeIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := november().From.Add(time.Duration(rapid.Int64Range(0, int64(400*time.Hour)).Draw(t, "start")))
		length := time.Duration(rapid.Int64Range(0, int64(400*time.Hour)).Draw(t, "length"))
		step := time.Duration(rapid.IntRange(1, 180).Draw(t, "step")) * time.Minute
		stop := start.Add(length)
		cuts := []time.Time{start.Add(-time.Hour)}
		for range rapid.IntRange(0, 5).Draw(t, "cuts") {
			cuts = append(cuts, cuts[len(cuts)-1].Add(time.Duration(rapid.Int64Range(1, int64(300*time.Hour)).Draw(t, "cut"))))
		}
		cuts = append(cuts, cuts[len(cuts)-1].Add(900*time.Hour))
		var sum int64
		for i := range cuts[1:] {
			sum += billing.Increments(start, stop, step, billing.Period{From: cuts[i], To: cuts[i+1]})
		}
		want := int64((length + step - 1) / step)
		if cuts[len(cuts)-1].Before(stop) {
			return
		}
		if sum != want {
			t.Fatalf("%v in steps of %v is %d, cut it is %d", length, step, want, sum)
		}
	})
}

func TestGraduatedPricesAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tiers []billing.Tier
		upTo := int64(0)
		for range rapid.IntRange(0, 4).Draw(t, "tiers") {
			upTo += rapid.Int64Range(1, 1000).Draw(t, "width")
			tiers = append(tiers, billing.Tier{UpTo: big.NewRat(upTo, 1), Unit: billing.Rate{Units: rapid.Int64Range(0, 1e11).Draw(t, "rate"), Currency: "EUR"}})
		}
		tiers = append(tiers, billing.Tier{Unit: billing.Rate{Units: rapid.Int64Range(0, 1e11).Draw(t, "rate"), Currency: "EUR"}})
		for _, tariff := range []billing.Tariff{
			{Model: billing.Graduated, Included: big.NewRat(rapid.Int64Range(0, 500).Draw(t, "included"), 1), Tiers: tiers},
			{Model: billing.Packages, Package: big.NewRat(rapid.Int64Range(1, 50).Draw(t, "package"), 1), Tiers: tiers[len(tiers)-1:]},
		} {
			a, b := rapid.Int64Range(0, 1e7).Draw(t, "a"), rapid.Int64Range(0, 1e7).Draw(t, "more")
			less, err := tariff.Price(big.NewRat(a, 1000))
			if err != nil {
				t.Fatal(err)
			}
			more, err := tariff.Price(big.NewRat(a+b, 1000))
			if err != nil || more.Net.Minor < less.Net.Minor {
				t.Fatalf("%d cost %v and %d cost %v (%v)", a, less.Net, a+b, more.Net, err)
			}
			sum := new(big.Rat)
			for _, p := range more.Parts {
				sum.Add(sum, p.Quantity)
			}
			if tariff.Model == billing.Graduated && sum.Cmp(more.Over) != 0 {
				t.Fatalf("the parts are %s of %s", sum, more.Over)
			}
		}
	})
}

func TestSpendReachesItsSteps(t *testing.T) {
	eur := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }
	for _, test := range []struct {
		spent, limit int64
		want         int
	}{{0, 1000, 0}, {499, 1000, 0}, {500, 1000, 50}, {749, 1000, 50}, {750, 1000, 75}, {900, 1000, 90}, {1000, 1000, 100}, {5000, 1000, 100}, {0, 0, 0}, {1, 0, 100}} {
		if got, err := billing.Reached(eur(test.spent), eur(test.limit)); err != nil || got != test.want {
			t.Errorf("%d of %d is %d, %v, want %d", test.spent, test.limit, got, err, test.want)
		}
	}
	if _, err := billing.Reached(eur(1), billing.Money{Minor: 1, Currency: "USD"}); !errors.Is(err, billing.ErrMixed) {
		t.Errorf("two currencies: %v", err)
	}
}
