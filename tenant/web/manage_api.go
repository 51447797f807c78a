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
	"github.com/ezscale/ezscale/tenant/api"
)

// manageAPIRoutes are the tokens of the shop's own programs.
func (s *Site) manageAPIRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/api" + path, Needs: identity.HooksManage, Handler: h}
	}
	return []surface.Route{
		at(fiber.MethodGet, "", s.showTeamTokens),
		at(fiber.MethodPost, "/tokens", s.makeTeamToken),
		at(fiber.MethodPost, "/tokens/:token/revoke", s.revokeTeamToken),
	}
}

func (s *Site) teamTokensView(c *fiber.Ctx) (v tokensView, err error) {
	v = tokensView{Base: surface.BaseURL(c) + api.Prefix, Lifetimes: lifetimes, Expires: "365"}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := access.List(c.UserContext(), tx, uuid.Nil)
		for _, t := range all {
			v.Tokens = append(v.Tokens, tokenView{t, t.Works(tx.Now())})
		}
		return err
	})
	for _, sc := range access.TeamScopes() {
		v.Scopes = append(v.Scopes, scopeView{Value: string(sc.Scope), Label: sc.Label, May: true})
	}
	return v, err
}

// showTeamTokens handles GET /manage/api.
func (s *Site) showTeamTokens(c *fiber.Ctx) error {
	v, err := s.teamTokensView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/api", "API", v)
}

// makeTeamToken handles POST /manage/api/tokens. The answer is the page itself: the secret
// is shown once and is in no address.
func (s *Site) makeTeamToken(c *fiber.Ctx) error {
	v, err := s.teamTokensView(c)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	n := access.New{PersonID: p.PersonID, Name: c.FormValue("name")}
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
		return surface.FormError(c, err, "manage", "manage/api", "API", v)
	}
	if v, err = s.teamTokensView(c); err != nil {
		return err
	}
	v.Secret, v.MadeName = secret, token.Name
	c.Set(fiber.HeaderCacheControl, "no-store")
	return surface.Render(c, "manage", "manage/api", "API", v)
}

// revokeTeamToken handles POST /manage/api/tokens/:token/revoke.
func (s *Site) revokeTeamToken(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Params("token"))
	if err != nil {
		return fault.New(fault.NotFound, "token.not_found", "There is no such token.")
	}
	if err := access.Revoke(c.UserContext(), surface.DB(c), uuid.Nil, id, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/api", "The token opens nothing any more.")
}
