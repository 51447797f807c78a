package wholesale_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var anna = audit.Origin{Actor: audit.Actor{Kind: "staff", ID: "s1", Name: "Anna"}, IP: "192.0.2.1", RequestID: "r1"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// on is midnight of a day, UTC.
func on(t testing.TB, day string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02", day)
	must(t, err)
	return at
}

// book is a desk with two SKUs, their prices and two tiers from the beginning of 2026 on.
func book(t testing.TB, w *tenancytest.World) *wholesale.Desk {
	t.Helper()
	d, ctx := &wholesale.Desk{Central: w.Central}, t.Context()
	for i, s := range []wholesale.SKU{
		{Code: "vps-s", Type: "vps", Name: "VPS S", Kind: wholesale.Service, State: "active"},
		{Code: "vps-m", Type: "vps", Name: "VPS M", Kind: wholesale.Service, State: "active"},
		{Code: "traffic", Type: "traffic", Name: "Traffic", Kind: wholesale.Metered, Unit: "GB", State: "active"},
	} {
		s.Position = i
		must(t, d.SaveSKU(ctx, s, anna))
	}
	from := on(t, "2026-01-01")
	for _, currency := range []string{"EUR", "USD"} {
		must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "start", Currency: currency, Name: "Start", Fee: "0", Percent: "0", From: from}, anna))
		must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: currency, Name: "Pro", Fee: "49.00", Percent: "12.5", From: from}, anna))
		must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: currency, Price: "4.20", From: from}, anna))
		must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-m", Currency: currency, Price: "8.40", From: from}, anna))
		must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "traffic", Currency: currency, Price: "0.0042", From: from}, anna))
	}
	return d
}

// sellerIn is the platform in a country.
func sellerIn(country string) document.Party {
	return document.Party{Company: "EZSCALE GmbH", Line1: "Way 1", City: "Town", Country: country}
}

func outbox(t testing.TB) *mail.Outbox {
	t.Helper()
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	return mail.NewOutbox(ring)
}
