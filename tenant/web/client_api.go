package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/api"
)

func (s *Site) apiRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/client/api" + path, Needs: identity.SignedIn, Handler: h}
	}
	routes := []surface.Route{
		at(fiber.MethodGet, "", s.showTokens),
		at(fiber.MethodPost, "/tokens", s.makeToken),
		at(fiber.MethodPost, "/tokens/:token/revoke", s.revokeToken),
	}
	routes = append(routes, s.customerHooks().routes()...)
	return append(routes, s.shopHooks().routes()...)
}

// tokensView is the page of an account's API tokens.
type tokensView struct {
	Account   string
	Tokens    []tokenView
	Scopes    []scopeView
	Name      string
	Expires   string
	Lifetimes []lifetime
	Secret    string // shown this once
	MadeName  string
	Base      string // of the API
}

type tokenView struct {
	access.Token
	Works bool
}

type scopeView struct {
	Value, Label string
	Chosen, May  bool
}

type lifetime struct{ Value, Label string }

// lifetimes are the choices; days, or never.
var lifetimes = []lifetime{{"30", "30 days"}, {"90", "90 days"}, {"365", "A year"}, {"0", "Until it is revoked"}}

func (s *Site) tokensView(c *fiber.Ctx) (v tokensView, who account.Acting, err error) {
	v = tokensView{Base: surface.BaseURL(c) + api.Prefix, Lifetimes: lifetimes, Expires: "90"}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if who, err = acting(c, tx); err != nil {
			return err
		}
		all, err := access.List(c.UserContext(), tx, who.AccountID)
		for _, t := range all {
			v.Tokens = append(v.Tokens, tokenView{t, t.Works(tx.Now())})
		}
		return err
	})
	v.Account = who.Name
	for _, sc := range access.Scopes() {
		v.Scopes = append(v.Scopes, scopeView{Value: string(sc.Scope), Label: sc.Label, May: access.Grants(who.Role, sc.Scope)})
	}
	return v, who, err
}

// showTokens handles GET /client/api.
func (s *Site) showTokens(c *fiber.Ctx) error {
	v, _, err := s.tokensView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/api", "API", v)
}

// makeToken handles POST /client/api/tokens. The answer is the page itself: the secret is
// shown once and is in no address.
func (s *Site) makeToken(c *fiber.Ctx) error {
	v, who, err := s.tokensView(c)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	n := access.New{AccountID: who.AccountID, PersonID: p.PersonID, Name: c.FormValue("name")}
	for i, sc := range v.Scopes {
		if c.FormValue("scope_"+sc.Value) != "" {
			v.Scopes[i].Chosen = true
			n.Scopes = append(n.Scopes, access.Scope(sc.Value))
		}
	}
	v.Name, v.Expires = n.Name, c.FormValue("expires")
	days, err := strconv.Atoi(v.Expires)
	if err != nil || days < 0 || days > 3650 {
		days = -1 // refused below, at the field
	}
	n.Lifetime = time.Duration(days) * 24 * time.Hour
	token, secret, err := access.Create(c.UserContext(), surface.DB(c), n, office.By(c))
	if err != nil {
		return surface.FormError(c, err, "client", "client/api", "API", v)
	}
	if v, _, err = s.tokensView(c); err != nil {
		return err
	}
	v.Secret, v.MadeName = secret, token.Name
	c.Set(fiber.HeaderCacheControl, "no-store")
	return surface.Render(c, "client", "client/api", "API", v)
}

// revokeToken handles POST /client/api/tokens/:token/revoke.
func (s *Site) revokeToken(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Params("token"))
	if err != nil {
		return fault.New(fault.NotFound, "token.not_found", "There is no such token.")
	}
	var who account.Acting
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		who, err = acting(c, tx)
		return err
	})
	if err != nil {
		return err
	}
	if err := access.Revoke(c.UserContext(), surface.DB(c), who.AccountID, id, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/client/api", "The token opens nothing any more.")
}
