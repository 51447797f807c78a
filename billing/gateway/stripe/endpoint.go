package stripe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing/gateway"
)

// heard are the events that are asked for of connected accounts.
var heard = append(slices.Clone(listened), "account.updated", "account.application.deauthorized") //nolint:gochecknoglobals // a constant list

// Endpoints are the webhook endpoints of the account, at most the hundred newest; Stripe allows
// sixteen.
func (g *Gateway) Endpoints(ctx context.Context) ([]gateway.Endpoint, error) {
	p := &stripego.WebhookEndpointListParams{}
	p.Context, p.Limit, p.Single = ctx, stripego.Int64(100), true
	var all []gateway.Endpoint
	found := g.api.WebhookEndpoints.List(p)
	for found.Next() {
		all = append(all, endpointOf(found.WebhookEndpoint()))
	}
	if err := found.Err(); err != nil {
		return nil, translate("list the webhooks", err)
	}
	return all, nil
}

// NewEndpoint registers a Connect endpoint of the version this client speaks.
func (g *Gateway) NewEndpoint(ctx context.Context, key, url string) (gateway.Endpoint, string, error) {
	p := &stripego.WebhookEndpointParams{
		URL: stripego.String(url), Connect: stripego.Bool(true), APIVersion: stripego.String(stripego.APIVersion),
		Description: stripego.String("EZSCALE, connected accounts"), EnabledEvents: stripego.StringSlice(heard),
	}
	p.Context = ctx
	p.SetIdempotencyKey(key)
	p.AddMetadata(metaKey, key)
	e, err := g.api.WebhookEndpoints.New(p)
	if err != nil {
		return gateway.Endpoint{}, "", translate("set up the webhook of connected accounts", err)
	}
	if e.Secret == "" {
		return gateway.Endpoint{}, "", fmt.Errorf("stripe: the webhook %s came without its secret", e.ID)
	}
	return endpointOf(e), e.Secret, nil
}

// DropEndpoint removes a webhook endpoint.
func (g *Gateway) DropEndpoint(ctx context.Context, ref string) error {
	p := &stripego.WebhookEndpointParams{}
	p.Context = ctx
	if _, err := g.api.WebhookEndpoints.Del(ref, p); err != nil {
		if err = translate("remove a webhook", err); !errors.Is(err, gateway.ErrNotFound) {
			return err
		}
	}
	return nil
}

func endpointOf(e *stripego.WebhookEndpoint) gateway.Endpoint {
	out := gateway.Endpoint{Ref: e.ID, URL: e.URL, Key: e.Metadata[metaKey], On: e.Status == "enabled"}
	if !slices.Contains(e.EnabledEvents, "*") {
		for _, kind := range heard {
			if !slices.Contains(e.EnabledEvents, kind) {
				out.Missing = append(out.Missing, kind)
			}
		}
	}
	return out
}
