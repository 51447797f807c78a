package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/credit"
)

func (s *Site) manageCreditRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/customers/:customer/credit" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.customerCredit),
		at("POST", "", identity.SalesWrite, s.giveCredit),
		at("POST", "/:grant/take-back", identity.SalesWrite, s.takeCreditBack),
	}
}

// customerCreditView is the credit of an account of a customer.
type customerCreditView struct {
	X       account.Detail
	In      account.Account // that is looked at
	Purse   credit.Purse
	Rows    []creditRow
	Open    []grantLine
	Form    credit.Form
	FormKey string
	At      string // the page
	MayEdit bool
}

// readCustomerCredit reads the account that was asked for, or the first; one the customer
// does not belong to is unknown.
func (s *Site) readCustomerCredit(c *fiber.Ctx) (v customerCreditView, err error) {
	id, err := customerID(c)
	if err != nil {
		return v, err
	}
	p, _ := surface.Principal(c)
	v.MayEdit, v.FormKey = p.May(identity.SalesWrite), uuid.NewString()
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
		v.Purse, err = credit.Of(c.UserContext(), tx, v.In.ID)
		return err
	})
	v.At = "/manage/customers/" + id.String() + "/credit"
	v.Rows, v.Open = creditRows(v.Purse), grantLines(v.Purse.Open)
	return v, err
}

// customerCredit handles GET /manage/customers/:customer/credit?account=.
func (s *Site) customerCredit(c *fiber.Ctx) error {
	v, err := s.readCustomerCredit(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/customer-credit", "Credit of "+v.In.Name, v)
}

// giveCredit handles POST /manage/customers/:customer/credit?account=.
func (s *Site) giveCredit(c *fiber.Ctx) error {
	v, err := s.readCustomerCredit(c)
	if err != nil {
		return err
	}
	if key, err := uuid.Parse(c.FormValue("key")); err == nil {
		v.FormKey = key.String()
	}
	t, _ := surface.Tenant(c)
	v.Form = credit.Form{Key: v.FormKey, AccountID: v.In.ID, Amount: table.Text(c.FormValue("amount"), 40), Currency: v.In.Currency, ExpiresOn: table.Text(c.FormValue("expires"), 20), Note: strings.ToValidUTF8(c.FormValue("note"), "")}
	g, err := credit.GiveByHand(c.UserContext(), surface.DB(c), v.Form, zoneOf(t), office.By(c))
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/customer-credit", "Credit of "+v.In.Name, v)
	}
	return surface.Redirect(c, v.At+"?account="+v.In.ID.String(), "Gave "+g.Amount.Format("en")+" of credit to "+v.In.Name+".")
}

// takeCreditBack handles POST /manage/customers/:customer/credit/:grant/take-back?account=.
func (s *Site) takeCreditBack(c *fiber.Ctx) error {
	v, err := s.readCustomerCredit(c)
	if err != nil {
		return err
	}
	id, err := pathID(c, "grant", fault.New(fault.NotFound, "credit.not_found", "There is nothing left of this credit to take back."))
	if err != nil {
		return err
	}
	taken, err := credit.TakeBackByHand(c.UserContext(), surface.DB(c), v.In.ID, id, office.By(c))
	if err != nil {
		return err
	}
	return surface.Redirect(c, v.At+"?account="+v.In.ID.String(), "Took "+taken.Format("en")+" of credit back.")
}
