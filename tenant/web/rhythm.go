package web

import (
	"strconv"
	"strings"

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
	"github.com/ezscale/ezscale/tenant/renewal"
)

// When an account is invoiced: what its customer and the team say of it.

const (
	rhythmPath  = accountPath + "/invoicing"
	rhythmTitle = "Invoicing"
)

func (s *Site) rhythmRoutes() []surface.Route {
	return []surface.Route{
		{Method: "GET", Path: rhythmPath, Needs: identity.SignedIn, Handler: s.showRhythm},
		{Method: "POST", Path: rhythmPath, Needs: identity.SignedIn, Handler: s.saveRhythm},
		{Method: "GET", Path: "/manage/customers/:customer/invoicing", Needs: identity.SalesRead, Handler: s.showCustomerRhythm},
		{Method: "POST", Path: "/manage/customers/:customer/invoicing", Needs: identity.SalesWrite, Handler: s.saveCustomerRhythm},
		{Method: "POST", Path: "/manage/customers/:customer/invoicing/terms", Needs: identity.SalesWrite, Handler: s.saveCustomerTerms},
	}
}

// rhythmForm is what can be said, on either surface.
type rhythmForm struct {
	At       string // where it is sent to
	MayEdit  bool
	Together string // empty: as the shop says; yes, no
	Choices  []place.Choice
	BillDay  string // empty: each its own
	Days     []place.Choice
	Day      string            // "1st"; empty: there is none
	Others   []subscriptionRow // that could be moved to the day
	Root     string            // of the pages about subscriptions
	MayMove  bool
	Terms    string // days to pay; empty: none of the account's own
	Due      string // "30 days after they are issued"; empty: as usual
}

func newRhythmForm(r renewal.Rhythm, at string, mayEdit bool) rhythmForm {
	f := rhythmForm{At: at, MayEdit: mayEdit}
	usual := "each renewal has its own"
	if r.ShopTogether {
		usual = "one a day"
	}
	f.Choices = []place.Choice{{Value: "", Label: "As usual here: " + usual}, {Value: "yes", Label: "One invoice a day for all that renews"}, {Value: "no", Label: "Each renewal has an invoice of its own"}}
	f.Days = []place.Choice{{Value: "", Label: "Each its own"}}
	for day := 1; day <= billing.LastBillDay; day++ {
		f.Days = append(f.Days, place.Choice{Value: strconv.Itoa(day), Label: "The " + billing.Ordinal(day) + " of the month"})
	}
	if r.BillDay > 0 {
		f.BillDay, f.Day = strconv.Itoa(r.BillDay), billing.Ordinal(r.BillDay)
	}
	if r.TermDays > 0 {
		f.Terms, f.Due = strconv.Itoa(r.TermDays), strconv.Itoa(r.TermDays)+" days after they are issued"
		if r.TermDays == 1 {
			f.Due = "a day after they are issued"
		}
	}
	if r.Together != nil {
		f.Together = map[bool]string{true: "yes", false: "no"}[*r.Together]
	}
	return f
}

// elsewhere lists what of an account could be moved to its bill day.
func (f *rhythmForm) elsewhere(c *fiber.Ctx, tx *tenancy.Tx, of uuid.UUID, root string, mayMove bool) error {
	f.Root, f.MayMove = root, mayMove
	if f.BillDay == "" {
		return nil
	}
	found, err := renewal.List(c.UserContext(), tx, renewal.Filter{AccountID: of, State: renewal.Active, Uncounted: true})
	for _, row := range subscriptionRows(found) {
		if row.MayMove(tx.Now()) {
			f.Others = append(f.Others, row)
		}
	}
	return err
}

// saveRhythmOf keeps what the form says for an account.
func saveRhythmOf(c *fiber.Ctx, of uuid.UUID) error {
	var is renewal.Rhythm
	switch c.FormValue("together") {
	case "":
	case "yes":
		is.Together = new(true)
	case "no":
		is.Together = new(false)
	default:
		return fault.Field("together", "account.bad_invoicing", "Please choose one.")
	}
	if day := c.FormValue("bill_day"); day != "" {
		n, err := strconv.Atoi(day)
		if err != nil || n == 0 {
			n = -1 // refused with what may be given
		}
		is.BillDay = n
	}
	return renewal.SetRhythm(c.UserContext(), surface.DB(c), of, is, office.By(c))
}

