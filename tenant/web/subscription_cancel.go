package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// askToCancel handles GET /client/subscriptions/:subscription/cancel.
func (s *Site) askToCancel(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.CancelContract)
	if err != nil {
		return err
	}
	if !v.X.Cancellable() || !v.X.CancelAt.IsZero() {
		return surface.Redirect(c, v.At, "")
	}
	return surface.Render(c, "client", "client/subscription_cancel", "Cancel "+v.X.Label, v)
}

func cancelForm(c *fiber.Ctx, account uuid.UUID) (renewal.CancelRequest, error) {
	id, err := subscriptionID(c)
	return renewal.CancelRequest{SubscriptionID: id, AccountID: account, Now: c.FormValue("when") == "now", Reason: c.FormValue("reason"), Note: c.FormValue("note")}, err
}

// cancelSubscription handles POST /client/subscriptions/:subscription/cancel.
func (s *Site) cancelSubscription(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.CancelContract)
	if err != nil {
		return err
	}
	r, err := cancelForm(c, v.X.AccountID)
	if err != nil {
		return err
	}
	if shown, err := s.offered(c, v, r); shown || err != nil {
		return err
	}
	x, err := s.renewalDesk().Cancel(c.UserContext(), surface.DB(c), r, office.By(c))
	if err != nil {
		if fault.From(err).Kind == fault.Conflict {
			return office.Refused(c, err, v.At)
		}
		v.Note, v.Picked, v.When = r.Note, r.Reason, c.FormValue("when")
		return surface.FormError(c, err, "client", "client/subscription_cancel", "Cancel "+v.X.Label, v)
	}
	return surface.Redirect(c, v.At, cancelledWords(x))
}

func cancelledWords(x renewal.Subscription) string {
	if x.State == renewal.Ended {
		return x.Label + " has ended."
	}
	return x.Label + " is cancelled and runs until " + x.CancelAt.In(x.Zone()).Format("2 January 2006") + "."
}

// resumeSubscription handles POST /client/subscriptions/:subscription/resume.
func (s *Site) resumeSubscription(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.CancelContract)
	if err != nil {
		return err
	}
	if _, err := s.renewalDesk().Resume(c.UserContext(), surface.DB(c), v.X.ID, v.X.AccountID, office.By(c)); err != nil {
		return office.Refused(c, err, v.At)
	}
	return surface.Redirect(c, v.At, "The cancellation is taken back. "+v.X.Label+" renews as before.")
}
