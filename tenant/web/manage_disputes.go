package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// contestOptions are what a shop may do while a bank decides, and when it has.
func contestOptions() (opened, lost []option) {
	opened = []option{{string(billing.ContestNothing), "nothing: it runs on"}, {string(billing.ContestSuspend), "suspend it"}}
	return opened, append(opened[:2:2], option{string(billing.ContestEnd), "end it, with what is on it"})
}

// saveContests handles POST /manage/settings/payments/disputes.
func (s *Site) saveContests(c *fiber.Ctx) error {
	typed := billing.Contests{Opened: billing.ContestStep(c.FormValue("disputes_opened")), Lost: billing.ContestStep(c.FormValue("disputes_lost"))}
	if err := renewal.SaveContests(c.UserContext(), surface.DB(c), typed, office.By(c)); err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Redirect(c, gatewaysPath, "Saved. It counts from the next news of a dispute.")
}
