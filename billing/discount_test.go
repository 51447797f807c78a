package billing_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func sold(kind string, quantity, unit int64) billing.Line {
	return billing.Line{Kind: kind, Description: kind, Quantity: quantity, Unit: eur(unit)}
}

func TestADiscount(t *testing.T) {
	server := []billing.Line{sold("plan", 1, 999), sold("option", 3, 100), sold("setup", 1, 500), sold("adjustment", 1, -100)}
	for _, c := range []struct {
		name string
		d    billing.Discount
		net  []int64
		off  int64
	}{
		// 199.8 is 200, 60; setting up and what is set right stay.
		{"a fifth", billing.Discount{Ppm: 200_000}, []int64{799, 240, 500, -100}, 260},
		{"a fifth of setting up as well", billing.Discount{Ppm: 200_000, Setup: true}, []int64{799, 240, 400, -100}, 360},
		{"all of it", billing.Discount{Ppm: billing.PpmWhole}, []int64{0, 0, 500, -100}, 1299},
		{"an eighth: 124.875 and 37.5, half away from zero", billing.Discount{Ppm: 125_000}, []int64{874, 262, 500, -100}, 163},
		// 5.00 over 9.99 and 3.00: 384.5 and 115.5; sums to the cent.
		{"five euros", billing.Discount{Off: eur(500)}, []int64{614, 185, 500, -100}, 500},
		{"one cent", billing.Discount{Off: eur(1)}, []int64{998, 300, 500, -100}, 1},
		{"more than it costs", billing.Discount{Off: eur(9999)}, []int64{0, 0, 500, -100}, 1299},
		{"more than it costs, with setting up", billing.Discount{Off: eur(9999), Setup: true}, []int64{0, 0, 0, -100}, 1799},
	} {
		c.d.Code = "WELCOME"
		lines, off, err := c.d.Apply(server)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		net := make([]int64, len(lines))
		for i, l := range lines {
			net[i] = l.Net.Minor
		}
		if !slices.Equal(net, c.net) || off != eur(c.off) {
			t.Errorf("%s: %v and %s off, want %v and %d", c.name, net, off, c.net, c.off)
		}
	}
	if server[0].Net != (billing.Money{}) || server[0].Description != "plan" {
		t.Error("the lines that were given were changed")
	}
}

func TestALineSaysWhatWasTakenOff(t *testing.T) {
	for _, c := range []struct {
		d    billing.Discount
		want string
	}{
		{billing.Discount{Code: "WELCOME", Ppm: 200_000}, "plan, 20 % off with WELCOME"},
		{billing.Discount{Code: "HALF", Ppm: 125_000}, "plan, 12.5 % off with HALF"},
		{billing.Discount{Code: "FIVE", Off: eur(500)}, "plan, €5.00 off with FIVE"},
	} {
		lines, _, err := c.d.Apply([]billing.Line{sold("plan", 1, 2000), sold("setup", 1, 100), sold("plan", 1, 0)})
		if err != nil || lines[0].Description != c.want || lines[1].Description != "setup" || lines[2].Description != "plan" {
			t.Errorf("%+v, %v", lines, err)
		}
	}
}

