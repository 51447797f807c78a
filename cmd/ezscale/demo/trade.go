package demo

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/settings"
)

// platformName is what staff call the demo's platform.
const platformName = "VirtFusion Europe"

// regions are where the demo's platform has machines: the groups of the simulator.
var regions = []struct {
	code, name string
	group      int
}{{"ams", "Amsterdam", 1}, {"fra", "Frankfurt", 2}, {"nyc", "New York", 3}}

// platform connects the simulated VirtFusion and says what each SKU is there, once.
func (s *seeder) platform(ctx context.Context) error {
	id, err := s.connected(ctx)
	if err != nil {
		return err
	}
	known, err := s.Platforms.OffersOf(ctx, id)
	if err != nil || len(known) > 0 {
		return err
	}
	for _, x := range servers() {
		for _, r := range regions {
			_, err := s.Platforms.Map(ctx, id, platform.MapForm{SKU: x.sku, Region: r.code, RegionName: r.name, Parameters: map[string]string{
				"packageId": strconv.Itoa(x.Package), "hypervisorGroupId": strconv.Itoa(r.group),
			}}, by)
			if err != nil {
				return fmt.Errorf("%s in %s: %w", x.sku, r.code, err)
			}
		}
	}
	return nil
}

func (s *seeder) connected(ctx context.Context) (uuid.UUID, error) {
	all, err := s.Platforms.List(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	for _, p := range all {
		if p.Name == platformName {
			return p.ID, nil
		}
	}
	return s.Platforms.Connect(ctx, platform.Form{Name: platformName, Driver: "virtfusion", BaseURL: s.VirtFusionURL, Token: PlatformToken}, by)
}

// seller is what stands on a business's invoices.
type seller struct {
	company, line1, postcode, city, country, taxID string
	iban, bic                                      string
}

// trade lets a business issue invoices and take money, once.
func (s *seeder) trade(ctx context.Context, db *tenancy.DB, b business) error {
	terms := settings.DefaultBilling()
	x := b.seller
	terms.Company, terms.Line1, terms.Postcode, terms.City, terms.Country, terms.TaxID = x.company, x.line1, x.postcode, x.city, x.country, x.taxID
	terms.Email = b.brand.Texts.SupportEmail
	if err := settings.SaveBilling(ctx, db, terms, by); err != nil {
		return fmt.Errorf("billing: %w", err)
	}
	var known []payment.Configured
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		known, err = payment.Configurations(ctx, tx)
		return err
	})
	if err != nil || len(known) > 0 || s.Payments == nil {
		return err
	}
	return s.Payments.SaveGateway(ctx, db, payment.Change{Code: "transfer", On: true, Public: map[string]string{
		"holder": x.company, "iban": x.iban, "bic": x.bic, "bank": "Demo Bank",
	}}, by)
}
