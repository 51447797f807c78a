package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/wholesale"
)

// differencesShown is how many differences a page lists; the count is of all.
const differencesShown = 200

type auditView struct {
	wholesale.Audit
	Shown []wholesale.Difference
	Books []string // what does not add up in the platform's own books
	Found int
}

// showAudit handles GET /wholesale/audit: a billed month compared with what ran, now.
func (s *Console) showAudit(c *fiber.Ctx) error {
	m, err := wholesale.ParseMonth(c.Query("period"))
	if err != nil {
		return office.Refused(c, err, "/wholesale")
	}
	a, err := s.Wholesale.Audit(c.UserContext(), m, s.Running)
	if err != nil {
		return office.Refused(c, err, "/wholesale")
	}
	v := auditView{Audit: a, Shown: a.Differences[:min(len(a.Differences), differencesShown)]}
	if v.Books, err = s.Wholesale.Books(c.UserContext()); err != nil {
		return err
	}
	v.Found = len(a.Differences) + len(v.Books)
	return surface.Render(c, "console", "console/wholesale_audit", "Audit of "+m.Name, v)
}
