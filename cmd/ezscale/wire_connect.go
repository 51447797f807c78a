package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/central/connect"
	centralweb "github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/payment"
)

// hookKnownFor is how long a node goes by the endpoint's secrets as it read them; one whose
// place another took is believed for much longer.
const hookKnownFor = 5 * time.Second

// connectHook is the platform's endpoint for news of connected accounts, with its secrets as
// they were read a moment ago. The configuration's win.
type connectHook struct {
	*connect.Hook
	fixed []string
	a     *app

	mu    sync.Mutex
	at    time.Time
	known []string
}

var _ centralweb.ConnectHook = (*connectHook)(nil)

// connectHook is the program's, made once; nil: the platform has no account at Stripe.
func (a *app) connectHook() *connectHook {
	c := a.cfg.Payments
	if a.hook != nil || c.Secret == "" {
		return a.hook
	}
	g, err := stripe.New(c.connected(&http.Client{Timeout: gatewayTimeout}, "", "platform", nil))
	if err != nil {
		return nil // the configuration was checked: it cannot be
	}
	h := &connectHook{a: a, Hook: &connect.Hook{Central: a.central, Gateway: g, Keys: a.ring, Address: a.hookAddress()}}
	if c.ConnectWebhook != "" {
		h.Fixed, h.fixed = true, strings.Split(c.ConnectWebhook, ",")
	}
	a.hook = h
	return h
}

// hookAddress is where the platform takes news of connected accounts.
func (a *app) hookAddress() string {
	base := a.siteURL(a.cfg.Hosts.Partner)
	if strings.HasPrefix(a.cfg.Payments.StripeAPI, "http://") { // a simulator, which knows no certificate of ours
		base = "http://" + net.JoinHostPort(a.cfg.Hosts.Partner, strconv.Itoa(portOf(a.cfg.HTTP.Addr)))
	}
	return base + "/hooks/connect"
}

// secrets are what notifications may be signed with; none: no account can be connected.
func (h *connectHook) secrets() []string {
	if h == nil {
		return nil
	}
	if h.Fixed {
		return h.fixed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.a.clock()
	if age := now.Sub(h.at); age >= 0 && age < hookKnownFor {
		return h.known
	}
	ctx, cancel := context.WithTimeout(h.a.loopCtx, hookKnownFor)
	defer cancel()
	all, err := h.Secrets(ctx)
	if err != nil {
		h.a.log.Error("the secret of the endpoint of connected accounts cannot be read", "error", err)
		return h.known
	}
	h.known, h.at = all, now
	return all
}

func (h *connectHook) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = time.Time{}
}

// Register registers the endpoint; see connect.Hook.
func (h *connectHook) Register(ctx context.Context, by audit.Origin) error {
	defer h.forget()
	return h.Hook.Register(ctx, by)
}

// Rotate registers another in its place; see connect.Hook.
func (h *connectHook) Rotate(ctx context.Context, by audit.Origin) error {
	defer h.forget()
	return h.Hook.Rotate(ctx, by)
}

// hearing is the platform's gateway, which believes the secrets there are now.
type hearing struct {
	*stripe.Gateway
	cfg  paymentsConfig
	hook *connectHook
}

// Heard verifies a notification about a connected account.
func (h hearing) Heard(header http.Header, body []byte, now time.Time) (string, error) {
	g, err := stripe.New(h.cfg.connected(&http.Client{Timeout: gatewayTimeout}, "", "platform", h.hook.secrets()))
	if err != nil {
		return "", fmt.Errorf("open the platform's gateway: %w", err)
	}
	return g.Heard(header, body, now)
}

// connects opens accounts of shops at the platform's; nil: it has no account at Stripe.
func (a *app) connects() *connect.Desk {
	hook := a.connectHook()
	if hook == nil {
		return nil
	}
	g, err := stripe.New(a.cfg.Payments.connected(&http.Client{Timeout: gatewayTimeout}, "", "platform", nil))
	if err != nil {
		return nil // the configuration was checked: it cannot be
	}
	d := &connect.Desk{Central: a.central, Gateway: hearing{g, a.cfg.Payments, hook}, Ready: func() bool { return len(hook.secrets()) > 0 }}
	d.Deliver = func(ctx context.Context, of tenancy.ID, header http.Header, body []byte) error {
		t, ok := a.resolver.ByID(of)
		if !ok {
			return fault.New(fault.NotFound, "hook.unknown", "Nothing is expected here.")
		}
		return a.payments().Receive(ctx, a.pool.Bind(t), stripe.Code, header, body)
	}
	return d
}

// connecting is a desk at which shops can connect accounts, and have the platform take
// their payments.
func (a *app) connecting(d *payment.Desk) *payment.Desk {
	d.Collector = collector{a.wholesaleDesk()}
	if c := a.connects(); c != nil {
		d.Connect = c
	}
	return d
}

// connectJobs look after the endpoint.
func (a *app) connectJobs(w *queue.Workers) {
	hook := a.connectHook()
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ connect.TidyJob) error {
		if hook == nil || hook.Fixed {
			return nil
		}
		return hook.Tidy(ctx)
	})
}

// connectTicks enqueue them.
func connectTicks(s *queue.Scheduler) error {
	return errors.Join(queue.Schedule(s, "connect endpoint", 5*time.Minute, connect.TidyJob{}))
}
