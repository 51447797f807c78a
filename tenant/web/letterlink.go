package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
)

// letterLinkRoutes are what links in letters that one can do without lead to. Mail programs
// send a form of their own to the first (RFC 8058), which has no token and needs none: the
// link is the proof. People are led to the page.
func (s *Site) letterLinkRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path + ":token", Needs: identity.Public, Handler: h}
	}
	return []surface.Route{
		at(fiber.MethodGet, account.LetterPath, s.followLetterLink),
		at(fiber.MethodPost, account.LetterPath, s.endLetters),
		at(fiber.MethodGet, account.LetterPage, s.showLetterLink),
		at(fiber.MethodPost, account.LetterPage, s.chooseLetters),
	}
}

// readLetterLink says whose link the path has. The fault is letters.bad_link.
func (s *Site) readLetterLink(c *fiber.Ctx) (uuid.UUID, error) {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Robots-Tag", "noindex, nofollow")
	return s.Letters.Read(surface.DB(c).Tenant().ID, c.Params("token"))
}

func byLetterLink(c *fiber.Ctx) audit.Origin {
	return audit.Origin{Actor: audit.Actor{Kind: string(identity.Customer), ID: "letter-link", Name: "whoever holds the link in a letter"}, IP: surface.ClientIP(c), RequestID: surface.RequestID(c)}
}

// followLetterLink handles GET /hooks/letters/:token, by people.
func (s *Site) followLetterLink(c *fiber.Ctx) error {
	if _, err := s.readLetterLink(c); err != nil {
		return err
	}
	return surface.Redirect(c, account.LetterPage+c.Params("token"), "")
}

// endLetters handles POST /hooks/letters/:token, by mail programs.
func (s *Site) endLetters(c *fiber.Ctx) error {
	id, err := s.readLetterLink(c)
	if err != nil {
		return err
	}
	if err := account.RemindByLink(c.UserContext(), surface.DB(c), id, false, byLetterLink(c)); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// letterLink is whether an account is written to before renewals.
type letterLink struct {
	At      string
	Reminds bool
}

// showLetterLink handles GET /letters/:token.
func (s *Site) showLetterLink(c *fiber.Ctx) error {
	surface.FormToken(c)
	id, err := s.readLetterLink(c)
	if err != nil {
		return err
	}
	v := letterLink{At: account.LetterPage + c.Params("token")}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		n, err := account.GetNotices(c.UserContext(), tx, id)
		v.Reminds = n.Reminds()
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "shop", "shop/letters", "Letters before renewals", v)
}

// chooseLetters handles POST /letters/:token.
func (s *Site) chooseLetters(c *fiber.Ctx) error {
	id, err := s.readLetterLink(c)
	if err != nil {
		return err
	}
	on := c.FormValue("letters") == "on"
	if err := account.RemindByLink(c.UserContext(), surface.DB(c), id, on, byLetterLink(c)); err != nil {
		return err
	}
	return surface.Redirect(c, account.LetterPage+c.Params("token"), "Saved.")
}
