package main

import (
	"net/http"
	"time"

	"github.com/ezscale/ezscale/tenancy/egress"
)

// outward calls addresses that people typed in: webhooks, platforms, alert channels.
func (a *app) outward(timeout time.Duration) *http.Client {
	return egress.Client(egress.Options{Allow: a.cfg.Egress.Allow, Timeout: timeout})
}
