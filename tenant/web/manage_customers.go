package web

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/overview"
)

type customerRow struct {
	account.Customer
	Status map[string]any
}

func customerStatus(x account.Customer) map[string]any {
	switch x.State {
	case account.Unverified:
		return office.Status("warn", "Not confirmed")
	case account.Disabled:
		m := office.Status("idle", "Disabled")
		m["Since"] = x.DisabledAt
		return m
	}
	return office.Status("good", "Active")
}

type customersView struct {
	List  table.Request
	Rows  []customerRow
	Total int
}

func (s *Site) listCustomers(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := account.Filter{Text: r.Text, State: account.State(r.Filters["state"]), Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return s.customersCSV(c, f)
	}
	found, total, err := s.customerDesk().List(c.UserContext(), surface.DB(c), f)
	if err != nil {
		return err
	}
	v := customersView{List: r, Total: total}
	for _, x := range found {
		v.Rows = append(v.Rows, customerRow{x, customerStatus(x)})
	}
	return surface.Render(c, "manage", "manage/customers", "Customers", v)
}

func (s *Site) customersCSV(c *fiber.Ctx, f account.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]account.Customer, int, error) {
		f.Offset, f.Limit = offset, limit
		return s.customerDesk().List(c.UserContext(), surface.DB(c), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.Name, x.Email, x.AccountName, string(x.State), table.Time(x.LastSignIn), table.Time(x.CreatedAt)}
	}
	return table.CSV(c, "customers", []string{"name", "email", "account", "state", "last sign-in", "since"}, rows)
}

type signInRow struct {
	account.SignIn
	Status map[string]any
}

type customerView struct {
	X       account.Detail
	Status  map[string]any
	SignIns []signInRow
	MayEdit bool
	// In is the account that is looked at, of those the customer belongs to; nil: none.
	In            *overview.Account
	InName        string
	InRole        string
	Accounts      []accountChoice
	Services      []officeServiceRow
	Subscriptions []officeSubscriptionRow
	Orders        []officeOrderRow
	Invoices      []invoiceRow
	Outstanding   []outstandingRow
	Members       []officeMemberRow
	Events        []eventRow
	Party         account.Party     // what decides its tax
	Exemption     account.Exemption // as typed
	Number        map[string]any    // what the register says of the VAT number; nil: nothing
	SeesServices  bool
	SeesSales     bool
}

type accountChoice struct {
	account.Account
	RoleLabel, Href string
	Current         bool
}

func customerID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("customer"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "customer.not_found", "There is no such customer.")
	}
	return id, nil
}

// showCustomer handles GET /manage/customers/:customer: the person, and what the account
// has that they belong to; with ?account= another one of theirs.
func (s *Site) showCustomer(c *fiber.Ctx) error {
	v, err := s.customerView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/customer", v.X.Name, v)
}

// saveExemption handles POST /manage/customers/:customer/exemption?account=.
func (s *Site) saveExemption(c *fiber.Ctx) error {
	v, err := s.customerView(c)
	if err != nil {
		return err
	}
	if v.In == nil {
		return errNoAccount()
	}
	v.Exemption = account.Exemption{Number: c.FormValue("exemption_number"), Note: c.FormValue("exemption_note"), From: c.FormValue("exemption_from"), To: c.FormValue("exemption_to"), Places: c.FormValue("exemption_places")}
	if err := account.SaveExemption(c.UserContext(), surface.DB(c), v.In.ID, v.Exemption, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/customer", v.X.Name, v)
	}
	return surface.Redirect(c, "/manage/customers/"+v.X.ID.String()+"?account="+v.In.ID.String(), "Saved. It counts for invoices from now on.")
}

// customerView reads what the page of a customer shows.
func (s *Site) customerView(c *fiber.Ctx) (customerView, error) {
	id, err := customerID(c)
	if err != nil {
		return customerView{}, err
	}
	p, _ := surface.Principal(c)
	v := customerView{MayEdit: p.May(identity.CustomersEdit), SeesServices: p.May(identity.ServicesRead), SeesSales: p.May(identity.SalesRead)}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.X, err = s.customerDesk().GetIn(c.UserContext(), tx, id); err != nil {
			return err
		}
		return v.look(c, tx)
	})
	if err != nil {
		return v, err
	}
	v.Exemption, v.Number = v.Party.Exemption, s.numberStatus(v.Party)
	v.Status = customerStatus(v.X.Customer)
	for _, in := range v.X.SignIns {
		v.SignIns = append(v.SignIns, signInRow{in, signInStatus(in.Outcome)})
	}
	return v, nil
}

func signInStatus(outcome string) map[string]any {
	switch outcome {
	case "ok":
		return office.Status("good", "Signed in")
	case "recovery_code":
		return office.Status("warn", "Signed in with a recovery code")
	case "wrong_password":
		return office.Status("bad", "Wrong password")
	case "wrong_code":
		return office.Status("bad", "Wrong code")
	case "throttled":
		return office.Status("warn", "Held back after many attempts")
	case "disabled":
		return office.Status("idle", "Refused: disabled")
	}
	return office.Status("idle", outcome)
}

func (s *Site) customerChange(done string, do func(*account.Desk, context.Context, *tenancy.DB, uuid.UUID, audit.Origin) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := customerID(c)
		if err != nil {
			return err
		}
		back := "/manage/customers/" + id.String()
		if err := do(s.customerDesk(), c.UserContext(), surface.DB(c), id, office.By(c)); err != nil {
			return office.Refused(c, err, back)
		}
		x, err := s.customerDesk().Get(c.UserContext(), surface.DB(c), id)
		if err != nil {
			return err
		}
		return surface.Redirect(c, back, strings.Replace(done, "%s", x.Name, 1))
	}
}
