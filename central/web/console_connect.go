package web

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/connect"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Where Stripe tells the platform of the accounts resellers connected.

const connectPath = "/wholesale/connect"

// ConnectHook is the endpoint for news of connected accounts; *connect.Hook is one.
type ConnectHook interface {
	State(ctx context.Context) (connect.Endpoint, error)
	Register(ctx context.Context, by audit.Origin) error
	Rotate(ctx context.Context, by audit.Origin) error
	Tidy(ctx context.Context) error
}

func (s *Console) connectRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: connectPath + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.WholesaleRead, s.showConnect),
		at("POST", "", identity.WholesaleWrite, s.connectChange("Stripe tells us of connected accounts now.", ConnectHook.Register)),
		at("POST", "/secret", identity.WholesaleWrite, s.connectChange("There is a new secret. The old one is believed for ten minutes longer.", ConnectHook.Rotate)),
		at("POST", "/look", identity.WholesaleWrite, s.connectChange("Looked.", func(h ConnectHook, ctx context.Context, _ audit.Origin) error { return h.Tidy(ctx) })),
	}
}

type connectView struct {
	Tabs   []map[string]any
	Is     connect.Endpoint
	Has    bool // the platform has an account at Stripe
	Fixed  bool
	May    bool
	Status map[string]any
}

func (s *Console) showConnect(c *fiber.Ctx) error {
	v := connectView{Tabs: wholesaleTabs(connectPath), Has: s.Connect != nil, Fixed: s.ConnectFixed, May: mayBill(c)}
	if v.Has {
		var err error
		if v.Is, err = s.Connect.State(c.UserContext()); err != nil {
			return err
		}
	}
	switch {
	case v.Fixed:
		v.Status = office.Status("good", "Set by the configuration")
	case v.Is.Ref == "":
		v.Status = office.Status("idle", "Not registered")
	case v.Is.Problem != "":
		v.Status = office.Status("bad", "Needs you")
	default:
		v.Status = office.Status("good", "Registered")
	}
	return surface.Render(c, "console", "console/wholesale_connect", "Connect", v)
}

// connectChange makes the handler of a change of the endpoint.
func (s *Console) connectChange(done string, do func(ConnectHook, context.Context, audit.Origin) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if s.Connect == nil {
			return fault.New(fault.NotFound, "connect.no_account", "The platform has no account at Stripe.")
		}
		if err := do(s.Connect, c.UserContext(), office.By(c)); err != nil {
			return office.Refused(c, err, connectPath)
		}
		return surface.Redirect(c, connectPath, done)
	}
}
