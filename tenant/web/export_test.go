package web

import (
	"slices"

	"github.com/ezscale/ezscale/branding/surface"
)

// ShopRoutes are the routes of the shop and the client area.
func ShopRoutes(s *Site) []surface.Route {
	return slices.Concat(s.shopRoutes(), s.cartRoutes(), s.clientRoutes())
}
