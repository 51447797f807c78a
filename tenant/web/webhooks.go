package web

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// hookPages are the pages about webhook endpoints: a customer's and the reseller's are
// the same but for whose they are.
type hookPages struct {
	site   *Site
	prefix string
	param  string // the route's name for an endpoint
	layout string
	lead   string
	needs  identity.Permission
	owner  func(c *fiber.Ctx) (webhook.Owner, error)
}

func (s *Site) customerHooks() *hookPages {
	return &hookPages{
		site: s, prefix: "/client/webhooks", param: "endpoint", layout: "client", needs: identity.SignedIn,
		lead: "We tell your programs what happens to your services and invoices.",
		owner: func(c *fiber.Ctx) (webhook.Owner, error) {
			var who account.Acting
			err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
				who, err = acting(c, tx)
				return err
			})
			if err == nil && !who.May(account.Manage) {
				err = fault.New(fault.Forbidden, "webhook.not_allowed", "Only an owner or administrator of the account looks after webhooks.")
			}
			return webhook.Owner{AccountID: who.AccountID}, err
		},
	}
}

func (s *Site) shopHooks() *hookPages {
	return &hookPages{
		site: s, prefix: "/manage/webhooks", param: "hook", layout: "manage", needs: identity.HooksManage,
		lead:  "Your own programs hear of what happens in the shop, whoever the customer is.",
		owner: func(*fiber.Ctx) (webhook.Owner, error) { return webhook.Owner{}, nil },
	}
}

func (h *hookPages) routes() []surface.Route {
	at := func(method, path string, f fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: h.prefix + path, Needs: h.needs, Handler: f}
	}
	get, post := fiber.MethodGet, fiber.MethodPost
	return []surface.Route{
		at(get, "", h.list),
		at(post, "", h.add),
		at(get, "/:"+h.param, h.show),
		at(post, "/:"+h.param+"/pause", h.change(webhook.Pause, "Paused. Nothing is sent until you resume it.")),
		at(post, "/:"+h.param+"/resume", h.change(webhook.Resume, "Messages are sent again.")),
		at(post, "/:"+h.param+"/remove", h.remove),
		at(post, "/:"+h.param+"/rotate", h.rotate),
		at(post, "/:"+h.param+"/test", h.test),
		at(post, "/:"+h.param+"/deliveries/:delivery/again", h.again),
	}
}

type hooksView struct {
	Prefix, Lead string
	Endpoints    []hookView
	Types        []webhook.Described
	Chosen       map[webhook.Type]bool
	URL          string
	Secret       string // shown this once
	SecretOf     string
}

type hookView struct {
	webhook.Endpoint
	Status map[string]any
}

func hookStatus(e webhook.Endpoint) map[string]any {
	switch e.State {
	case webhook.Active:
		return office.Status("good", "Active")
	case webhook.Failing:
		return office.Status("bad", "Failing")
	}
	return office.Status("idle", "Paused")
}

func (h *hookPages) view(c *fiber.Ctx) (v hooksView, owner webhook.Owner, err error) {
	v = hooksView{Prefix: h.prefix, Lead: h.lead, Chosen: map[webhook.Type]bool{}}
	if v.Types, err = webhook.Catalogue(); err != nil {
		return v, owner, err
	}
	if owner, err = h.owner(c); err != nil {
		return v, owner, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := webhook.List(c.UserContext(), tx, owner)
		for _, e := range all {
			v.Endpoints = append(v.Endpoints, hookView{e, hookStatus(e)})
		}
		return err
	})
	return v, owner, err
}

func (h *hookPages) list(c *fiber.Ctx) error {
	v, _, err := h.view(c)
	if err != nil {
		return err
	}
	return surface.Render(c, h.layout, "client/webhooks", "Webhooks", v)
}

// add answers with the page itself: the secret is shown once and is in no address.
func (h *hookPages) add(c *fiber.Ctx) error {
	v, owner, err := h.view(c)
	if err != nil {
		return err
	}
	v.URL = c.FormValue("url")
	var events []webhook.Type
	for _, t := range v.Types {
		if c.FormValue("event_"+string(t.Type)) != "" {
			v.Chosen[t.Type] = true
			events = append(events, t.Type)
		}
	}
	e, secret, err := h.site.Webhooks.Add(c.UserContext(), surface.DB(c), owner, v.URL, events, office.By(c))
	if err != nil {
		return surface.FormError(c, err, h.layout, "client/webhooks", "Webhooks", v)
	}
	return h.withSecret(c, secret, e.URL)
}

