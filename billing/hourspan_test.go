package billing_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

var hoursFrom = time.Date(2027, 1, 1, 9, 30, 0, 0, time.UTC)

func hourPart(code, rate string, most int64) billing.HourPart {
	r, err := billing.ParseRate(rate, "EUR")
	if err != nil {
		panic(err)
	}
	kind := "option"
	if code == "plan" {
		kind = "plan"
	}
	return billing.HourPart{Kind: kind, Code: code, Label: code, Price: billing.HourPrice{Rate: r, Most: billing.Money{Minor: most, Currency: "EUR"}}}
}

// A desktop at 0.20 an hour gets backups at 0.05 in the middle of its third hour and gives them back
// in the fifth: they are paid for three hours, each that they were had in.
func ExampleAddHours() {
	plan, backups := hourPart("plan", "0.20", 0), hourPart("backups", "0.05", 0)
	start := time.Date(2027, 1, 1, 9, 30, 0, 0, time.UTC)
	var spans []billing.HourSpan
	spans, _ = billing.AddHours(spans, billing.HourSpan{From: start, Parts: []billing.HourPart{plan}}, start)
	spans, _ = billing.AddHours(spans, billing.HourSpan{From: start.Add(150 * time.Minute), Parts: []billing.HourPart{plan, backups}}, start)
	spans, _ = billing.AddHours(spans, billing.HourSpan{From: start.Add(250 * time.Minute), Parts: []billing.HourPart{plan}}, start)
	month := billing.Monthly.Period(start, 0, time.UTC)
	lines, _ := billing.Hours(spans, month, []billing.Session{{Start: start, Stop: start.Add(10 * time.Hour)}}, month.To, map[string]int64{})
	for _, l := range lines {
		fmt.Println(l.Part.Label, l.Hours, l.Net)
	}
	// Output:
	// plan 10 2.00 EUR
	// backups 3 0.15 EUR
}

