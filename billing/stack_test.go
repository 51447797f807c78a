package billing_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// A fifth and five euros off fifty: the fifth first, whichever was entered first.
func ExampleStack() {
	five := &billing.Discount{Code: "FIVE", Off: billing.Money{Minor: 500, Currency: "EUR"}}
	fifth := &billing.Discount{Code: "TWENTY", Ppm: 200_000, Cycles: 2}
	lines := []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 5000, Currency: "EUR"}}}
	for _, d := range []*billing.Discount{billing.Stack(five, fifth), billing.Stack(fifth, five)} {
		out, off, _ := d.Apply(lines)
		fmt.Println(d.Codes(), out[0].Net, off, d.At(3).Codes())
	}
	// Output:
	// TWENTY and FIVE 35.00 EUR 15.00 EUR FIVE
	// TWENTY and FIVE 35.00 EUR 15.00 EUR FIVE
}

// However many are taken off of whatever: no line comes to less than nothing, what is
// said to be taken off is what is missing, each takes what it says it took, and the order
// in which they were entered does not matter.
func TestStackedDiscounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*billing.Discount
		for i := range rapid.IntRange(1, 4).Draw(t, "codes") {
			d := &billing.Discount{Code: fmt.Sprintf("C%d", i), Cycles: rapid.IntRange(0, 4).Draw(t, "cycles"), Setup: rapid.Bool().Draw(t, "setup")}
			if rapid.Bool().Draw(t, "share") {
				d.Ppm = rapid.Int64Range(1, billing.PpmWhole).Draw(t, "ppm")
			} else {
				d.Off = billing.Money{Minor: rapid.Int64Range(1, 9000).Draw(t, "off"), Currency: "EUR"}
			}
			all = append(all, d)
		}
		var lines []billing.Line
		sum := int64(0)
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			minor := rapid.Int64Range(0, 5000).Draw(t, "minor")
			sum += minor
			lines = append(lines, billing.Line{Kind: rapid.SampledFrom([]string{"plan", "option", "setup"}).Draw(t, "kind"), Quantity: 1, Unit: billing.Money{Minor: minor, Currency: "EUR"}})
		}
		put := func(order []*billing.Discount) (d *billing.Discount) {
			for _, one := range order {
				d = billing.Stack(d, one)
			}
			return d
		}
		d, other := put(all), put(rapid.Permutation(all).Draw(t, "order"))
		if !d.Same(other) || d.Codes() != other.Codes() {
			t.Fatalf("%+v and %+v", d, other)
		}
		out, offs, err := d.ApplyEach(lines)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := other.Apply(lines)
		if err != nil {
			t.Fatal(err)
		}
		left, taken := int64(0), int64(0)
		for i, l := range out {
			if l.Net.Minor < 0 || l.Net != again[i].Net {
				t.Fatalf("line %d comes to %s and %s", i, l.Net, again[i].Net)
			}
			left += l.Net.Minor
		}
		for _, off := range offs {
			if off.Minor < 0 {
				t.Fatalf("%s was taken", off)
			}
			taken += off.Minor
		}
		if left+taken != sum || len(offs) != len(d.ByCode()) {
			t.Fatalf("%d less %d leave %d", sum, taken, left)
		}
		// What is left after some invoices is what would have been taken off them.
		n, k := rapid.IntRange(0, 5).Draw(t, "over"), rapid.IntRange(1, 5).Draw(t, "then")
		counts := func(d *billing.Discount) string {
			if d == nil {
				return ""
			}
			return d.Codes()
		}
		if counts(d.At(n+k)) != counts(d.After(n).At(k)) {
			t.Fatalf("invoice %d of %+v", n+k, d)
		}
		if left := d.Left(k); left > 0 && (!d.At(k).Same(d.At(k+left-1)) || d.At(k).Same(d.At(k+left))) {
			t.Fatalf("from %d on %d are the same of %+v", k, left, d)
		}
	})
}
