package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// addingPage is what can be added to something that has no service's page.
type addingPage struct {
	X              subscriptionRow
	At             string
	Addons, Extras []renewal.Addon
}

// mayAdd reports whether something may be added to a subscription, and not at its service's
// page.
func (v subscriptionView) mayAdd(tx *tenancy.Tx) bool {
	return v.MayChange && v.X.ServiceID == uuid.Nil && v.X.Buyable(tx.Now()) == nil
}

// addToSubscription handles GET /client/subscriptions/:subscription/add: add-ons of what is
// delivered by nobody, and so has no other page.
func (s *Site) addToSubscription(c *fiber.Ctx) error {
	var v addingPage
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, _, err := s.theirSubscription(c, tx, account.Buy)
		if err != nil {
			return err
		}
		v.X, v.At = subscriptionRows([]renewal.Subscription{x})[0], "/client/subscriptions/"+x.ID.String()
		if err := x.Buyable(tx.Now()); err != nil {
			return err
		}
		all, err := renewal.Addons(c.UserContext(), tx, x)
		if v.Addons, v.Extras = splitAddons(all); x.Changeable(tx.Now()) != nil {
			v.Addons = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/subscription_add", "Add to "+v.X.Label, v)
}
