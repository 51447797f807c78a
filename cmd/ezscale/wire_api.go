package main

import (
	"time"

	"github.com/ezscale/ezscale/tenant/api"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// webhooks tells other people's programs what happened.
func (a *app) webhooks() *webhook.Desk {
	return &webhook.Desk{Sealer: a.ring, Client: a.outward(20 * time.Second), Plain: len(a.cfg.Egress.Allow) > 0}
}

// customerAPI is what customers' programs call: what the pages of a site do, for programs.
func (a *app) customerAPI(site *tenantweb.Site) *api.API {
	return &api.API{Limits: newCallLimits(a.redis), Slices: api.Slices{
		Offers: site.Selling.Offers, Hosting: site.Services.Desk, Checkout: site.Selling.Checkout,
		Renewal: a.renewalDesk(), Payments: site.Payments, Metering: a.meteringDesk(),
		PDF: tenantweb.Press{Brands: site.Brands, Media: site.Media}.PDF,
	}}
}