// quoteBillDay handles POST …/:subscription/bill-day: what moving to the bill day comes to.
func (s *Site) quoteBillDay(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	q, err := s.renewalDesk().QuoteChange(c.UserContext(), surface.DB(c), renewal.ChangeAsk{SubscriptionID: w.id, AccountID: w.account, ToBillDay: true})
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at+"/change/"+q.ID.String(), "")
}

type rhythmView struct {
	accountHead
	Form rhythmForm
}

// readRhythm reads what the account says that the customer acts for.
func readRhythm(c *fiber.Ctx) (v rhythmView, err error) {
	err = inAccount(c, func(tx *tenancy.Tx, a account.Acting) error {
		r, err := renewal.RhythmOf(c.UserContext(), tx, a.AccountID)
		if err != nil {
			return err
		}
		v = rhythmView{headOf(a, "/invoicing"), newRhythmForm(r, rhythmPath, a.May(account.Pay))}
		return v.Form.elsewhere(c, tx, a.AccountID, "/client/subscriptions/", a.May(account.Buy))
	})
	return v, err
}

// showRhythm handles GET /client/account/invoicing.
func (s *Site) showRhythm(c *fiber.Ctx) error {
	v, err := readRhythm(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/account_invoicing", rhythmTitle, v)
}

// saveRhythm handles POST of the same.
func (s *Site) saveRhythm(c *fiber.Ctx) error {
	a, err := actingID(c)
	if err == nil {
		err = a.Must(account.Pay)
	}
	if err != nil {
		return err
	}
	if err := saveRhythmOf(c, a.AccountID); err != nil {
		v, failed := readRhythm(c)
		if failed != nil {
			return failed
		}
		return surface.FormError(c, err, "client", "client/account_invoicing", rhythmTitle, v)
	}
	return surface.Redirect(c, rhythmPath, "Saved. Invoices that are not made yet follow it.")
}

// customerRhythm is the page of one account of a customer.
type customerRhythm struct {
	X    account.Detail
	In   account.Account
	Form rhythmForm
}

// readCustomerRhythm reads the account that was asked for, or the first; one the customer
// does not belong to is unknown.
func (s *Site) readCustomerRhythm(c *fiber.Ctx) (v customerRhythm, err error) {
	id, err := customerID(c)
	if err != nil {
		return v, err
	}
	p, _ := surface.Principal(c)
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
		r, err := renewal.RhythmOf(c.UserContext(), tx, v.In.ID)
		if err != nil {
			return err
		}
		v.Form = newRhythmForm(r, "/manage/customers/"+v.X.ID.String()+"/invoicing?account="+v.In.ID.String(), p.May(identity.SalesWrite))
		return v.Form.elsewhere(c, tx, v.In.ID, "/manage/subscriptions/", v.Form.MayEdit)
	})
	return v, err
}

// showCustomerRhythm handles GET /manage/customers/:customer/invoicing?account=.
func (s *Site) showCustomerRhythm(c *fiber.Ctx) error {
	v, err := s.readCustomerRhythm(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/customer-invoicing", "Invoicing of "+v.In.Name, v)
}

// saveCustomerRhythm handles POST of the same.
func (s *Site) saveCustomerRhythm(c *fiber.Ctx) error {
	v, err := s.readCustomerRhythm(c)
	if err != nil {
		return err
	}
	if err := saveRhythmOf(c, v.In.ID); err != nil {
		return surface.FormError(c, err, "manage", "manage/customer-invoicing", "Invoicing of "+v.In.Name, v)
	}
	return surface.Redirect(c, v.Form.At, "Saved. Invoices that are not made yet follow it.")
}

// saveCustomerTerms handles POST /manage/customers/:customer/invoicing/terms?account=.
func (s *Site) saveCustomerTerms(c *fiber.Ctx) error {
	v, err := s.readCustomerRhythm(c)
	if err != nil {
		return err
	}
	days := 0
	if v.Form.Terms = strings.TrimSpace(table.Text(c.FormValue("term_days"), 10)); v.Form.Terms != "" {
		if days, err = strconv.Atoi(v.Form.Terms); err != nil {
			days = -1 // refused with what may be given
		}
	}
	if err := renewal.SetTerms(c.UserContext(), surface.DB(c), v.In.ID, days, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/customer-invoicing", "Invoicing of "+v.In.Name, v)
	}
	return surface.Redirect(c, v.Form.At, "Saved. Invoices that are not made yet follow it.")
}
