package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// dunningRoutes are those of what follows when a plan is not paid.
func (s *Site) dunningRoutes() []surface.Route {
	const path = "/manage/catalog/plans/:size/dunning"
	return []surface.Route{
		{Method: fiber.MethodGet, Path: path, Needs: identity.CatalogRead, Handler: s.showPlanDunning},
		{Method: fiber.MethodPost, Path: path, Needs: identity.CatalogWrite, Handler: s.savePlanDunning},
	}
}

// dunningFields are the days of a schedule, as they are or as they were typed.
type dunningFields struct {
	Tries, Suspend, End, Notice string
}

func dunningText(d billing.Dunning) dunningFields {
	tries := make([]int, len(d.Tries))
	for i, t := range d.Tries {
		tries[i] = renewal.Days(t)
	}
	return dunningFields{daysText(tries), strconv.Itoa(renewal.Days(d.SuspendAfter)), strconv.Itoa(renewal.Days(d.EndAfter)), strconv.Itoa(renewal.Days(d.NoticeBefore))}
}

func typedDunning(c *fiber.Ctx) dunningFields {
	return dunningFields{table.Text(c.FormValue("try_days"), 80), table.Text(c.FormValue("suspend_days"), 10), table.Text(c.FormValue("end_days"), 10), table.Text(c.FormValue("notice_days"), 10)}
}

// read is the schedule that was typed; what cannot be read is refused later.
func (f dunningFields) read() (d billing.Dunning) {
	for _, t := range strings.FieldsFunc(f.Tries, func(r rune) bool { return r == ',' || r == ' ' }) {
		d.Tries = append(d.Tries, daysLong(t))
	}
	d.SuspendAfter, d.EndAfter, d.NoticeBefore = daysLong(f.Suspend), daysLong(f.End), daysLong(f.Notice)
	return d
}

// planDunningView is the page of what follows when a plan is not paid.
type planDunningView struct {
	dunningFields
	X       renewal.PlanDunning
	Own     bool // as it is, or as it was chosen
	MayEdit bool
}

func (s *Site) planDunning(c *fiber.Ctx) (v planDunningView, err error) {
	id, err := idParam(c, "size")
	if err != nil {
		return v, err
	}
	person, _ := surface.Principal(c)
	v.MayEdit = person.May(identity.CatalogWrite)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		v.X, err = renewal.PlanDunningOf(c.UserContext(), tx, id)
		return err
	})
	v.Own, v.dunningFields = v.X.Own, dunningText(v.X.Dunning)
	return v, err
}

// showPlanDunning handles GET /manage/catalog/plans/:size/dunning.
func (s *Site) showPlanDunning(c *fiber.Ctx) error {
	v, err := s.planDunning(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/plan-dunning", "When it is not paid", v)
}

// savePlanDunning handles POST of the same.
func (s *Site) savePlanDunning(c *fiber.Ctx) error {
	v, err := s.planDunning(c)
	if err != nil {
		return err
	}
	v.Own = c.FormValue("days") == "own"
	var own *billing.Dunning
	if v.Own {
		v.dunningFields = typedDunning(c)
		d := v.read()
		own = &d
	}
	if err := renewal.SavePlanDunning(c.UserContext(), surface.DB(c), v.X.PlanID, own, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/plan-dunning", "When it is not paid", v)
	}
	said := "Saved. " + v.X.Product + " " + v.X.Plan + " goes by the shop's days."
	if v.Own {
		said = "Saved. Open invoices of " + v.X.Product + " " + v.X.Plan + " follow it from the next time they are looked at."
	}
	return surface.Redirect(c, c.Path(), said)
}
