package stripelab

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/ezscale/ezscale/billing/gateway/labhooks"
)

type endpoint struct {
	id, url, secret string
	connect         bool // it is told of connected accounts, and not of the keys' own
	events          []string
	created         int64
	meta            map[string]string
	off             bool
}

func (e *endpoint) wants(kind string) bool {
	return !e.off && (slices.Contains(e.events, "*") || slices.Contains(e.events, kind))
}

func (e *endpoint) json() object {
	return object{"id": e.id, "object": "webhook_endpoint", "url": e.url, "enabled_events": e.events, "status": map[bool]string{false: "enabled", true: "disabled"}[e.off], "created": e.created, "livemode": false, "api_version": stripego.APIVersion, "metadata": e.meta}
}

type event struct {
	id, kind string
	body     []byte
}

func (c *call) newEndpoint() answer {
	e := &endpoint{id: newID("we"), url: c.form.Get("url"), secret: newID("whsec"), created: c.lab.now(), meta: c.metadata()}
	e.events, e.connect = c.list("enabled_events"), c.form.Get("connect") == "true"
	if !strings.HasPrefix(e.url, "http://") && !strings.HasPrefix(e.url, "https://") {
		return invalid("url", "Not a valid URL")
	}
	if len(e.events) == 0 {
		return invalid("enabled_events", "Missing required param: enabled_events.")
	}
	if v := c.form.Get("api_version"); v != "" && v != stripego.APIVersion {
		return invalid("api_version", "The simulator speaks "+stripego.APIVersion+" only.")
	}
	c.a.endpoints = append(c.a.endpoints, e)
	o := e.json()
	o["secret"] = e.secret // shown once
	return ok(o)
}

func (c *call) listEndpoints() answer {
	var all []any
	for _, e := range c.a.endpoints {
		all = append(all, e.json())
	}
	return list("/v1/webhook_endpoints", all)
}

func (c *call) dropEndpoint() answer {
	n := len(c.a.endpoints)
	c.a.endpoints = slices.DeleteFunc(c.a.endpoints, func(e *endpoint) bool { return e.id == c.id })
	if len(c.a.endpoints) == n {
		return missing("webhook endpoint", c.id)
	}
	return ok(object{"id": c.id, "object": "webhook_endpoint", "deleted": true})
}

func (c *call) listEvents() answer {
	var all []any
	for _, e := range slices.Backward(c.a.events) {
		if len(all) < 100 {
			all = append(all, json.RawMessage(e.body))
		}
	}
	return list("/v1/events", all)
}

// tell makes an event and queues it for every endpoint that wants it.
func (c *call) tell(kind string, o object) { c.tellWas(kind, o, nil) }

// tellWas says too what changed was before.
func (c *call) tellWas(kind string, o, was object) {
	e := &event{id: newID("evt"), kind: kind}
	told := c.a.listeners(kind)
	said := object{
		"id": e.id, "object": "event", "type": kind, "api_version": stripego.APIVersion, "created": c.lab.now(), "livemode": false,
		"pending_webhooks": len(told), "request": object{"id": nil, "idempotency_key": nil}, "data": object{"object": o},
	}
	if was != nil {
		said["data"] = object{"object": o, "previous_attributes": was}
	}
	if c.a.owner != nil {
		said["account"] = c.a.id
	}
	var err error
	if e.body, err = json.Marshal(said); err != nil {
		panic(err) // what the simulator makes is JSON
	}
	c.a.events = append(c.a.events, e)
	for _, to := range told {
		c.lab.hooks.Add(labhooks.Hook{URL: to.url, Body: e.body, Sign: func(h http.Header, now time.Time) {
			h.Set("Content-Type", "application/json; charset=utf-8")
			h.Set("User-Agent", "Stripe/1.0 (simulated)")
			h.Set("Stripe-Signature", Sign(e.body, to.secret, now))
		}})
	}
}

// Run delivers webhooks until ctx ends. What is not taken is tried again.
func (l *Lab) Run(ctx context.Context) error {
	go l.settle(ctx)
	return l.hooks.Run(ctx)
}

// settle looks at debits until ctx ends, so that they end though nobody asks.
func (l *Lab) settle(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.mu.Lock()
			l.settleDebits()
			l.mu.Unlock()
		}
	}
}

// Deliver delivers the webhooks that are due and returns how many were taken.
func (l *Lab) Deliver(ctx context.Context) (taken int) {
	l.mu.Lock()
	l.settleDebits()
	l.mu.Unlock()
	return l.hooks.Deliver(ctx)
}

// Sign is the header that proves where a body comes from.
func Sign(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}
