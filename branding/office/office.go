// Package office is the pages every back office has: who works here, what was done,
// and which mails went out. One implementation serves staff and the resellers'
// teams; who calls it says where the pages lie and whose they are. What may be done
// is decided by tenancy/identity/roster; this package knows no table.
package office

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// By is who sends the request, for the trail.
func By(c *fiber.Ctx) audit.Origin {
	p, _ := surface.Principal(c)
	return audit.Origin{Actor: audit.By(p), IP: surface.ClientIP(c), Country: surface.ClientCountry(c), RequestID: surface.RequestID(c)}
}

// Colleague is who sends the request, for a roster.
func Colleague(c *fiber.Ctx) roster.By {
	p, _ := surface.Principal(c)
	return roster.ByPerson(p, surface.ClientIP(c), surface.RequestID(c))
}

// Status is a state as the partial status takes it: dot, word, since when.
func Status(kind, text string) map[string]any { return map[string]any{"Kind": kind, "Text": text} }

// Refused returns to a page with what a fault says when it is about the state of
// things and not about the program; any other error is returned as it is.
func Refused(c *fiber.Ctx, err error, back string) error {
	f := fault.From(err)
	switch f.Kind {
	case fault.Conflict, fault.Invalid, fault.TooMany, fault.Forbidden, fault.Gone:
		return surface.RedirectFlash(c, back, surface.Flash{Kind: "bad", Text: f.Message})
	}
	return err
}
