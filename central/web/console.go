// Package web is what the platform's own hosts serve: the staff console and the
// partner centre. It sees the central plane only.
package web

import (
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
)

// Console serves EZSCALE's staff. Its fields are what its pages need; cmd fills them.
type Console struct {
	Central *tenancy.Central
	SignIn  signin.Parts
	Office  *Office          // resellers, staff and the platform
	Domains *domain.Overview // all tenants' domains

	Wholesale *wholesale.Desk   // what the platform charges its resellers
	Running   wholesale.Running // what ran, as the resellers' own schemas tell it, for the audit

	Connect      ConnectHook // where the gateway tells of connected accounts; nil: the platform has none
	ConnectFixed bool        // its secret is in the configuration
}

// Routes is every route of the console, on one screen.
func (s *Console) Routes() []surface.Route {
	var all []surface.Route
	// One line a part: its routes stand in the file named for it.
	all = append(all, s.authRoutes()...)
	all = append(all, s.officeRoutes()...)
	all = append(all, s.domainRoutes()...)
	all = append(all, s.platformRoutes()...)

	all = append(all, s.wholesaleRoutes()...)
	all = append(all, s.connectRoutes()...)
	return all
}
