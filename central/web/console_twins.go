package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// twinRoutes are the pages about resellers' sandbox twins. What is in a twin, its reseller
// sees and not staff.
func (s *Console) twinRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/resellers/:id/twins" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.ResellersRead, s.showTwins),
		at("POST", "", identity.ResellersWrite, s.makeTwin),
		at("POST", "/:twin/advance", identity.ResellersWrite, s.moveTwin),
		at("POST", "/:twin/stop", identity.ResellersWrite, s.stopTwin),
		at("POST", "/:twin/drop", identity.ResellersWrite, s.dropTwin),
	}
}

type twinRow struct {
	twin.Twin
	Status map[string]any
}

type twinsView struct {
	resellerView
	Twins   []twinRow
	Key     string
	Waiting bool
	MayEdit bool
}

func (s *Console) twinsView(c *fiber.Ctx, r reseller.Reseller) (v twinsView, err error) {
	p, _ := surface.Principal(c)
	v = twinsView{resellerView: s.resellerView(c, r, "/twins"), Key: uuid.NewString(), MayEdit: p.May(identity.ResellersWrite) && !r.Sandbox}
	all, err := s.twins().List(c.UserContext(), r.ID)
	for _, t := range all {
		row := twinRow{t, office.Status("good", "Ready")}
		switch {
		case t.Advancing():
			row.Status = office.Status("busy", "Lives ahead")
		case t.State == twin.Making:
			row.Status = office.Status("busy", "Being made")
		case t.State == twin.Failed:
			row.Status = office.Status("bad", "Could not be made")
		case t.State != twin.Ready:
			row.Status = office.Status("idle", "Being removed")
		}
		v.Waiting = v.Waiting || t.Advancing() || t.State == twin.Making || t.State == twin.Dropping
		v.Twins = append(v.Twins, row)
	}
	return v, err
}

func (s *Console) twins() *twin.Desk { return &twin.Desk{Central: s.Central} }

// showTwins handles GET /resellers/:id/twins.
func (s *Console) showTwins(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v, err := s.twinsView(c, r)
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/reseller_twins", r.Name, v)
}

// makeTwin handles POST /resellers/:id/twins: one with today's prices.
func (s *Console) makeTwin(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	key, err := uuid.Parse(c.FormValue("key"))
	if err != nil {
		key = uuid.New()
	}
	made, err := s.twins().Ask(c.UserContext(), r.ID, c.FormValue("name"), twin.Options{Seed: 1, Short: 4, Expired: 1}, key, office.By(c))
	if err == nil && made.OfID != r.ID {
		err = fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
	}
	if err != nil {
		v, verr := s.twinsView(c, r)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "console", "console/reseller_twins", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/twins", "The twin is being made.")
}

// moveTwin handles POST /resellers/:id/twins/:twin/advance.
func (s *Console) moveTwin(c *fiber.Ctx) error {
	steps := map[string][3]int{"day": {0, 0, 1}, "month": {0, 1, 0}, "year": {1, 0, 0}}
	step, known := steps[c.FormValue("by")]
	if !known {
		return fault.New(fault.Invalid, "twin.bad_step", "Advance a twin by a day, a month or a year.")
	}
	return s.changeTwin(c, "Its time passes.", func(of tenancy.ID, t twin.Twin) error {
		return s.twins().Advance(c.UserContext(), of, t.ID, t.NowAt.AddDate(step[0], step[1], step[2]), office.By(c))
	})
}

// stopTwin handles POST /resellers/:id/twins/:twin/stop.
func (s *Console) stopTwin(c *fiber.Ctx) error {
	return s.changeTwin(c, "Its clock stops as soon as the work of its day is done.", func(of tenancy.ID, t twin.Twin) error {
		return s.twins().Halt(c.UserContext(), of, t.ID, office.By(c))
	})
}

// dropTwin handles POST /resellers/:id/twins/:twin/drop.
func (s *Console) dropTwin(c *fiber.Ctx) error {
	return s.changeTwin(c, "The twin is being removed.", func(of tenancy.ID, t twin.Twin) error {
		return s.twins().Drop(c.UserContext(), of, t.ID, office.By(c))
	})
}

func (s *Console) changeTwin(c *fiber.Ctx, said string, do func(of tenancy.ID, t twin.Twin) error) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("twin"))
	if err != nil {
		return fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
	}
	t, err := s.twins().Of(c.UserContext(), r.ID, id)
	if err != nil {
		return err
	}
	if err := do(r.ID, t); err != nil {
		return err
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/twins", said)
}
