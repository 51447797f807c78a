package web_test

import (
	"testing"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestCouponsInABrowser makes a code and buys with it: in the cart, where a wrong one is
// refused first, and on to the checkout.
func TestCouponsInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	e.onSale(t, w.A)
	home := "http://" + w.A.PrimaryHost + ":" + serve(t, e.front)
	drive := browser.Open(t)
	team := tab(t, drive, home, e.as(t, w.A, identity.ResellerOwner))
	team.Go(home + "/manage/coupons")
	team.Follow(".page-actions a")
	team.Fill("code", "fair-50")
	team.Fill("percent", "half")
	team.Allow("422")
	team.ClickText("button", "Save")
	team.Wait("#percent-error", "such as 20 or 12.5")
	team.Check("a refused form")
	team.Screenshot("coupons/new")
	team.Fill("percent", "50")
	team.ClickText("button", "Save")
	team.Wait("main", "FAIR-50 can be used at the checkout")
	team.CheckViews("coupons/code")

	shop := tab(t, drive, home, e.as(t, w.A, identity.CustomerMember))
	shop.Go(home + "/products/running/small")
	shop.ClickText("button", "Add to cart and look further")
	shop.Wait("h1", "Your cart")
	shop.Click(".summary .disclosure > summary")
	shop.Fill("coupon", "FAIR")
	shop.Allow("422")
	shop.ClickText("button", "Apply")
	shop.Wait("#f-coupon-error", "This code is not valid.")
	shop.Check("a code that is refused")
	shop.Fill("coupon", "fair-50")
	shop.ClickText("button", "Apply")
	shop.Wait("main", "FAIR-50 counts.")
	shop.Wait(".summary", "€5.00")
	shop.CheckViews("coupons/cart")
	shop.Go(home + "/checkout")
	shop.Wait(".summary", "With FAIR-50")
	shop.CheckViews("coupons/checkout")
}