func TestTheHourOfAChange(t *testing.T) {
	small, large, cheap := hourPart("plan", "0.02", 0), hourPart("plan", "0.05", 0), hourPart("plan", "0.01", 0)
	for name, c := range map[string]struct {
		to   []billing.HourPart // what is had instead, ten minutes after each other
		at   time.Duration      // of the first
		want []time.Duration    // when spans begin
	}{
		"dearer, from the begin of the hour":        {[]billing.HourPart{large}, 150 * time.Minute, []time.Duration{0, 2 * time.Hour}},
		"cheaper, from its end":                     {[]billing.HourPart{cheap}, 150 * time.Minute, []time.Duration{0, 3 * time.Hour}},
		"at the full hour there is none":            {[]billing.HourPart{cheap}, 2 * time.Hour, []time.Duration{0, 2 * time.Hour}},
		"dearer and back":                           {[]billing.HourPart{large, small}, 150 * time.Minute, []time.Duration{0, 2 * time.Hour, 3 * time.Hour}},
		"cheaper and back is nothing":               {[]billing.HourPart{cheap, small}, 150 * time.Minute, []time.Duration{0}},
		"cheaper and dearer is the dearer":          {[]billing.HourPart{cheap, large}, 150 * time.Minute, []time.Duration{0, 2 * time.Hour}},
		"in the first hour in place of what it was": {[]billing.HourPart{large}, 10 * time.Minute, []time.Duration{0}},
		"the same is no other span":                 {[]billing.HourPart{small}, 150 * time.Minute, []time.Duration{0}},
	} {
		spans := []billing.HourSpan{{From: hoursFrom, Parts: []billing.HourPart{small}}}
		at := hoursFrom.Add(c.at)
		for _, p := range c.to {
			spans, _ = billing.AddHours(spans, billing.HourSpan{From: at, Parts: []billing.HourPart{p}}, hoursFrom)
			at = at.Add(10 * time.Minute)
		}
		var got []time.Duration
		for _, s := range spans {
			got = append(got, s.From.Sub(hoursFrom))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What is taken off a month of hours: shares of each part, an amount once, however the month is cut.
func TestWhatIsTakenOffHours(t *testing.T) {
	month := billing.Monthly.Period(hoursFrom, 0, time.UTC)
	plan, backups := hourPart("plan", "0.02", 900), hourPart("backups", "0.01", 0)
	ran := []billing.Session{{Start: hoursFrom, Stop: hoursFrom.Add(100 * time.Hour)}}
	eur := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }
	for name, c := range map[string]struct {
		off  *billing.Discount
		want []int64
	}{
		"nothing":            {nil, []int64{200, 100}},
		"a share":            {&billing.Discount{Code: "TEN", Ppm: 100_000}, []int64{180, 90}},
		"an amount":          {&billing.Discount{Code: "ONE", Off: eur(150)}, []int64{100, 50}},
		"more than there is": {&billing.Discount{Code: "ALL", Off: eur(5000)}, []int64{0, 0}},
		"both":               {billing.Stack(&billing.Discount{Code: "TEN", Ppm: 100_000}, &billing.Discount{Code: "ONE", Off: eur(150)}), []int64{80, 40}},
	} {
		spans := []billing.HourSpan{{From: hoursFrom, Parts: []billing.HourPart{plan, backups}, Off: c.off}}
		taken := map[string]int64{}
		lines, err := billing.Hours(spans, month, ran, month.To, taken)
		if err != nil || len(lines) != 2 || lines[0].Net.Minor != c.want[0] || lines[1].Net.Minor != c.want[1] {
			t.Errorf("%s: %+v %v", name, lines, err)
		}
		if again, err := billing.Hours(spans, month, ran, month.To, taken); err != nil || name == "an amount" && again[0].Net.Minor+again[1].Net.Minor != 300 {
			t.Errorf("%s, taken before: %+v %v", name, again, err)
		}
	}
}

// However prices change within a month, every hour of a session is paid once, at a price that was
// had within that hour, and no price that was had in it is higher.
func TestEachHourIsPaidOnceAtTheDearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		month := billing.Monthly.Period(hoursFrom, 0, time.UTC)
		n := rapid.Int64Range(1, 60).Draw(t, "hours")
		stop := hoursFrom.Add(time.Duration(n) * time.Hour)
		type had struct {
			at    time.Time
			price int
		}
		at, price := hoursFrom, rapid.IntRange(1, 9).Draw(t, "first")
		all := []had{{at, price}}
		part := func(cents int) []billing.HourPart {
			return []billing.HourPart{hourPart("plan", fmt.Sprintf("0.0%d", cents), 0)}
		}
		spans, _ := billing.AddHours(nil, billing.HourSpan{From: at, Parts: part(price)}, hoursFrom)
		for range rapid.IntRange(0, 12).Draw(t, "changes") {
			at = at.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "minutes")) * time.Minute)
			if !at.Before(stop) {
				break
			}
			price = rapid.IntRange(1, 9).Draw(t, "price")
			all = append(all, had{at, price})
			spans, _ = billing.AddHours(spans, billing.HourSpan{From: at, Parts: part(price)}, hoursFrom)
		}
		var want int64
		for h := range n {
			from, to, dearest := hoursFrom.Add(time.Duration(h)*time.Hour), hoursFrom.Add(time.Duration(h+1)*time.Hour), 0
			for i, x := range all {
				if until := append(all, had{at: stop})[i+1].at; x.at.Before(to) && until.After(from) {
					dearest = max(dearest, x.price)
				}
			}
			want += int64(dearest)
		}
		lines, err := billing.Hours(spans, month, []billing.Session{{Start: hoursFrom, Stop: stop}}, stop, map[string]int64{})
		var hours, sum int64
		for _, l := range lines {
			hours, sum = hours+l.Hours, sum+l.Net.Minor
		}
		if err != nil || hours != n || sum != want {
			t.Fatalf("%d of %d hours, %d and not %d: %v %+v", hours, n, sum, want, err, spans)
		}
	})
}

// A share of a month costs its month when it runs through it, and hardly more than its share before.
func TestAnHourOfAMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		month := billing.Money{Minor: rapid.Int64Range(1, 10_000_00).Draw(t, "month"), Currency: "EUR"}
		h, err := billing.ByHours(month)
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := h.Over(744); err != nil || whole != month {
			t.Fatalf("a month of %s is %s, %v", h.Words("en"), whole, err)
		}
		n := rapid.Int64Range(1, 720).Draw(t, "hours")
		some, err := h.Over(n)
		share, err2 := month.Ratio(n, billing.MonthHours)
		if err != nil || err2 != nil || some.Minor < share.Minor-1 || some.Minor > share.Minor+1+month.Minor/1000 {
			t.Fatalf("%d hours of %s are %s, a share is %s", n, month, some, share)
		}
	})
}
