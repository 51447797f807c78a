package billing_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func at(day, month, year int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

// moveOf is a move of something of €31.00 a month, or €365.00 a year, that is paid from a day
// until another.
func moveOf(c billing.Cycle, minor int64, from, to time.Time, day int) billing.Move {
	p := billing.Period{From: from, To: to}
	return billing.Move{At: from.Add(time.Hour), Zone: time.UTC, Day: day, Paid: billing.Shares([]billing.Period{p}),
		Terms: billing.Terms{Cycle: c, Parts: []billing.Part{{Kind: "plan", Label: "VPS", Quantity: 1, Price: billing.Money{Minor: minor, Currency: "EUR"}}}}}
}

func TestMovesByExample(t *testing.T) {
	for name, x := range map[string]struct {
		m    billing.Move
		net  int64
		to   time.Time
		text string
	}{
		"a month, to the 1st":           {moveOf(billing.Monthly, 3100, at(20, 11, 2026), at(20, 12, 2026), 1), 1200, at(1, 1, 2027), "VPS: 12 days of 31 days"},
		"a month, to the 28th":          {moveOf(billing.Monthly, 3100, at(28, 2, 2027), at(29, 3, 2027), 28), 3000, at(28, 4, 2027), "VPS: 30 days of 31 days"},
		"a year, to that day of month":  {moveOf(billing.Annual, 36500, at(15, 3, 2026), at(15, 3, 2027), 1), 1700, at(1, 4, 2027), "VPS: 17 days of 365 days"},
		"credit back to the next day":   {shorten(moveOf(billing.Monthly, 3000, at(20, 11, 2026), at(20, 12, 2026), 1)), -1900, at(1, 12, 2026), "Not used of VPS: 19 days of 30 days"},
		"credit, but the day is later":  {shorten(moveOf(billing.Monthly, 3100, at(20, 11, 2026), at(20, 12, 2026), 20)), 0, at(20, 12, 2026), ""},
		"nothing is paid after the day": {shorten(moveOf(billing.Monthly, 3100, at(2, 11, 2026), at(30, 11, 2026), 1)), 103, at(1, 12, 2026), "VPS: 1 day of 30 days"},
	} {
		got, err := x.m.Price()
		if x.net == 0 {
			if !errors.Is(err, billing.ErrSame) {
				t.Errorf("%s: %+v %v", name, got, err)
			}
			continue
		}
		if err != nil || got.Net.Minor != x.net || !got.To.Equal(x.to) || got.Lines[0].Text != x.text || !got.NextAt.Equal(x.to) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for _, wrong := range []billing.Move{{}, moveOf(billing.OneTime, 1, at(1, 1, 2027), at(1, 2, 2027), 1), moveOf(billing.Monthly, 1, at(1, 1, 2027), at(1, 2, 2027), 29), moveOf(billing.Monthly, 1, at(1, 1, 2027), at(1, 2, 2027), 0)} {
		if _, err := wrong.Price(); !errors.Is(err, billing.ErrPeriod) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	late := moveOf(billing.Monthly, 1, at(1, 1, 2027), at(1, 2, 2027), 5)
	late.At = at(1, 2, 2027)
	if _, err := late.Price(); !errors.Is(err, billing.ErrUnpaid) {
		t.Error(err)
	}
}

func shorten(m billing.Move) billing.Move { m.Shorten = true; return m }

// TestMovesLeaveNoMomentOutAndChargeNoneTwice moves again and again, at any moment of any
// zone, and renews in between: what was charged, less what was given back, covers the time
// from the begin to the next period exactly once, and what a stretch of it cost is its share
// of the price.
func TestMovesLeaveNoMomentOutAndChargeNoneTwice(t *testing.T) {
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Europe/Berlin", "America/St_Johns", "Pacific/Auckland"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		cycle := rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.Annual}).Draw(t, "cycle")
		price := billing.Money{Minor: rapid.Int64Range(0, 1_000_000).Draw(t, "price"), Currency: "EUR"}
		terms := billing.Terms{Cycle: cycle, Parts: []billing.Part{{Kind: "plan", Label: "x", Quantity: 1, Price: price}}}
		begin := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "begin"), rapid.Int64Range(0, 999_999).Draw(t, "ns")*1000).UTC()
		anchor, n := begin, 0
		first := cycle.Period(anchor, 0, zone)
		paid := billing.Shares([]billing.Period{first})
		charged := map[time.Time]int{} // +1 where what is charged begins, -1 where it ends
		cover := func(p billing.Period, times int) { charged[p.From] += times; charged[p.To] -= times }
		cover(first, 1)
		now := begin
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			end := paid[len(paid)-1].Period.To
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(end.Sub(now))-1).Draw(t, "wait")))
			for len(paid) > 1 && !paid[0].Period.Contains(now) {
				paid = paid[1:]
			}
			if rapid.Bool().Draw(t, "renews") {
				n++
				p := cycle.Period(anchor, n, zone)
				paid = append(paid, billing.Share{Period: p, Whole: p})
				cover(p, 1)
				continue
			}
			m := billing.Move{At: now, Zone: zone, Day: rapid.IntRange(1, billing.LastBillDay).Draw(t, "day"), Paid: paid, Terms: terms, Shorten: rapid.Bool().Draw(t, "shorten")}
			got, err := m.Price()
			if errors.Is(err, billing.ErrSame) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			var sum int64
			for _, l := range got.Lines {
				sum += l.Net.Minor
				if got.Return == billing.DowngradeCredit {
					cover(l.Period, -1)
				} else {
					cover(l.Period, 1)
				}
			}
			if sum != got.Net.Minor || (got.Net.Minor < 0) != (got.Return == billing.DowngradeCredit && sum < 0) {
				t.Fatalf("the lines sum to %d of %d", sum, got.Net.Minor)
			}
			paid, anchor, n = got.Paid, got.To, -1
			if local := got.To.In(zone); local.Day() != m.Day || local.Hour() != 0 && time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone) != local {
				t.Fatalf("moved to %s for the %d", local, m.Day)
			}
		}
		end := paid[len(paid)-1].Period.To
		for at, times := range charged {
			want := 0
			switch {
			case at.Equal(begin):
				want = 1
			case at.Equal(end):
				want = -1
			}
			if times != want {
				t.Fatalf("at %s the time is charged %+d times, of %s to %s", at, times, begin, end)
			}
		}
		if next := cycle.Period(anchor, n+1, zone); !next.From.Equal(end) {
			t.Fatalf("the next period begins at %s, and paid is until %s", next.From, end)
		}
		for i, s := range paid { // no more than a share of the price each, whatever it was cut to
			cost, err := s.From(price, s.Period.From)
			if err != nil || cost.Minor < 0 || cost.Minor > price.Minor || i > 0 && !paid[i-1].Period.To.Equal(s.Period.From) {
				t.Fatalf("%+v costs %s, %v", s, cost, err)
			}
		}
	})
}

// TestChangesWithinAStub prices a change to twice the price in the middle of a stub: half of
// the stub's share, as often as it is cut.
func TestChangesWithinAStub(t *testing.T) {
	stub := billing.Stub(billing.Monthly, at(19, 12, 2026), 1, time.UTC) // 13 of 31 days
	part := func(minor int64) billing.Terms {
		return billing.Terms{Cycle: billing.Monthly, Parts: []billing.Part{{Kind: "plan", Label: "VPS", Quantity: 1, Price: billing.Money{Minor: minor, Currency: "EUR"}}}}
	}
	got, err := billing.Change{At: at(25, 12, 2026), Zone: time.UTC, Paid: []billing.Period{stub.Period}, Of: []billing.Period{stub.Whole}, Old: part(3100), New: part(6200),
		Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeCredit}.Price()
	if err != nil || got.Net.Minor != 700 || got.Lines[0].Text != "Not used of VPS: 7 days of 31 days" || !got.NextAt.Equal(at(1, 1, 2027)) {
		t.Errorf("%+v %v", got, err)
	}
}
