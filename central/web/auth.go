package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// authRoutes are the pages by which staff come in.
func (s *Console) authRoutes() []surface.Route {
	staff := &signin.Pages{
		Parts: s.SignIn, World: identity.Staff, Layout: "console", Home: "/",
		Plane: func(*fiber.Ctx) identity.Plane { return identity.InCentral(s.Central) },
	}
	return staff.Routes()
}