func TestPercentagesAreReadAsTheyAreWritten(t *testing.T) {
	for typed, want := range map[string]int64{"20": 200_000, "12.5": 125_000, " 0.0001 % ": 1, "100": billing.PpmWhole, "0": 0, "7.": 70_000} {
		if got, err := billing.ParsePercent(typed); err != nil || got != want {
			t.Errorf("%q: %d, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", "%", ".5", "-1", "100.0001", "1e1", "1.00001", "1000", "+1", "1,5"} {
		if got, err := billing.ParsePercent(typed); !errors.Is(err, billing.ErrPercent) {
			t.Errorf("%q is %d, %v", typed, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ppm := rapid.Int64Range(0, billing.PpmWhole).Draw(t, "ppm")
		if got, err := billing.ParsePercent(billing.Percent(ppm)); err != nil || got != ppm {
			t.Fatalf("%d is written %s and read %d, %v", ppm, billing.Percent(ppm), got, err)
		}
	})
}

func TestADiscountCountsForItsInvoices(t *testing.T) {
	for _, c := range []struct{ cycles, invoice int }{{0, 1}, {0, 1000}, {1, 1}, {3, 1}, {3, 3}} {
		if !(billing.Discount{Cycles: c.cycles}).Counts(c.invoice) {
			t.Errorf("invoice %d of the first %d", c.invoice, c.cycles)
		}
	}
	for _, c := range []struct{ cycles, invoice int }{{0, 0}, {1, 2}, {3, 4}, {3, 0}, {3, -1}} {
		if (billing.Discount{Cycles: c.cycles}).Counts(c.invoice) {
			t.Errorf("not invoice %d of the first %d", c.invoice, c.cycles)
		}
	}
}

func TestWhatIsNoDiscount(t *testing.T) {
	for _, d := range []billing.Discount{
		{}, {Ppm: -1}, {Ppm: billing.PpmWhole + 1}, {Ppm: 1, Off: eur(1)}, {Off: eur(-1)}, {Off: billing.Money{Minor: 1}}, {Ppm: 1, Off: eur(-1)}, {Ppm: 1, Cycles: -1},
	} {
		if _, _, err := d.Apply([]billing.Line{sold("plan", 1, 100)}); !errors.Is(err, billing.ErrDiscount) {
			t.Errorf("%+v: %v", d, err)
		}
		if _, err := d.Share([]billing.Money{eur(100)}); !errors.Is(err, billing.ErrDiscount) {
			t.Errorf("%+v, shared: %v", d, err)
		}
	}
	dollars := billing.Discount{Off: billing.Money{Minor: 100, Currency: "USD"}}
	if _, _, err := dollars.Apply([]billing.Line{sold("plan", 1, 100)}); !errors.Is(err, billing.ErrMixed) {
		t.Errorf("dollars off euros: %v", err)
	}
	if _, err := dollars.Share([]billing.Money{eur(100)}); !errors.Is(err, billing.ErrMixed) {
		t.Errorf("dollars shared by euros: %v", err)
	}
	lines, off, err := billing.Discount{Ppm: 1}.Apply(nil)
	if err != nil || len(lines) != 0 || !off.IsZero() {
		t.Errorf("of nothing: %v, %s, %v", lines, off, err)
	}
}

func TestAnAmountIsSharedByWhatThingsCost(t *testing.T) {
	shares, err := billing.Discount{Code: "TEN", Off: eur(1000)}.Share([]billing.Money{eur(1999), eur(0), eur(999)})
	if err != nil || shares[0].Off != eur(667) || shares[1] != nil || shares[2].Off != eur(333) || shares[2].Code != "TEN" {
		t.Errorf("%+v, %v", shares, err)
	}
	shares, err = billing.Discount{Ppm: 100_000}.Share([]billing.Money{eur(1999), eur(0)})
	if err != nil || shares[0].Ppm != 100_000 || shares[1] != nil {
		t.Errorf("%+v, %v", shares, err)
	}
	if shares, err = (billing.Discount{Ppm: 1}).Share([]billing.Money{eur(0)}); err != nil || shares[0] != nil {
		t.Errorf("%+v, %v", shares, err)
	}
}

func drawDiscount(t *rapid.T) billing.Discount {
	d := billing.Discount{Code: "X", Setup: rapid.Bool().Draw(t, "setup")}
	if rapid.Bool().Draw(t, "share") {
		d.Ppm = rapid.Int64Range(1, billing.PpmWhole).Draw(t, "ppm")
	} else {
		d.Off = eur(rapid.Int64Range(1, 60_000_000).Draw(t, "off"))
	}
	return d
}

func TestWhatIsTakenOffSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		for i := range lines {
			lines[i].Kind = rapid.SampledFrom([]string{"plan", "option", "setup", "adjustment"}).Draw(t, fmt.Sprint("kind", i))
		}
		d := drawDiscount(t)
		out, off, err := d.Apply(lines)
		if err != nil {
			t.Fatal(err)
		}
		var before, after, may int64
		for i, l := range lines {
			before, after = before+l.Net.Minor, after+out[i].Net.Minor
			if out[i].Net.Minor < 0 || out[i].Net.Minor > l.Net.Minor {
				t.Fatalf("%s became %s", l.Net, out[i].Net)
			}
			if l.Kind == "adjustment" || l.Kind == "setup" && !d.Setup {
				if out[i] != l {
					t.Fatalf("%+v was changed to %+v", l, out[i])
				}
				continue
			}
			may += l.Net.Minor
			if taken := l.Net.Minor - out[i].Net.Minor; d.Ppm > 0 {
				if wrong := taken*billing.PpmWhole - l.Net.Minor*d.Ppm; 2*max(wrong, -wrong) > billing.PpmWhole {
					t.Fatalf("%d off %s at %d ppm", taken, l.Net, d.Ppm)
				}
			}
		}
		if before-after != off.Minor {
			t.Fatalf("%d off, said to be %s", before-after, off)
		}
		if d.Ppm == 0 && off.Minor != min(d.Off.Minor, may) {
			t.Fatalf("%s off, want %s of %d", off, d.Off, may)
		}
		if _, _, _, _, err := billing.Totals(out); err != nil {
			t.Fatal(err)
		}
	})
}

// What is taken off things bought together is what is taken off each of them.
func TestSharesSumToTheDiscount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDiscount(t)
		costs := rapid.SliceOfN(rapid.Map(rapid.Int64Range(0, 1_000_000), eur), 1, 8).Draw(t, "costs")
		shares, err := d.Share(costs)
		if err != nil {
			t.Fatal(err)
		}
		var all, shared, taken int64
		for i, c := range costs {
			all += c.Minor
			if shares[i] == nil {
				continue
			}
			shared += shares[i].Off.Minor
			_, off, err := shares[i].Apply([]billing.Line{{Kind: "plan", Quantity: 1, Unit: c}})
			if err != nil {
				t.Fatal(err)
			}
			taken += off.Minor
		}
		if d.Ppm == 0 && all > 0 && (shared != d.Off.Minor || taken != min(d.Off.Minor, all)) {
			t.Fatalf("%d shared and %d taken of %s off %d", shared, taken, d.Off, all)
		}
	})
}
