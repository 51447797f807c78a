package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// acted sends a person back to the service after a change, or says why there was none.
func acted(c *fiber.Ctx, id uuid.UUID, err error, tab, done string) error {
	back := "/client/services/" + id.String() + tab
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, done)
}

// power handles POST /client/services/:service/power.
func (s *Site) power(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	err = hosting.Power(c.UserContext(), surface.DB(c), id, provisioners.PowerAction(c.FormValue("action")), caller(c))
	return acted(c, id, err, "", "")
}

// rename handles POST /client/services/:service/rename.
func (s *Site) rename(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	err = hosting.Rename(c.UserContext(), surface.DB(c), id, c.FormValue("name"), caller(c))
	return acted(c, id, err, "", "The name is changed.")
}

// proven asks for the password first where it was not shown a moment ago. ok is false
// when the answer was given.
func (s *Site) proven(c *fiber.Ctx, back string) (ok bool, err error) {
	err = s.SignIn.Proven(c)
	if fault.Is(err, "session.not_fresh") {
		return false, signin.AskPassword(c, "/client/security", back)
	}
	return err == nil, err
}

// reveal handles POST /client/services/:service/reveal: the access data, on the page and
// nowhere else.
func (s *Site) reveal(c *fiber.Ctx) error {
	v, err := s.mineOf(c, "access")
	if err != nil {
		return err
	}
	if ok, err := s.proven(c, v.At+"/access"); !ok {
		return err
	}
	got, err := s.Services.Desk.Reveal(c.UserContext(), surface.DB(c), v.X.ID, caller(c))
	if err != nil {
		return office.Refused(c, err, v.At+"/access")
	}
	v.Revealed = &got
	return surface.Render(c, "client", "client/service", v.X.Name, v)
}

// resetServicePassword handles POST /client/services/:service/password.
func (s *Site) resetServicePassword(c *fiber.Ctx) error {
	v, err := s.mineOf(c, "access")
	if err != nil {
		return err
	}
	if ok, err := s.proven(c, v.At+"/access"); !ok {
		return err
	}
	err = hosting.ResetPassword(c.UserContext(), surface.DB(c), v.X.ID, caller(c))
	return acted(c, v.X.ID, err, "/access", "A new password is being set.")
}

type rebuildView struct {
	X      *hosting.Service
	At     string
	Groups []imageGroup
	Chosen string
}

type imageGroup struct {
	Name   string
	Images []Image
}

func (s *Site) rebuildView(c *fiber.Ctx) (v rebuildView, err error) {
	m, err := s.mineOf(c, "rebuild")
	if err != nil {
		return v, err
	}
	v = rebuildView{X: m.X, At: m.At, Chosen: c.FormValue("image", m.X.Image)}
	if !m.MayRun {
		return v, fault.New(fault.Forbidden, "account.forbidden", "Your role in this account does not allow that. Its owner can change your role.")
	}
	if s.Services.Images == nil {
		return v, nil
	}
	t, _ := surface.Tenant(c)
	all, err := s.Services.Images(c.UserContext(), t.ID, v.X.SKU, v.X.Region)
	for _, im := range all {
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Name != im.Group {
			v.Groups = append(v.Groups, imageGroup{Name: im.Group})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Images = append(g.Images, im)
	}
	return v, err
}

// showRebuild handles GET /client/services/:service/rebuild.
func (s *Site) showRebuild(c *fiber.Ctx) error {
	v, err := s.rebuildView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/service_rebuild", "Install anew", v)
}

// rebuild handles POST /client/services/:service/rebuild.
func (s *Site) rebuild(c *fiber.Ctx) error {
	v, err := s.rebuildView(c)
	if err != nil {
		return err
	}
	if ok, err := s.proven(c, v.At+"/rebuild"); !ok {
		return err
	}
	err = s.Services.Desk.Rebuild(c.UserContext(), surface.DB(c), v.X.ID, c.FormValue("image"), c.FormValue("confirm"), caller(c))
	if fault.From(err).Kind == fault.Invalid && err != nil {
		return surface.FormError(c, err, "client", "client/service_rebuild", "Install anew", v)
	}
	return acted(c, v.X.ID, err, "", "")
}
