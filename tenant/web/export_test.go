package web

import "github.com/ezscale/ezscale/branding/surface"

// ShopRoutes are the routes of the shop and the client area.
func ShopRoutes(s *Site) []surface.Route { return append(s.shopRoutes(), s.clientRoutes()...) }
