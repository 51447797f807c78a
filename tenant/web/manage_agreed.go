package web

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// agreedRoutes are those with which prices are agreed on with one customer.
func (s *Site) agreedRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/customers/:customer/prices" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.showAgreed),
		at("POST", "", identity.SalesWrite, s.agreePrice),
		at("POST", "/:agreed/end", identity.SalesWrite, s.endAgreed),
	}
}

// agreedView is the page with the prices agreed on with an account of a customer.
type agreedView struct {
	X       account.Detail
	In      account.Account
	Rows    []agreedRow
	Form    agreed.Form
	Plans   []place.Choice
	Cycles  []place.Choice
	At      string
	MayEdit bool
}

type agreedRow struct {
	agreed.Price
	Status map[string]any
	Says   string // "€7.00 a month", "15 % off"
	For    string
	Over   bool
}

func viewAgreed(p agreed.Price, now time.Time, locale string) agreedRow {
	r := agreedRow{Price: p, For: "every period", Over: !p.Until.IsZero() && !p.Until.After(now)}
	if p.Cycle != "" {
		r.For = p.Cycle.Words()
	}
	if r.Says = p.Says(locale); p.Cycle == billing.Hourly {
		r.For = "by the hour"
	}
	switch {
	case r.Over:
		r.Status = office.Status("idle", "Over")
	case now.Before(p.From):
		r.Status = office.Status("info", "Begins later")
	default:
		r.Status = office.Status("good", "Counts")
	}
	return r
}

// readAgreed reads the account that was asked for, or the first; one the customer does not
// belong to is unknown.
func (s *Site) readAgreed(c *fiber.Ctx) (v agreedView, err error) {
	id, err := customerID(c)
	if err != nil {
		return v, err
	}
	p, _ := surface.Principal(c)
	t, _ := surface.Tenant(c)
	v.MayEdit = p.May(identity.SalesWrite)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.X, err = s.customerDesk().GetIn(c.UserContext(), tx, id); err != nil {
			return err
		}
		asked, found := c.Query("account"), false
		for _, a := range v.X.In {
			if !found && (asked == "" || a.ID.String() == asked) {
				v.In, found = a, true
			}
		}
		if !found {
			return errNoAccount()
		}
		all, err := agreed.List(c.UserContext(), tx, v.In.ID)
		if err != nil {
			return err
		}
		for _, x := range all {
			v.Rows = append(v.Rows, viewAgreed(x, tx.Now(), t.Locale))
		}
		v.Plans, err = catalog.PlanNames(c.UserContext(), tx)
		return err
	})
	v.At = "/manage/customers/" + v.X.ID.String() + "/prices"
	v.Form.AccountID = v.In.ID
	v.Cycles = []place.Choice{{Value: "", Label: "Every period the plan is sold for"}}
	v.Cycles = append(v.Cycles, place.Choice{Value: string(catalog.Hourly), Label: "by the hour"})
	for _, cycle := range catalog.EditCycles() {
		v.Cycles = append(v.Cycles, place.Choice{Value: string(cycle), Label: cycle.Words()})
	}
	return v, err
}

// showAgreed handles GET /manage/customers/:customer/prices?account=.
func (s *Site) showAgreed(c *fiber.Ctx) error {
	v, err := s.readAgreed(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/customer-prices", "Prices of "+v.In.Name, v)
}

// agreePrice handles POST of the same.
func (s *Site) agreePrice(c *fiber.Ctx) error {
	v, err := s.readAgreed(c)
	if err != nil {
		return err
	}
	v.Form = agreed.Form{AccountID: v.In.ID, Plan: c.FormValue("plan"), Cycle: c.FormValue("cycle"), Amount: table.Text(c.FormValue("amount"), 30), Most: table.Text(c.FormValue("most"), 30), Percent: table.Text(c.FormValue("percent"), 10),
		From: table.Text(c.FormValue("from"), 20), Until: table.Text(c.FormValue("until"), 20), Running: c.FormValue("running") != "", Note: c.FormValue("note")}
	if _, err := s.renewalDesk().Agree(c.UserContext(), surface.DB(c), v.Form, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/customer-prices", "Prices of "+v.In.Name, v)
	}
	return surface.Redirect(c, v.At+"?account="+v.In.ID.String(), "Agreed. The customer sees it as their price.")
}

// endAgreed handles POST /manage/customers/:customer/prices/:agreed/end?account=.
func (s *Site) endAgreed(c *fiber.Ctx) error {
	v, err := s.readAgreed(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("agreed"))
	if err != nil {
		return fault.New(fault.NotFound, "agreed_price.not_found", "There is no such agreed price.")
	}
	back := v.At + "?account=" + v.In.ID.String()
	if err := s.renewalDesk().Disagree(c.UserContext(), surface.DB(c), id, v.In.ID, office.By(c)); err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, "Ended. Orders cost what the shop asks for.")
}
