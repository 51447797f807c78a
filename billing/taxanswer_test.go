package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func answer(parts ...billing.TaxPart) *billing.TaxAnswer {
	return &billing.TaxAnswer{Service: "Stripe Tax", Reference: "taxcalc_1", Collects: true, Parts: parts, At: on("2026-11-20")}
}

// Worked examples of what a tax service's answer decides, and of what it does not.
func TestAnswersOfATaxService(t *testing.T) {
	bc := answer(billing.TaxPart{Name: "GST", Place: "Canada", Ppm: 50_000}, billing.TaxPart{Name: "PST", Place: "British Columbia", Ppm: 70_000})
	ny := answer(billing.TaxPart{Name: "Sales tax", Place: "New York", Ppm: 40_000}, billing.TaxPart{Name: "Sales tax", Place: "New York City", Ppm: 45_000},
		billing.TaxPart{Name: "Sales tax", Place: "Metropolitan Commuter Transportation District", Ppm: 3_750})
	home := answer(billing.TaxPart{Name: "VAT", Place: "Germany", Ppm: 190_000})
	home.Country = "DE"
	french := answer(billing.TaxPart{Name: "VAT", Place: "France", Ppm: 200_000})
	none := answer()
	unregistered := answer()
	unregistered.Collects = false
	own := []billing.TaxRate{{Country: "US", Region: "TX", Name: "Sales tax", Class: billing.Standard, Ppm: 62_500, From: on("2020-01-01"), Source: "law"}}
	us, ca, de := billing.TaxParty{Country: "US"}, billing.TaxParty{Country: "CA"}, billing.TaxParty{Country: "DE"}
	for _, x := range []struct {
		what, name, note, country string
		ppm                       int64
		c                         billing.TaxCase
	}{
		{"two taxes of one province", "GST + PST", "GST Canada 5 % and PST British Columbia 7 %.", "CA", 120_000, billing.TaxCase{Seller: ca, Country: "CA", Region: "BC", Answer: bc}},
		{"three of one city", "Sales tax", "Sales tax New York 4 %, Sales tax New York City 4.5 % and Sales tax Metropolitan Commuter Transportation District 0.375 %.", "US", 88_750,
			billing.TaxCase{Seller: us, Country: "US", Region: "NY", Postcode: "10001-1234", Answer: ny}},
		{"a seller abroad who collects there", "GST + PST", "GST Canada 5 % and PST British Columbia 7 %.", "CA", 120_000, billing.TaxCase{Seller: de, Country: "CA", Region: "BC", Answer: bc}},
		{"a small seller pays at home", "VAT", "", "DE", 190_000, billing.TaxCase{Seller: de, Country: "FR", Answer: home}},
		{"nothing is charged there", "Tax", "", "US", 0, billing.TaxCase{Seller: us, Country: "US", Region: "OR", Postcode: "97201", Answer: none}},
		{"not registered there: the shop's own table", "Sales tax", "", "US", 62_500, billing.TaxCase{Seller: us, Country: "US", Region: "TX", Postcode: "77002", Own: own, Answer: unregistered}},
		{"a reverse charge is not the service's", "VAT", "", "FR", 0, billing.TaxCase{Seller: de, Country: "FR", TaxID: "FR12345678901", Answer: french}},
		{"nor is an exemption", "VAT", "", "CA", 0, billing.TaxCase{Seller: ca, Country: "CA", Region: "BC", Exemption: "7", Answer: bc}},
		{"a business abroad accounts for it itself", "VAT", "", "DE", 0, billing.TaxCase{Seller: de, Country: "CA", Region: "BC", TaxID: "123456789RT0001", Answer: bc}},
		{"without a postcode nothing was asked", "Sales tax", "", "US", 62_500, billing.TaxCase{Seller: us, Country: "US", Region: "TX", Own: own, Answer: ny}},
	} {
		x.c.At = on("2026-11-22")
		r := billing.TaxFor(x.c)
		if r.Name != x.name || r.Ppm != x.ppm || r.Country != x.country || x.note != "" && r.Note != x.note {
			t.Errorf("%s: %+v", x.what, r)
		}
	}
	if held := (billing.TaxCase{Seller: de, Country: "FR", Answer: french, At: on("2026-11-22")}).HomeRate(); held != 190_000 {
		t.Errorf("prices hold %d", held)
	}
}

// How old an answer may be.
func TestHowLongAnAnswerCounts(t *testing.T) {
	now := on("2026-11-22")
	day := 24 * time.Hour
	for _, x := range []struct {
		p    billing.AnswerPolicy
		age  time.Duration
		want billing.AnswerState
	}{
		{billing.AnswerPolicy{Days: 7}, 6 * day, billing.AnswerFresh},
		{billing.AnswerPolicy{Days: 7}, 7 * day, billing.AnswerStale},
		{billing.AnswerPolicy{Days: 7, Last: true}, 7 * day, billing.AnswerOld},
		{billing.AnswerPolicy{Days: 7, Last: true}, 90 * day, billing.AnswerStale},
	} {
		if got := x.p.State(now.Add(-x.age), now); got != x.want {
			t.Errorf("%+v after %v: %q", x.p, x.age, got)
		}
	}
	if got := (billing.AnswerPolicy{Days: 7}).State(time.Time{}, now); got != billing.AnswerMissing {
		t.Errorf("none: %q", got)
	}
}

// Whatever an answer says, the rule's rate is its parts', an answer that decides nothing
// leaves the rule as it is without one, and equal questions come of equal places.
func TestAnswersDecideOrAreNotThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		country := rapid.SampledFrom([]string{"", "US", "CA", "DE", "FR", "GB", "CH", "MC", "ES"})
		c := billing.TaxCase{
			Seller: billing.TaxParty{Country: country.Draw(t, "seller"), OSS: rapid.Bool().Draw(t, "oss"), SmallBusiness: rapid.Float64().Draw(t, "small") < 0.1}, Country: country.Draw(t, "buyer"),
			Region: rapid.SampledFrom([]string{"", "NY", "BC"}).Draw(t, "region"), Postcode: rapid.SampledFrom([]string{"", "10001", "1000", "35001"}).Draw(t, "postcode"),
			TaxID: rapid.SampledFrom([]string{"", "FR12345678901", "GB123"}).Draw(t, "id"), Class: rapid.SampledFrom([]string{"", "zero", "software"}).Draw(t, "class"), At: on("2026-11-22"),
		}
		a := answer()
		a.Collects = rapid.Bool().Draw(t, "collects")
		for _, ppm := range rapid.SliceOfN(rapid.Int64Range(0, 100_000), 0, 4).Draw(t, "parts") {
			a.Parts = append(a.Parts, billing.TaxPart{Name: "T", Place: "P", Ppm: ppm})
		}
		without := billing.TaxFor(c)
		c.Answer = a
		with := billing.TaxFor(c)
		_, asks := c.Question()
		switch {
		case !asks || !a.Collects:
			if with != without {
				t.Fatalf("an answer that decides nothing: %+v and %+v", without, with)
			}
		case a.Whole() > 0:
			if with.Ppm != a.Whole() || with.Category != "S" {
				t.Fatalf("%+v of %+v", with, a)
			}
		case with.Ppm != 0 && with != without:
			t.Fatalf("nothing is charged, and yet %+v", with)
		}
	})
}
