package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
)

// trialRoutes are those with which a trial is ended before its time: the customer's, or
// the team's on their behalf.
func (s *Site) trialRoutes(root string, needs identity.Permission) []surface.Route {
	return []surface.Route{{Method: "POST", Path: root + "/:subscription/pay-now", Needs: needs, Handler: s.endTrial}}
}

// endTrial handles POST …/:subscription/pay-now.
func (s *Site) endTrial(c *fiber.Ctx) (err error) {
	var w changer
	if strings.HasPrefix(c.Path(), "/manage/") {
		w.id, err = subscriptionID(c)
		w.at = "/manage/subscriptions/" + w.id.String()
	} else {
		err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
			x, _, err := s.theirSubscription(c, tx, account.Buy)
			w = changer{id: x.ID, account: x.AccountID, at: "/client/subscriptions/" + x.ID.String()}
			return err
		})
	}
	if err != nil {
		return err
	}
	x, err := s.renewalDesk().PayNow(c.UserContext(), surface.DB(c), w.id, w.account, office.By(c))
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	words := "The trial is over, and the first invoice is made. Please pay it below."
	if x.HasMethod {
		words = "The trial is over, and the first invoice is being paid with what is saved."
	}
	return surface.Redirect(c, w.at, words)
}