func (h *hookPages) withSecret(c *fiber.Ctx, secret, of string) error {
	v, _, err := h.view(c)
	if err != nil {
		return err
	}
	v.Secret, v.SecretOf = secret, of
	c.Set(fiber.HeaderCacheControl, "no-store")
	return surface.Render(c, h.layout, "client/webhooks", "Webhooks", v)
}

var errEndpoint = fault.New(fault.NotFound, "webhook.not_found", "There is no such endpoint.")

func (h *hookPages) asked(c *fiber.Ctx) (webhook.Owner, uuid.UUID, error) {
	id, err := uuid.Parse(c.Params(h.param))
	if err != nil {
		return webhook.Owner{}, uuid.Nil, errEndpoint
	}
	owner, err := h.owner(c)
	return owner, id, err
}

type deliveriesView struct {
	Prefix     string
	Endpoint   hookView
	Deliveries []deliveryView
}

type deliveryView struct {
	webhook.Delivery
	Status map[string]any
}

func (h *hookPages) show(c *fiber.Ctx) error {
	owner, id, err := h.asked(c)
	if err != nil {
		return err
	}
	v := deliveriesView{Prefix: h.prefix}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := webhook.List(c.UserContext(), tx, owner)
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.ID == id {
				v.Endpoint = hookView{e, hookStatus(e)}
			}
		}
		found, err := webhook.Deliveries(c.UserContext(), tx, owner, id)
		for _, d := range found {
			status := office.Status("busy", "Waiting")
			switch d.State {
			case "delivered":
				status = office.Status("good", "Delivered")
			case "failed":
				status = office.Status("bad", "Given up")
			}
			v.Deliveries = append(v.Deliveries, deliveryView{d, status})
		}
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, h.layout, "client/webhook", "Webhook", v)
}

type hookChange func(ctx context.Context, db *tenancy.DB, o webhook.Owner, id uuid.UUID, by audit.Origin) error

func (h *hookPages) change(do hookChange, done string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		owner, id, err := h.asked(c)
		if err != nil {
			return err
		}
		if err := do(c.UserContext(), surface.DB(c), owner, id, office.By(c)); err != nil {
			return err
		}
		return surface.Redirect(c, h.prefix+"/"+id.String(), done)
	}
}

func (h *hookPages) remove(c *fiber.Ctx) error {
	owner, id, err := h.asked(c)
	if err != nil {
		return err
	}
	if err := webhook.Remove(c.UserContext(), surface.DB(c), owner, id, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, h.prefix, "The endpoint is gone.")
}

func (h *hookPages) rotate(c *fiber.Ctx) error {
	owner, id, err := h.asked(c)
	if err != nil {
		return err
	}
	secret, err := h.site.Webhooks.Rotate(c.UserContext(), surface.DB(c), owner, id, office.By(c))
	if err != nil {
		return err
	}
	return h.withSecret(c, secret, "")
}

func (h *hookPages) test(c *fiber.Ctx) error {
	owner, id, err := h.asked(c)
	if err != nil {
		return err
	}
	if err := webhook.SendTest(c.UserContext(), surface.DB(c), owner, id); err != nil {
		return err
	}
	return surface.Redirect(c, h.prefix+"/"+id.String(), "A test message is on its way.")
}

func (h *hookPages) again(c *fiber.Ctx) error {
	owner, id, err := h.asked(c)
	if err != nil {
		return err
	}
	delivery, err := uuid.Parse(c.Params("delivery"))
	if err != nil {
		return fault.New(fault.NotFound, "webhook.delivery_not_found", "There is no such message.")
	}
	if err := webhook.Again(c.UserContext(), surface.DB(c), owner, id, delivery); err != nil {
		return err
	}
	return surface.Redirect(c, h.prefix+"/"+id.String(), "The message is sent again.")
}
