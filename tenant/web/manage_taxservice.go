package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

// The outside service that is asked what is charged where.

const taxServicePath = "/manage/settings/tax-service"

func (s *Site) taxServiceRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: taxServicePath, Needs: identity.SiteSettings, Handler: s.showTaxService},
		{Method: fiber.MethodPost, Path: taxServicePath, Needs: identity.SiteSettings, Handler: s.saveTaxService},
		{Method: fiber.MethodPost, Path: taxServicePath + "/check", Needs: identity.SiteSettings, Handler: s.checkTaxService},
	}
}

// taxServiceView is the setting as it is or as it was typed, and what was answered lately.
type taxServiceView struct {
	Tabs  []settingsTab
	X     taxservice.Setting
	Days  string
	Codes []codeRow
	Lines []taxAnswerRow
}

// codeRow is the service's code for a class of products.
type codeRow struct{ Class, Label, Code string }

type taxAnswerRow struct {
	taxservice.Line
	Where, What, Says string
	Good              bool
}

// taxStates are the words for how an answer stands.
func taxStates(s billing.AnswerState) string {
	return map[billing.AnswerState]string{
		billing.AnswerFresh: "counts", billing.AnswerOld: "old, and counts on", billing.AnswerStale: "too old: your own rates decide",
		billing.AnswerMissing: "none yet: your own rates decide", billing.AnswerNothing: "your own rates decide",
	}[s]
}

func taxAnswerRowOf(l taxservice.Line) taxAnswerRow {
	country, rest, _ := strings.Cut(l.Place, "-")
	row := taxAnswerRow{Line: l, Where: place.CountryName(country), What: choiceLabel(taxClasses(), l.Class) + ", " + strings.ToLower(choiceLabel(taxCustomers(), l.Customer))}
	if region, zip, _ := strings.Cut(rest, "-"); region != "" {
		row.Where += ", " + strings.TrimSpace(place.RegionName(country, region)+" "+zip)
	}
	switch a := l.Answer; {
	case a == nil:
		row.Says = l.Problem
	case !a.Collects:
		row.Says, row.State = "Nothing is charged ("+strings.ReplaceAll(a.Why, "_", " ")+")", billing.AnswerNothing
	case len(a.Parts) == 0:
		row.Says = "No tax (" + strings.ReplaceAll(a.Why, "_", " ") + ")"
	case len(a.Parts) == 1:
		row.Says = l.Words()
	default:
		row.Says = l.Words() + ": together " + billing.Percent(a.Whole())
	}
	row.Good = row.State == billing.AnswerFresh
	return row
}

// StateWords say how the answer stands.
func (r taxAnswerRow) StateWords() string { return taxStates(r.State) }

// PlaceList are the places of the last connection test.
func (v taxServiceView) PlaceList() string { return strings.Join(v.X.Places, ", ") }

func (s *Site) taxServiceView(c *fiber.Ctx) (v taxServiceView, err error) {
	v.Tabs = settingsTabs(c)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.X, err = taxservice.Of(c.UserContext(), tx); err != nil {
			return err
		}
		lines, err := taxservice.Lately(c.UserContext(), tx, v.X, 40)
		for _, l := range lines {
			v.Lines = append(v.Lines, taxAnswerRowOf(l))
		}
		return err
	})
	v.Days, v.Codes = strconv.Itoa(v.X.Days), codeRows(v.X.Codes)
	return v, err
}

func codeRows(codes map[string]string) (all []codeRow) {
	for _, class := range taxClasses() {
		if class.Value != billing.Zero {
			all = append(all, codeRow{class.Value, class.Label, codes[class.Value]})
		}
	}
	return all
}

// showTaxService handles GET /manage/settings/tax-service.
func (s *Site) showTaxService(c *fiber.Ctx) error {
	v, err := s.taxServiceView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-tax-service", "Tax service", v)
}

// saveTaxService handles POST /manage/settings/tax-service.
func (s *Site) saveTaxService(c *fiber.Ctx) error {
	in := taxservice.Setting{On: c.FormValue("on") == "on", Countries: table.Text(c.FormValue("countries"), 300), Last: c.FormValue("last") == "last", Codes: map[string]string{}}
	days := strings.TrimSpace(table.Text(c.FormValue("days"), 10))
	in.Days, _ = strconv.Atoi(days) // what is no number is out of bounds
	for _, class := range billing.Classes() {
		in.Codes[class] = table.Text(c.FormValue("code."+class), 60)
	}
	err := taxservice.Save(c.UserContext(), surface.DB(c), in, office.By(c))
	if err == nil {
		said := "Saved. No tax service is asked."
		if in.On {
			said = "Saved. Stripe is asked before quotes, orders and renewals."
		}
		return surface.Redirect(c, taxServicePath, said)
	}
	v, failed := s.taxServiceView(c)
	if failed != nil {
		return failed
	}
	in.CheckedAt, in.Problem, in.Places = v.X.CheckedAt, v.X.Problem, v.X.Places
	v.X, v.Days, v.Codes = in, days, codeRows(in.Codes)
	return surface.FormError(c, err, "manage", "manage/settings-tax-service", "Tax service", v)
}

// checkTaxService handles POST /manage/settings/tax-service/check.
func (s *Site) checkTaxService(c *fiber.Ctx) error {
	if err := s.TaxDesk.CheckService(c.UserContext(), surface.DB(c), office.By(c)); err != nil {
		return office.Refused(c, err, taxServicePath)
	}
	return surface.Redirect(c, taxServicePath, "It works: Stripe calculates tax with your keys.")
}

// taxAskedRow is how a rate on an invoice came about, in words.
type taxAskedRow struct{ Class, Says, Reference string }

func taxAskedRows(all []billing.TaxAsked) (rows []taxAskedRow) {
	for _, a := range all {
		row := taxAskedRow{Class: choiceLabel(taxClasses(), a.Class), Reference: a.Reference}
		switch state := billing.AnswerState(a.Why); {
		case a.Used && state == billing.AnswerOld:
			row.Says = a.Service + " of " + a.At.Format("2 January 2006") + ", the last answer there was"
		case a.Used:
			row.Says = a.Service + " of " + a.At.Format("2 January 2006")
		case slices.Contains([]billing.AnswerState{billing.AnswerStale, billing.AnswerMissing}, state):
			row.Says = "your own rates: the tax service had not answered"
		default:
			row.Says = "your own rates: " + a.Service + " charges nothing there"
		}
		rows = append(rows, row)
	}
	return rows
}
