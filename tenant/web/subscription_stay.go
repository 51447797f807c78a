package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// Who cancels is shown once what they may have instead, after their reason and before the
// end, with two buttons of the same weight.

func (s *Site) stayRoutes() []surface.Route {
	return []surface.Route{{Method: fiber.MethodPost, Path: "/client/subscriptions/:subscription/stay", Needs: identity.SignedIn, Handler: s.stay}}
}

// stayView is the page between the reason and the end.
type stayView struct {
	X     subscriptionRow
	At    string
	Offer renewal.Staying
	Share string // "30 %"
	Ask   renewal.CancelRequest
	When  string
}

// offered shows the offer for the reason somebody gave, unless they have declined it or
// there is none; false: nothing was answered, and the cancellation goes on.
func (s *Site) offered(c *fiber.Ctx, v subscriptionView, r renewal.CancelRequest) (bool, error) {
	if c.FormValue("declined") != "" {
		return false, nil
	}
	o, ok, err := s.renewalDesk().Offer(c.UserContext(), surface.DB(c), v.X.ID, v.X.AccountID, r.Reason)
	if err != nil || !ok {
		return false, err
	}
	page := stayView{X: v.X, At: v.At, Offer: o, Share: billing.Percent(o.Ppm), Ask: r, When: table.Text(c.FormValue("when"), 10)}
	return true, surface.Render(c, "client", "client/subscription_stay", "Before you cancel "+v.X.Label, page)
}

// stay handles POST /client/subscriptions/:subscription/stay: the offer is taken.
func (s *Site) stay(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.CancelContract)
	if err != nil {
		return err
	}
	out, err := s.renewalDesk().Stay(c.UserContext(), surface.DB(c), v.X.ID, v.X.AccountID, table.Text(c.FormValue("reason"), 40), office.By(c))
	if err != nil {
		if fault.From(err).Kind == fault.NotFound && !fault.Is(err, "subscription.not_found") {
			err = fault.New(fault.Conflict, "stay.none", fault.From(err).Message)
		}
		return office.Refused(c, err, v.At)
	}
	x := out.Subscription
	switch {
	case x.State == renewal.Paused:
		return surface.Redirect(c, v.At, x.Label+" is paused until "+x.Pause.Until.In(x.Zone()).Format("2 January 2006")+".")
	case x.StayLeft() == 0:
		return surface.Redirect(c, v.At+"/change/"+out.Quote.String(), "Please look at the change and agree to it.")
	}
	return surface.Redirect(c, v.At, "Good that you stay: "+x.StayOff()+".")
}
