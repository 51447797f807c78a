package demo

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/referral"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// The plan of the demo that can be tried, and for how long.
const (
	triedPlan = "gale"
	triedDays = 7
)

// hourlyProduct has a plan by the hour and by the month, of which a month of hours costs at most as
// much as it says.
const hourlyProduct = "desktops"

// sellHours puts a plan by the hour and by the month on the shelf of a product, which the team
// delivers.
func sellHours(ctx context.Context, db *tenancy.DB) error {
	var product uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM products WHERE slug = ?", hourlyProduct).Scan(ctx, &product)
	})
	if err != nil {
		return fmt.Errorf("find %s: %w", hourlyProduct, err)
	}
	_, err = catalog.SavePlan(ctx, db, nil, catalog.PlanForm{
		ProductID: product, Slug: "flex", Name: "Flex", Summary: "For the weeks you need one.", Facts: "CPU: 2 vCPU\nMemory: 8 GB\nDisk: 60 GB", Position: "2", Visibility: "public", ByHand: true,
		Prices: map[string]map[catalog.Cycle]string{"USD": {catalog.Monthly: "22.00", catalog.Annual: "220.00"}, "EUR": {catalog.Monthly: "20.00", catalog.Annual: "200.00"}},
		Hour:   map[string]string{"USD": "0.06", "EUR": "0.055"}, HourCap: map[string]string{"USD": "26.00", "EUR": "24.00"}, Downgrade: string(billing.DowngradeCredit),
	}, by)
	if err != nil {
		return fmt.Errorf("sell by the hour: %w", err)
	}
	return nil
}

// addOffers is what one shop has begun lately: a plan to try, one by the hour, an add-on, credit for
// customers who bring others, and something for those who find it too expensive. It comes
// after the history, whose customers knew none of it.
func (h *historian) addOffers(ctx context.Context) error {
	db, _, err := h.shop(meteredShop)
	if err != nil {
		return err
	}
	var product uuid.UUID
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		plan, err := catalog.ByPath(ctx, tx, catalog.Path{Product: meteredProduct, Plan: triedPlan})
		if err != nil {
			return err
		}
		product = plan.ProductID
		if _, err := tx.NewRaw("UPDATE plans SET trial_days = ?, trial_card = true, changed_at = ? WHERE id = ?", triedDays, tx.Now(), plan.ID).Exec(ctx); err != nil {
			return err
		}
		return tx.TouchSite(ctx, "")
	})
	if err != nil {
		return fmt.Errorf("let %s be tried: %w", triedPlan, err)
	}
	err = catalog.SaveOption(ctx, db, nil, catalog.OptionForm{
		ProductID: product, Code: "managed", Label: "Managed updates", Help: "We install updates and restart when it is quiet.", Kind: catalog.Addon,
		Minimum: "0", Maximum: "1", Step: "1", Currency: "USD", Choices: "Managed updates | 0 | 9.00, 8.50 EUR", Position: "2", Visibility: "public",
	}, by)
	if err != nil {
		return fmt.Errorf("sell an add-on: %w", err)
	}
	if err := sellHours(ctx, db); err != nil {
		return err
	}
	err = referral.Save(ctx, db, referral.Program{On: true, WaitDays: 30, PerYear: 20, Terms: map[string]billing.ReferralTerms{
		"USD": {Referrer: 1000, Newcomer: 500, Least: 1000}, "EUR": {Referrer: 900, Newcomer: 450, Least: 900},
	}}, by)
	if err != nil {
		return fmt.Errorf("give credit for bringing others: %w", err)
	}
	return renewal.SaveStayPolicy(ctx, db, renewal.StayPolicy{Months: 12, Offers: map[string]billing.StayOffer{
		"too_expensive": {Kind: billing.StayDiscount, Ppm: 250_000, Cycles: 3},
	}}, by)
}
