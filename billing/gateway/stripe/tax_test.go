package stripe_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

// TestTaxOfPlaces: each tax of a place is a part of its own, what is taxed in part counts so
// far, and where the account is not registered it collects nothing.
func TestTaxOfPlaces(t *testing.T) {
	w := newWorld(t)
	w.lab.SetTax(secret, true, "US-TX", "US-NY", "US-OR", "CA", "FR")
	now := time.Now()
	for _, x := range []struct {
		q    billing.TaxQuestion
		ppm  int64
		note string // names of the parts
		not  bool   // collects nothing
	}{
		{billing.TaxQuestion{Country: "US", Region: "NY", Postcode: "10001"}, 88_750, "Sales tax New York, Sales tax New York City, Sales tax Metropolitan Commuter Transportation District", false},
		{billing.TaxQuestion{Country: "US", Region: "TX", Postcode: "77002"}, 82_500, "Sales tax Texas, Sales tax Houston, Sales tax Houston MTA", false},
		{billing.TaxQuestion{Country: "US", Region: "TX", Postcode: "79901", Class: "service"}, 50_000, "Sales tax Texas", false},
		{billing.TaxQuestion{Country: "US", Region: "OR", Postcode: "97201"}, 0, "", false},
		{billing.TaxQuestion{Country: "US", Region: "WA", Postcode: "98101"}, 0, "", true},
		{billing.TaxQuestion{Country: "CA", Region: "BC"}, 120_000, "GST Canada, PST British Columbia", false},
		{billing.TaxQuestion{Country: "CA", Region: "QC"}, 149_750, "GST Canada, QST Quebec", false},
		{billing.TaxQuestion{Country: "CA", Region: "ON"}, 130_000, "HST Ontario", false},
		{billing.TaxQuestion{Country: "FR"}, 200_000, "VAT FR", false},
		{billing.TaxQuestion{Country: "DE"}, 0, "", true},
		{billing.TaxQuestion{Country: "BR"}, 0, "", true},
	} {
		a, err := w.gw.TaxRates(t.Context(), x.q, "", "EUR", now)
		if err != nil {
			t.Errorf("%+v: %v", x.q, err)
			continue
		}
		var parts []string
		for _, p := range a.Parts {
			parts = append(parts, p.Name+" "+p.Place)
		}
		if a.Whole() != x.ppm || strings.Join(parts, ", ") != x.note || a.Collects == x.not || !strings.HasPrefix(a.Reference, "taxcalc_") || a.Service != stripe.TaxName || (len(a.Parts) == 0) != (a.Why != "") {
			t.Errorf("%+v: %+v", x.q, a)
		}
	}
	if _, err := w.gw.TaxRates(t.Context(), billing.TaxQuestion{Country: "US", Region: "TX"}, "", "USD", now); !errors.Is(err, billing.ErrTaxPlace) {
		t.Errorf("a state alone: %v", err)
	}
	w.lab.SetFaults(stripelab.Faults{Down: true})
	if _, err := w.gw.TaxRates(t.Context(), billing.TaxQuestion{Country: "FR"}, "", "EUR", now); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
}

// TestCheckingTaxSettings: what is missing is said in words.
func TestCheckingTaxSettings(t *testing.T) {
	w := newWorld(t)
	places, notes, err := w.gw.CheckTax(t.Context())
	if err != nil || len(notes) > 0 || !slices.Contains(places, "US-TX") || !slices.Contains(places, "FR") {
		t.Errorf("%v %v %v", places, notes, err)
	}
	w.lab.SetTax(secret, false)
	places, notes, err = w.gw.CheckTax(t.Context())
	if err != nil || len(places) > 0 || len(notes) != 2 || !strings.Contains(notes[0], "head_office") {
		t.Errorf("%v %v %v", places, notes, err)
	}
	if _, err := w.gw.TaxRates(t.Context(), billing.TaxQuestion{Country: "FR"}, "", "EUR", time.Now()); err == nil || errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("incomplete settings: %v", err)
	}
}
