package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// meterEdit is the editor of a meter.
type meterEdit struct {
	Form         catalog.MeterForm
	Plan         catalog.FullPlan
	Aggregations []place.Choice
	Models       []place.Choice
	Feeds        []place.Choice
	Currencies   []string
	Action       string
	Retire       string // where it is taken off the plan; empty: a new one
	MayEdit      bool
}

func (s *Site) meterEdit(c *fiber.Ctx, p catalog.FullPlan, f catalog.MeterForm) meterEdit {
	who, _ := surface.Principal(c)
	t, _ := surface.Tenant(c)
	v := meterEdit{Form: f, Plan: p, Aggregations: pairs(catalog.MeterAggregations()), Models: pairs(catalog.MeterModels()), Feeds: pairs(catalog.MeterFeeds()),
		Action: c.Path(), MayEdit: who.May(identity.CatalogWrite), Currencies: []string{t.Currency}}
	if f.Feed != catalog.FeedHours { // the editor of the plan makes it, with the price
		v.Feeds = slices.DeleteFunc(v.Feeds, func(x place.Choice) bool { return x.Value == catalog.FeedHours })
	}
	if f.ID != uuid.Nil {
		v.Retire = "/manage/catalog/meters/" + f.ID.String() + "/retire"
	}
	for _, x := range append([]string{"EUR", "USD", "GBP"}, knownCurrencies()...) {
		if common := x == "EUR" || x == "USD" || x == "GBP" || f.Tiers[x] != ""; common && !slices.Contains(v.Currencies, x) {
			v.Currencies = append(v.Currencies, x)
		}
	}
	return v
}

func meterForm(c *fiber.Ctx) catalog.MeterForm {
	f := catalog.MeterForm{
		Code: c.FormValue("code"), Name: c.FormValue("name"), Unit: c.FormValue("unit"), Aggregation: c.FormValue("aggregation"), Attribute: c.FormValue("attribute"),
		StepMinutes: c.FormValue("step_minutes"), Feed: c.FormValue("feed"), Model: c.FormValue("model"), Package: c.FormValue("package"), Included: c.FormValue("included"),
		Capped: c.FormValue("capped") != "", Position: c.FormValue("position"), Tiers: map[string]string{}, Most: map[string]string{},
	}
	for _, currency := range knownCurrencies() {
		if typed := strings.ReplaceAll(c.FormValue("tiers."+currency), "\r", ""); typed != "" {
			f.Tiers[currency], f.Most[currency] = typed, c.FormValue("most."+currency)
		}
	}
	return f
}

// meterFormOf is a meter as the editor shows it.
func meterFormOf(m catalog.Meter) catalog.MeterForm {
	f := catalog.MeterForm{ID: m.ID, PlanID: m.PlanID, Code: m.Code, Name: m.Name, Unit: m.Unit, Aggregation: string(m.Aggregation), Attribute: m.Attribute, Feed: m.Feed,
		Model: string(m.Model), Package: m.Package, Included: m.Included, Capped: m.Capped, Position: strconv.Itoa(m.Position), Tiers: map[string]string{}, Most: map[string]string{}}
	if m.StepMinutes > 0 {
		f.StepMinutes = strconv.Itoa(m.StepMinutes)
	}
	for _, currency := range knownCurrencies() {
		if text := catalog.TierLines(m, currency); text != "" {
			f.Tiers[currency], f.Most[currency] = text, catalog.MeterMost(m, currency)
		}
	}
	return f
}

// newMeter handles GET /manage/catalog/plans/:size/meters/new.
func (s *Site) newMeter(c *fiber.Ctx) error {
	p, _, err := s.planAndProduct(c)
	if err != nil {
		return err
	}
	f := catalog.MeterForm{PlanID: p.ID, Aggregation: "sum", Model: "graduated", Feed: catalog.FeedAPI, Included: "0", StepMinutes: "15", Position: strconv.Itoa(len(p.Meters) + 1)}
	return surface.Render(c, "manage", "manage/meter", "New meter", s.meterEdit(c, p, f))
}

func (s *Site) meterAndPlan(c *fiber.Ctx) (m catalog.Meter, p catalog.FullPlan, err error) {
	id, err := idParam(c, "meter")
	if err != nil {
		return m, p, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if m, err = catalog.MeterByID(c.UserContext(), tx, id); err != nil {
			return err
		}
		p, err = catalog.ByID(c.UserContext(), tx, m.PlanID)
		return err
	})
	if err == nil && m.RetiredAt != nil {
		err = fault.New(fault.NotFound, "meter.not_found", "There is no such meter.")
	}
	return m, p, err
}

// showMeter handles GET /manage/catalog/meters/:meter.
func (s *Site) showMeter(c *fiber.Ctx) error {
	m, p, err := s.meterAndPlan(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/meter", m.Name, s.meterEdit(c, p, meterFormOf(m)))
}

// saveMeter handles the POST of both editors of a meter.
func (s *Site) saveMeter(c *fiber.Ctx) error {
	f := meterForm(c)
	var p catalog.FullPlan
	var err error
	if c.Params("meter") != "" {
		var m catalog.Meter
		if m, p, err = s.meterAndPlan(c); err == nil {
			f.ID, f.PlanID = m.ID, m.PlanID
		}
	} else if p, _, err = s.planAndProduct(c); err == nil {
		f.PlanID = p.ID
	}
	if err != nil {
		return err
	}
	if _, err := catalog.SaveMeter(c.UserContext(), surface.DB(c), f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/meter", "Meter", s.meterEdit(c, p, f))
	}
	return surface.Redirect(c, "/manage/catalog/plans/"+p.ID.String(), "Saved. Who has the plan already keeps the meters it was sold with.")
}

// retireMeter handles POST /manage/catalog/meters/:meter/retire.
func (s *Site) retireMeter(c *fiber.Ctx) error {
	id, err := idParam(c, "meter")
	if err != nil {
		return err
	}
	plan, err := catalog.RetireMeter(c.UserContext(), surface.DB(c), id, office.By(c))
	if err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/catalog/plans/"+plan.String(), "The plan is sold without it from now on.")
}
