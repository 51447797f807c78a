package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// platformRoutes are the pages about what delivers, on one screen.
func (s *Console) platformRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "/platforms", identity.PlatformsRead, s.listPlatforms),
		at("GET", "/platforms/new", identity.PlatformsWrite, s.newPlatform),
		at("POST", "/platforms", identity.PlatformsWrite, s.connectPlatform),
		at("GET", "/platforms/:platform", identity.PlatformsRead, s.showPlatform),
		at("GET", "/platforms/:platform/settings", identity.PlatformsWrite, s.showPlatformSettings),
		at("POST", "/platforms/:platform/settings", identity.PlatformsWrite, s.changePlatform),
		at("POST", "/platforms/:platform/test", identity.PlatformsWrite, s.testPlatform),
		at("POST", "/platforms/:platform/state", identity.PlatformsWrite, s.setPlatformState),
		at("POST", "/platforms/:platform/capacity", identity.PlatformsWrite, s.refreshPlatform),
		at("GET", "/platforms/:platform/offers/new", identity.PlatformsWrite, s.newOffer),
		at("POST", "/platforms/:platform/offers", identity.PlatformsWrite, s.mapOffer),
		at("GET", "/platforms/:platform/offers/:offer", identity.PlatformsRead, s.showOffer),
		at("POST", "/platforms/:platform/offers/:offer/images", identity.PlatformsWrite, s.importImages),
		at("POST", "/platforms/:platform/offers/:offer/state", identity.PlatformsWrite, s.setOfferState),
		at("GET", "/platforms/:platform/reconcile", identity.PlatformsRead, s.showReconcile),
		at("GET", "/platforms/:platform/repair", identity.PlatformsWrite, s.showRepair),
		at("POST", "/platforms/:platform/repair", identity.PlatformsWrite, s.repair),
		at("GET", "/services", identity.PlatformsRead, s.listServices),
		at("GET", "/services/:tenant/:service", identity.PlatformsRead, s.showService),
	}
}

type platformRow struct {
	platform.Summary
	Status map[string]any // what staff decided, and how it is
}

// platformStatus is one word for both.
func platformStatus(p platform.Platform) map[string]any {
	m := office.Status("idle", "Not tested")
	switch {
	case p.State == platform.Off:
		m = office.Status("idle", "Off")
	case p.Health == platform.Down:
		m = office.Status("bad", "Down")
	case p.State == platform.Draining:
		m = office.Status("warn", "Draining")
	case p.Health == platform.Up && p.HealthNote != "":
		m = office.Status("warn", "Up, with a remark")
	case p.Health == platform.Up:
		m = office.Status("good", "Up")
	}
	if !p.HealthSince.IsZero() && p.State != platform.Off {
		m["Since"] = p.HealthSince
	}
	return m
}

type platformsView struct {
	Rows     []platformRow
	MayWrite bool
}

func (s *Console) listPlatforms(c *fiber.Ctx) error {
	found, err := s.Office.Platforms.List(c.UserContext())
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	v := platformsView{MayWrite: p.May(identity.PlatformsWrite)}
	for _, x := range found {
		v.Rows = append(v.Rows, platformRow{x, platformStatus(x.Platform)})
	}
	return surface.Render(c, "console", "console/platforms", "Platforms", v)
}

type platformFormView struct {
	In      platform.Form // the token is never shown again
	Drivers []choice
	P       platform.Summary // of one that is changed
	Tabs    []tab
	States  []stateChoice
}

type stateChoice struct {
	Value, Label, Says string
	Now                bool
}

func (s *Console) platformForm(in platform.Form) platformFormView {
	in.Token = ""
	v := platformFormView{In: in}
	for _, d := range s.Office.Platforms.DriverNames() {
		v.Drivers = append(v.Drivers, choice{d, driverLabel(d)})
	}
	return v
}

// driverLabel is a driver's name as its maker writes it.
func driverLabel(name string) string {
	if name == "virtfusion" {
		return "VirtFusion"
	}
	return name
}

func (s *Console) newPlatform(c *fiber.Ctx) error {
	return surface.Render(c, "console", "console/platform_new", "Connect a platform", s.platformForm(platform.Form{Driver: "virtfusion"}))
}

func platformIn(c *fiber.Ctx) platform.Form {
	return platform.Form{Name: formText(c, "name"), Driver: formText(c, "driver"), BaseURL: formText(c, "base_url"), Token: formText(c, "token"), Settings: formText(c, "settings")}
}

// formText is a field's text, kept beyond the request.
func formText(c *fiber.Ctx, name string) string { return strings.Clone(c.FormValue(name)) }

func (s *Console) connectPlatform(c *fiber.Ctx) error {
	in := platformIn(c)
	id, err := s.Office.Platforms.Connect(c.UserContext(), in, office.By(c))
	if err != nil {
		return surface.FormError(c, err, "console", "console/platform_new", "Connect a platform", s.platformForm(in))
	}
	return surface.Redirect(c, "/platforms/"+id.String(), "The platform answers and is connected. Say next what it delivers.")
}

