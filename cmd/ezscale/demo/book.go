package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// supply is one virtual server as EZSCALE delivers it to resellers.
type supply struct {
	sku, name string
	spec      provisioners.Spec
	// Package is its number at the demo's VirtFusion.
	Package int
	month   map[string]string // wholesale, by currency
}

// servers are what the demo's platform delivers.
func servers() []supply {
	return []supply{
		{"vps-1", "VPS 1", provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40, TrafficGB: 2000, IPv4: 1}, 1, map[string]string{"EUR": "2.40", "USD": "2.60", "GBP": "2.10"}},
		{"vps-2", "VPS 2", provisioners.Spec{CPU: 2, MemoryMB: 4096, DiskGB: 80, TrafficGB: 4000, IPv4: 1}, 2, map[string]string{"EUR": "4.10", "USD": "4.50", "GBP": "3.60"}},
		{"vps-4", "VPS 4", provisioners.Spec{CPU: 4, MemoryMB: 8192, DiskGB: 160, TrafficGB: 6000, IPv4: 1}, 3, map[string]string{"EUR": "7.90", "USD": "8.60", "GBP": "6.90"}},
		{"vps-8", "VPS 8", provisioners.Spec{CPU: 8, MemoryMB: 16384, DiskGB: 320, TrafficGB: 8000, IPv4: 1}, 4, map[string]string{"EUR": "15.60", "USD": "17.00", "GBP": "13.60"}},
	}
}

// tiers are how resellers are billed; the house pays cost and no fee.
var tiers = []wholesale.NewTier{
	{Tier: "house", Name: "House", Fee: "0", Percent: "0", Domains: "500"},
	{Tier: "starter", Name: "Starter", Fee: "19.00", Percent: "0", Domains: "5", Team: "5", Services: "250"},
	{Tier: "growth", Name: "Growth", Fee: "49.00", Percent: "8", Domains: "50", Team: "25", Services: "5000"},
}

// book writes the price list, from the first day of the demo's history, once.
func (s *seeder) book(ctx context.Context, from time.Time) error {
	seller, err := s.Wholesale.Seller(ctx)
	if err != nil {
		return err
	}
	if seller.Line1 == "" {
		seller.Company, seller.Line1, seller.Postcode, seller.City, seller.DueDays = "EZSCALE GmbH", "Speicherstrasse 4", "20457", "Hamburg", 30
		seller.Footer = "Demo Bank, IBAN DE02120300000000202051. This company is made up."
		if err := s.Wholesale.SetSeller(ctx, seller, by); err != nil {
			return fmt.Errorf("seller: %w", err)
		}
	}
	for position, x := range servers() {
		spec, err := json.Marshal(x.spec)
		if err != nil {
			return err
		}
		err = s.Wholesale.SaveSKU(ctx, wholesale.SKU{
			Code: x.sku, Type: "vps", Name: x.name, Summary: fmt.Sprintf("%d vCPU, %d GB memory, %d GB disk", x.spec.CPU, x.spec.MemoryMB/1024, x.spec.DiskGB),
			Kind: wholesale.Service, Unit: "month", Spec: spec, State: "active", Position: position,
		}, by)
		if err != nil {
			return err
		}
		known, err := s.Wholesale.Book(ctx, x.sku)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			continue
		}
		for currency, price := range x.month {
			if err := s.Wholesale.SetPrice(ctx, wholesale.NewPrice{SKU: x.sku, Currency: currency, Price: price, From: from}, by); err != nil {
				return fmt.Errorf("price of %s: %w", x.sku, err)
			}
		}
	}
	known, err := s.Wholesale.Tiers(ctx)
	if err != nil || len(known) > 0 {
		return err
	}
	for _, t := range tiers {
		for _, currency := range []string{"EUR", "USD", "GBP"} {
			t.Currency, t.From = currency, from
			if err := s.Wholesale.SetTier(ctx, t, by); err != nil {
				return fmt.Errorf("tier %s: %w", t.Tier, err)
			}
		}
	}
	return nil
}

// terms puts a business on its tier, once.
func (s *seeder) terms(ctx context.Context, id tenancy.ID, b business, from time.Time) error {
	known, err := s.Wholesale.Terms(ctx, id)
	if err != nil || len(known) > 0 {
		return err
	}
	if err := s.Wholesale.SetTerms(ctx, id, wholesale.NewTerms{Tier: b.tier, Currency: b.currency, From: from}, by); err != nil || b.slug != collectedFor || s.Wholesale.Taker == nil {
		return err
	}
	return s.Wholesale.SetCollectionTerms(ctx, id, wholesale.NewCollectionTerms{Allowed: true, Percent: "2.9", Fixed: "0.25", HoldDays: "14"}, by)
}

// collectedFor is the business that may have the platform take its cards.
const collectedFor = "pixelforge"
