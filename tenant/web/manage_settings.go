package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/settings"
)

func choices(f settings.Form) (locales, currencies, zones []place.Choice) {
	return place.Locales(f.Locale), place.Currencies(f.Currency), place.Zones(f.TimeZone)
}

func (s *Site) showSettings(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	return surface.Render(c, "manage", "manage/settings", "Settings", s.settingsView(c, settings.Of(t)))
}

func (s *Site) saveSettings(c *fiber.Ctx) error {
	f := settings.Form{Name: c.FormValue("name"), Place: place.Place{Locale: c.FormValue("locale"), Currency: c.FormValue("currency"), TimeZone: c.FormValue("time_zone")}}
	if err := settings.Save(c.UserContext(), surface.DB(c), f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/settings", "Settings", s.settingsView(c, f))
	}
	// The next page on this node should show it; the others hear of it by themselves.
	if t, ok := surface.Tenant(c); ok && s.Office.Refresh != nil {
		if err := s.Office.Refresh(c.UserContext(), t.ID); err != nil {
			return err
		}
	}
	return surface.Redirect(c, "/manage/settings", "Saved.")
}
