package stripelab

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

type endpoint struct {
	id, url, secret string
	events          []string
	created         int64
}

func (e *endpoint) wants(kind string) bool {
	return slices.Contains(e.events, "*") || slices.Contains(e.events, kind)
}

func (e *endpoint) json() object {
	return object{"id": e.id, "object": "webhook_endpoint", "url": e.url, "enabled_events": e.events, "status": "enabled", "created": e.created, "livemode": false, "api_version": stripego.APIVersion, "metadata": object{}}
}

type event struct {
	id, kind string
	body     []byte
}

// delivery is an event on its way to an endpoint.
type delivery struct {
	to    *endpoint
	what  *event
	tries int
	at    time.Time
}

// maxTries is when an event is given up.
const maxTries = 12

func (c *call) newEndpoint() answer {
	e := &endpoint{id: newID("we"), url: c.form.Get("url"), secret: newID("whsec"), created: c.lab.now()}
	for k, v := range c.form {
		if strings.HasPrefix(k, "enabled_events[") {
			e.events = append(e.events, v...)
		}
	}
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
func (c *call) tell(kind string, o object) {
	e := &event{id: newID("evt"), kind: kind}
	var err error
	e.body, err = json.Marshal(object{
		"id": e.id, "object": "event", "type": kind, "api_version": stripego.APIVersion, "created": c.lab.now(), "livemode": false,
		"pending_webhooks": len(c.a.endpoints), "request": object{"id": nil, "idempotency_key": nil}, "data": object{"object": o},
	})
	if err != nil {
		panic(err) // what the simulator makes is JSON
	}
	c.a.events = append(c.a.events, e)
	for _, to := range c.a.endpoints {
		if to.wants(kind) {
			c.lab.waiting = append(c.lab.waiting, &delivery{to: to, what: e, at: c.lab.opts.Clock()})
		}
	}
}

func (l *Lab) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run delivers webhooks until ctx ends. What is not taken is tried again.
func (l *Lab) Run(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		l.Deliver(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		case <-tick.C:
		}
	}
}

// Deliver delivers the webhooks that are due and returns how many were taken.
func (l *Lab) Deliver(ctx context.Context) (taken int) {
	l.hooks.Lock()
	defer l.hooks.Unlock()
	l.mu.Lock()
	faults, now := l.faults, l.opts.Clock()
	var due, later []*delivery
	for _, d := range l.waiting {
		if d.at.After(now) {
			later = append(later, d)
		} else {
			due = append(due, d)
		}
	}
	l.waiting = later
	l.mu.Unlock()
	if faults.LoseHooks {
		return 0
	}
	if faults.TurnHooks {
		slices.Reverse(due)
	}
	for _, d := range due {
		if faults.DoubleHooks {
			l.send(ctx, d)
		}
		if l.send(ctx, d) {
			taken++
			continue
		}
		if d.tries++; d.tries < maxTries {
			d.at = l.opts.Clock().Add(l.opts.Retry * time.Duration(d.tries*d.tries))
			l.mu.Lock()
			l.waiting = append(l.waiting, d)
			l.mu.Unlock()
		}
	}
	return taken
}

// send makes one delivery, signed now.
func (l *Lab) send(ctx context.Context, d *delivery) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.to.url, bytes.NewReader(d.what.body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Stripe/1.0 (simulated)")
	req.Header.Set("Stripe-Signature", Sign(d.what.body, d.to.secret, l.opts.Clock()))
	res, err := l.opts.Client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode >= 200 && res.StatusCode < 300
}

// Sign is the header that proves where a body comes from.
func Sign(body []byte, secret string, at time.Time) string {
	return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at}).Header
}
