package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// pauseRoutes are those with which a subscription is paused and continued: the
// customer's, or the team's on their behalf.
func (s *Site) pauseRoutes(root string, needs identity.Permission) []surface.Route {
	return []surface.Route{
		{Method: "POST", Path: root + "/:subscription/pause", Needs: needs, Handler: s.pauseSubscription},
		{Method: "POST", Path: root + "/:subscription/continue", Needs: needs, Handler: s.continueSubscription},
	}
}

// pauses says who asks, and refuses who may not: whoever may cancel may pause.
func (s *Site) pauses(c *fiber.Ctx) (w changer, err error) {
	if strings.HasPrefix(c.Path(), "/manage/") {
		w.id, err = subscriptionID(c)
		w.at = "/manage/subscriptions/" + w.id.String()
		return w, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, _, err := s.theirSubscription(c, tx, account.CancelContract)
		w = changer{id: x.ID, account: x.AccountID, at: "/client/subscriptions/" + x.ID.String()}
		return err
	})
	return w, err
}

// pauseSubscription handles POST …/:subscription/pause.
func (s *Site) pauseSubscription(c *fiber.Ctx) error {
	w, err := s.pauses(c)
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(table.Text(c.FormValue("days"), 10))
	if err != nil {
		days = 0 // refused with what may be given
	}
	r := renewal.PauseRequest{SubscriptionID: w.id, AccountID: w.account, Days: days}
	if w.account == uuid.Nil {
		r.Reason = table.Text(c.FormValue("reason"), 1000)
	}
	x, err := s.renewalDesk().Pause(c.UserContext(), surface.DB(c), r, office.By(c))
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at, x.Label+" is paused until "+x.Pause.Until.In(x.Zone()).Format("2 January 2006")+".")
}

// continueSubscription handles POST …/:subscription/continue.
func (s *Site) continueSubscription(c *fiber.Ctx) error {
	w, err := s.pauses(c)
	if err != nil {
		return err
	}
	x, err := s.renewalDesk().Continue(c.UserContext(), surface.DB(c), w.id, w.account, office.By(c))
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at, x.Label+" continues. It is paid until "+x.Period.To.In(x.Zone()).Format("2 January 2006")+".")
}
