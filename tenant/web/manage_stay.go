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
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// What customers who cancel are offered, and what came of it.

const cancellationsPath = "/manage/settings/cancellations"

func (s *Site) manageStayRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: cancellationsPath, Needs: identity.SiteSettings, Handler: s.showStayPolicy},
		{Method: fiber.MethodPost, Path: cancellationsPath, Needs: identity.SiteSettings, Handler: s.saveStayPolicy},
	}
}

// stayPolicyView is what is offered, as it is or as it was typed, and the report.
type stayPolicyView struct {
	Tabs   []settingsTab
	Months string
	Rows   []stayRow
	Kinds  []place.Choice
	Plans  []place.Choice
	Report []stayLine
}

// stayRow is the offer for one reason.
type stayRow struct {
	Value, Label                string
	Kind, Percent, Cycles, Days string
	Plan                        string
}

// stayLine is a line of the report.
type stayLine struct {
	renewal.StayLine
	Label string
}

func stayRowOf(r renewal.Reason, o billing.StayOffer) stayRow {
	row := stayRow{Value: r.Value, Label: r.Label, Kind: string(o.Kind), Plan: o.PlanID}
	if o.Ppm > 0 {
		row.Percent = strings.TrimSuffix(billing.Percent(o.Ppm), " %")
	}
	if o.Cycles > 0 {
		row.Cycles = strconv.Itoa(o.Cycles)
	}
	if o.Days > 0 {
		row.Days = strconv.Itoa(o.Days)
	}
	return row
}

func (s *Site) stayPolicyView(c *fiber.Ctx) (v stayPolicyView, err error) {
	v = stayPolicyView{Tabs: settingsTabs(c), Plans: []place.Choice{{Value: "", Label: "Choose a plan"}},
		Kinds: []place.Choice{{Value: "", Label: "Nothing"}, {Value: "discount", Label: "A share off"}, {Value: "pause", Label: "A pause"}, {Value: "downgrade", Label: "Another plan"}}}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, err := renewal.StayPolicyOf(c.UserContext(), tx)
		if err != nil {
			return err
		}
		v.Months = strconv.Itoa(p.Months)
		for _, r := range renewal.Reasons() {
			v.Rows = append(v.Rows, stayRowOf(r, p.Offers[r.Value]))
		}
		shelf, err := catalog.Everything(c.UserContext(), tx)
		if err != nil {
			return err
		}
		for _, product := range shelf {
			for _, x := range product.Plans {
				if x.Visibility != catalog.Archived {
					v.Plans = append(v.Plans, place.Choice{Value: x.ID.String(), Label: product.Name + " " + x.Name})
				}
			}
		}
		report, err := renewal.StayReport(c.UserContext(), tx)
		for _, l := range report {
			v.Report = append(v.Report, stayLine{l, renewal.ReasonLabel(l.Reason)})
		}
		return err
	})
	return v, err
}

// showStayPolicy handles GET /manage/settings/cancellations.
func (s *Site) showStayPolicy(c *fiber.Ctx) error {
	v, err := s.stayPolicyView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-cancellations", "Cancellations", v)
}

// offer reads what the form says of one reason; fields of other kinds do not count. What
// cannot be read is an offer that is refused.
func (r *stayRow) offer(c *fiber.Ctx) billing.StayOffer {
	field := func(name string) string { return strings.TrimSpace(table.Text(c.FormValue(name+"."+r.Value), 60)) }
	r.Kind, r.Percent, r.Cycles, r.Days, r.Plan = field("kind"), field("percent"), field("cycles"), field("days"), field("plan")
	number := func(typed string) int {
		n, err := strconv.Atoi(typed)
		if err != nil {
			return 0
		}
		return n
	}
	o := billing.StayOffer{Kind: billing.StayKind(r.Kind)}
	switch o.Kind {
	case billing.StayDiscount:
		o.Cycles = number(r.Cycles)
		if ppm, err := billing.ParsePercent(r.Percent); err == nil {
			o.Ppm = ppm
		}
	case billing.StayPause:
		o.Days = number(r.Days)
	case billing.StayDowngrade:
		o.PlanID = r.Plan
	}
	return o
}

// saveStayPolicy handles POST /manage/settings/cancellations.
func (s *Site) saveStayPolicy(c *fiber.Ctx) error {
	v, err := s.stayPolicyView(c)
	if err != nil {
		return err
	}
	p := renewal.StayPolicy{Offers: map[string]billing.StayOffer{}}
	v.Months = strings.TrimSpace(table.Text(c.FormValue("months"), 10))
	for i := range v.Rows {
		p.Offers[v.Rows[i].Value] = v.Rows[i].offer(c)
	}
	if p.Months, err = strconv.Atoi(v.Months); err != nil {
		err = fault.Field("months", "stay.invalid", "Give a number of months from 0 to 60.")
	} else {
		err = renewal.SaveStayPolicy(c.UserContext(), surface.DB(c), p, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/settings-cancellations", "Cancellations", v)
	}
	return surface.Redirect(c, cancellationsPath, "Saved.")
}
