package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func (s *Site) hookRoutes() []surface.Route {
	return []surface.Route{{Method: fiber.MethodPost, Path: "/hooks/:gateway", Needs: identity.Public, Handler: s.hook}}
}

// hook handles POST /hooks/:gateway: what a gateway tells a shop. The signature over the
// bytes as they came is the only proof.
func (s *Site) hook(c *fiber.Ctx) error {
	if err := s.Payments.Receive(c.UserContext(), surface.DB(c), c.Params("gateway"), surface.Header(c), c.Body()); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}
