package main

import (
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestWhatAResellerCanBuy goes from the price book and a connected platform to what the
// catalog is told and what the checkout holds.
func TestWhatAResellerCanBuy(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	by := audit.Origin{Actor: audit.System("test")}
	key, err := secrets.NewKey("k")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	book := &wholesale.Desk{Central: w.Central}
	if err := book.SaveSKU(ctx, wholesale.SKU{Code: "vps-1", Type: "vps", Name: "VPS 1", Kind: wholesale.Service, Unit: "month", State: "active",
		Spec: []byte(`{"cpu": 1, "memory_mb": 2048, "disk_gb": 40}`)}, by); err != nil {
		t.Fatal(err)
	}
	if err := book.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-1", Currency: "EUR", Price: "2.405", From: tenancytest.Start.AddDate(0, -1, 0)}, by); err != nil {
		t.Fatal(err)
	}
	l := lab.New(lab.Options{Clock: w.Clock.Now})
	l.AddToken("good")
	s := httptest.NewServer(l.Handler())
	defer s.Close()
	form := platform.Form{Name: "Lab", Driver: "virtfusion", BaseURL: s.URL, Token: "good"}
	if _, err := newPlatforms(w.Central, ring, egressConfig{}).Connect(ctx, form, by); !fault.Is(err, "platform.invalid") {
		t.Errorf("our own machine, without leave: %v", err)
	}
	all := newPlatforms(w.Central, ring, egressConfig{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	id, err := all.Connect(ctx, form, by)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Map(ctx, id, platform.MapForm{SKU: "vps-1", Region: "ams", RegionName: "Amsterdam",
		Parameters: map[string]string{"packageId": "1", "hypervisorGroupId": "1"}}, by); err != nil {
		t.Fatal(err)
	}
	offers, err := wholesaleOffers{all}.Offers(ctx, w.A.ID)
	if err != nil || len(offers) != 1 {
		t.Fatalf("%+v, %v", offers, err)
	}
	o := offers[0]
	if o.SKU != "vps-1" || o.Cost.Minor != "240.5" || o.Cost.Currency != "EUR" || !o.Available || len(o.Regions) != 1 || len(o.Regions[0].Images) < 5 || o.Spec.MemoryMB != 2048 {
		t.Errorf("%+v", o)
	}
	sup := supply{platforms: all, sandbox: func(tenancy.ID) bool { return false }}
	got, err := sup.Hold(ctx, w.A.ID, checkout.HoldRequest{Key: "o", SKU: "vps-1", Region: "ams", Until: w.Clock.Now().Add(time.Hour)})
	if err != nil || got.PlatformID != id || got.Region != "ams" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := sup.Use(ctx, w.A.ID, "o"); err != nil {
		t.Error(err)
	}
	if err := sup.Free(ctx, w.B.ID, "o"); err != nil {
		t.Error(err)
	}
}
