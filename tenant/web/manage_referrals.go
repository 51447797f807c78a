package web

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/referral"
)

const manageReferrals = "/manage/referrals"

func (s *Site) manageReferralRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: manageReferrals + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.listReferrals),
		at("POST", "", identity.SiteSettings, s.saveReferrals),
		at("POST", "/:newcomer/refuse", identity.SalesWrite, s.decideReferral(referral.Refuse, "Nobody gets credit for it.")),
		at("POST", "/:newcomer/grant", identity.SalesWrite, s.decideReferral(referral.Grant, "Both sides have their credit.")),
	}
}

// manageReferralsView is the programme, what came of it, and who was brought.
type manageReferralsView struct {
	List     table.Request
	Rows     []referralRow
	Total    int
	Figures  []referral.Figure
	Program  programForm
	MayEdit  bool // the programme
	MayJudge bool
}

// programForm is the programme as it is, or as it was typed.
type programForm struct {
	On            bool
	Wait, PerYear string
	Cells         []programCells
}

// programCells are the three amounts of one currency.
type programCells struct{ Currency, Referrer, Newcomer, Least string }

func programFormOf(p referral.Program, shop string) programForm {
	f := programForm{On: p.On, Wait: strconv.Itoa(p.WaitDays), PerYear: strconv.Itoa(p.PerYear)}
	currencies := p.Currencies()
	if !slices.Contains(currencies, shop) {
		currencies = append([]string{shop}, currencies...)
	}
	for _, c := range currencies {
		cell := programCells{Currency: c}
		if t, ok := p.Terms[c]; ok {
			say := func(minor int64) string { return billing.Money{Minor: minor, Currency: c}.Decimal() }
			cell.Referrer, cell.Newcomer, cell.Least = say(t.Referrer), say(t.Newcomer), say(t.Least)
		}
		f.Cells = append(f.Cells, cell)
	}
	return f
}

// readProgram reads what the form says; what is no amount is refused at its field.
func readProgram(c *fiber.Ctx, shop string) (p referral.Program, f programForm, err error) {
	wrong := map[string]string{}
	f = programForm{On: c.FormValue("on") != "", Wait: table.Text(c.FormValue("wait_days"), 10), PerYear: table.Text(c.FormValue("per_year"), 10)}
	number := func(field, typed string) int {
		n, err := strconv.Atoi(strings.TrimSpace(typed))
		if err != nil {
			wrong[field] = "Give a whole number."
		}
		return n
	}
	p = referral.Program{On: f.On, WaitDays: number("wait_days", f.Wait), PerYear: number("per_year", f.PerYear), Terms: map[string]billing.ReferralTerms{}}
	typed := map[string]programCells{shop: {Currency: shop}}
	for _, currency := range knownCurrencies() {
		cell := programCells{Currency: currency, Referrer: table.Text(c.FormValue("referrer."+currency), 30), Newcomer: table.Text(c.FormValue("newcomer."+currency), 30), Least: table.Text(c.FormValue("least."+currency), 30)}
		if strings.TrimSpace(cell.Referrer+cell.Newcomer+cell.Least) == "" {
			continue
		}
		typed[currency] = cell
		amount := func(field, text string) int64 {
			if strings.TrimSpace(text) == "" {
				return 0
			}
			m, err := billing.Parse(strings.TrimSpace(text), currency)
			if err != nil {
				wrong[field+currency] = "Give an amount such as 10.00."
			}
			return m.Minor
		}
		p.Terms[currency] = billing.ReferralTerms{Referrer: amount("referrer.", cell.Referrer), Newcomer: amount("newcomer.", cell.Newcomer), Least: amount("least.", cell.Least)}
	}
	for _, currency := range slices.Sorted(maps.Keys(typed)) {
		f.Cells = append(f.Cells, typed[currency])
	}
	return p, f, fault.Fields("referral.invalid", wrong)
}

func (s *Site) readManageReferrals(c *fiber.Ctx) (v manageReferralsView, err error) {
	t, _ := surface.Tenant(c)
	person, _ := surface.Principal(c)
	v.MayEdit, v.MayJudge, v.List = person.May(identity.SiteSettings), person.May(identity.SalesWrite), table.Read(c, "state")
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, err := referral.Of(c.UserContext(), tx)
		if err != nil {
			return err
		}
		v.Program = programFormOf(p, t.Currency)
		if v.Figures, err = referral.Figures(c.UserContext(), tx); err != nil {
			return err
		}
		found, total, err := referral.List(c.UserContext(), tx, referral.Filter{State: billing.ReferralState(v.List.Filters["state"]), Offset: v.List.Offset(), Limit: v.List.Limit()})
		v.Total = total
		for _, r := range found {
			v.Rows = append(v.Rows, referralRow{Referral: r, Status: referralStatus(r), Says: referral.Says(r.Reason), Href: customerHref(r.OwnerID), ByHref: customerHref(r.ByOwnerID)})
		}
		return err
	})
	return v, err
}

// listReferrals handles GET /manage/referrals.
func (s *Site) listReferrals(c *fiber.Ctx) error {
	v, err := s.readManageReferrals(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/referrals", "Referrals", v)
}

// saveReferrals handles POST /manage/referrals.
func (s *Site) saveReferrals(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	p, typed, err := readProgram(c, t.Currency)
	if err == nil {
		err = referral.Save(c.UserContext(), surface.DB(c), p, office.By(c))
	}
	if err != nil {
		v, rerr := s.readManageReferrals(c)
		if rerr != nil {
			return rerr
		}
		v.Program = typed
		return surface.FormError(c, err, "manage", "manage/referrals", "Referrals", v)
	}
	return surface.Redirect(c, manageReferrals, "Saved.")
}

// decideReferral handles POST /manage/referrals/:newcomer/refuse and /grant.
func (s *Site) decideReferral(do func(context.Context, *tenancy.DB, uuid.UUID, string, audit.Origin) error, says string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := pathID(c, "newcomer", fault.New(fault.NotFound, "referral.not_found", "There is no such referral."))
		if err != nil {
			return err
		}
		if err := do(c.UserContext(), surface.DB(c), id, table.Text(c.FormValue("note"), 400), office.By(c)); err != nil {
			return office.Refused(c, err, manageReferrals)
		}
		return surface.Redirect(c, manageReferrals, says)
	}
}

// customerHref is the page of a customer; empty: of nobody's.
func customerHref(person uuid.UUID) string {
	if person == uuid.Nil {
		return ""
	}
	return "/manage/customers/" + person.String()
}