// onePlatform finds the platform in the path.
func (s *Console) onePlatform(c *fiber.Ctx) (platform.Summary, error) {
	id, err := platformID(c)
	if err != nil {
		return platform.Summary{}, err
	}
	return s.Office.Platforms.Get(c.UserContext(), id)
}

func platformID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("platform"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "platform.unknown", "There is no such platform.")
	}
	return id, nil
}

func platformTabs(c *fiber.Ctx, p platform.Summary, active string) []tab {
	who, _ := surface.Principal(c)
	base := "/platforms/" + p.ID.String()
	tabs := []tab{{base, "Overview and offers", active == ""}, {base + "/reconcile", "Compare with billing", active == "reconcile"}}
	if who.May(identity.PlatformsWrite) {
		tabs = append(tabs, tab{base + "/settings", "Settings", active == "settings"})
	}
	return tabs
}

type offerRow struct {
	platform.Mapped
	Status map[string]any
	Share  int // percent taken; -1: unknown
}

func offerView(m platform.Mapped) offerRow {
	row := offerRow{Mapped: m, Status: office.Status("good", "On sale"), Share: -1}
	if m.Capacity != nil && *m.Capacity > 0 {
		row.Share = min(100, (m.Used+m.Held)*100/(*m.Capacity))
	}
	switch {
	case !m.On():
		row.Status = office.Status("idle", "Off")
	case m.Free() == 0:
		row.Status = office.Status("bad", "Full")
	case row.Share >= 90:
		row.Status = office.Status("warn", "Nearly full")
	}
	return row
}

type platformView struct {
	P        platform.Summary
	Status   map[string]any
	Driver   string
	Tabs     []tab
	Offers   []offerRow
	MayWrite bool
}

func (s *Console) showPlatform(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	offers, err := s.Office.Platforms.OffersOf(c.UserContext(), p.ID)
	if err != nil {
		return err
	}
	who, _ := surface.Principal(c)
	v := platformView{P: p, Status: platformStatus(p.Platform), Driver: driverLabel(p.Driver), Tabs: platformTabs(c, p, ""), MayWrite: who.May(identity.PlatformsWrite)}
	for _, o := range offers {
		v.Offers = append(v.Offers, offerView(o))
	}
	return surface.Render(c, "console", "console/platform", p.Name, v)
}

func (s *Console) platformSettings(c *fiber.Ctx, p platform.Summary, in platform.Form) platformFormView {
	v := s.platformForm(in)
	v.P, v.Tabs = p, platformTabs(c, p, "settings")
	for _, x := range []stateChoice{
		{"on", "On", "New services are made here.", false}, {"draining", "Draining", "What runs is looked after. Nothing new is sold here.", false},
		{"off", "Off", "It is not asked at all: nothing is made, changed or removed there until it is on again.", false},
	} {
		x.Now = string(p.State) == x.Value
		v.States = append(v.States, x)
	}
	return v
}

func (s *Console) showPlatformSettings(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	in := platform.Form{Name: p.Name, Driver: p.Driver, BaseURL: p.BaseURL}
	if string(p.Settings) != "{}" {
		in.Settings = string(p.Settings)
	}
	return surface.Render(c, "console", "console/platform_settings", p.Name, s.platformSettings(c, p, in))
}

func (s *Console) changePlatform(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	in := platformIn(c)
	if err := s.Office.Platforms.Change(c.UserContext(), p.ID, in, office.By(c)); err != nil {
		return surface.FormError(c, err, "console", "console/platform_settings", p.Name, s.platformSettings(c, p, in))
	}
	return surface.Redirect(c, "/platforms/"+p.ID.String(), "Tested and saved.")
}

// back is where actions on a platform return to.
func platformBack(p platform.Summary) string { return "/platforms/" + p.ID.String() }

func (s *Console) testPlatform(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	ok, note, err := s.Office.Platforms.Test(c.UserContext(), p.ID)
	if err != nil {
		return office.Refused(c, err, platformBack(p))
	}
	if !ok {
		return surface.RedirectFlash(c, platformBack(p), surface.Flash{Kind: "bad", Text: note})
	}
	return surface.Redirect(c, platformBack(p), "It answers, and the token is accepted.")
}

func (s *Console) setPlatformState(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	to := platform.State(formText(c, "state"))
	if err := s.Office.Platforms.SetState(c.UserContext(), p.ID, to, office.By(c)); err != nil {
		return office.Refused(c, err, platformBack(p)+"/settings")
	}
	said := map[platform.State]string{platform.On: "It takes new services.", platform.Draining: "It takes nothing new.", platform.Off: "It is not asked any more."}[to]
	return surface.Redirect(c, platformBack(p), said)
}

func (s *Console) refreshPlatform(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	if err := s.Office.Platforms.RefreshCapacity(c.UserContext(), p.ID); err != nil {
		return office.Refused(c, err, platformBack(p))
	}
	return surface.Redirect(c, platformBack(p), "The room was asked for anew.")
}
