package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
)

const (
	connectPath   = gatewaysPath + "/stripe/connect"
	connectedPath = gatewaysPath + "/stripe/connected"
)

// beginConnect handles POST /manage/settings/payments/stripe/connect: the account is opened,
// and the next page leads to Stripe's form.
func (s *Site) beginConnect(c *fiber.Ctx) error {
	if err := s.Payments.BeginConnect(c.UserContext(), surface.DB(c), office.By(c)); err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Redirect(c, connectPath, "")
}

// goConnect handles GET /manage/settings/payments/stripe/connect: the way to Stripe's form.
// Each link is of use once, so the page makes a new one whenever it is shown; a used one
// leads back here.
func (s *Site) goConnect(c *fiber.Ctx) error {
	url, err := s.Payments.ConnectLink(c.UserContext(), surface.DB(c), canonical(c, connectedPath), canonical(c, connectPath))
	if err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Render(c, "manage", "manage/connect", "Connect Stripe", goView{URL: url, Where: "Stripe", Back: gatewaysPath})
}

// connected handles GET /manage/settings/payments/stripe/connected: where Stripe's form
// leads back to, finished or not.
func (s *Site) connected(c *fiber.Ctx) error {
	k, err := s.Payments.RefreshConnect(c.UserContext(), surface.DB(c))
	switch {
	case err != nil:
		return office.Refused(c, err, gatewaysPath)
	case k.Account == "":
		return surface.RedirectFlash(c, gatewaysPath, surface.Flash{Kind: "info", Text: "No account is connected."})
	case !k.Charges:
		return surface.RedirectFlash(c, gatewaysPath, surface.Flash{Kind: "warning", Text: "Stripe does not let this account take payments yet. Go on at Stripe to finish it."})
	}
	return surface.Redirect(c, gatewaysPath, "The account is connected and may take payments.")
}

// disconnect handles POST /manage/settings/payments/stripe/disconnect.
func (s *Site) disconnect(c *fiber.Ctx) error {
	if err := s.Payments.Disconnect(c.UserContext(), surface.DB(c), office.By(c)); err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Redirect(c, gatewaysPath, "Payments are taken with the connected account no more.")
}
