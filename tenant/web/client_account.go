package web

import (
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
)

const accountPath = "/client/account"

// accountRoutes are the pages about the account the customer acts for.
func (s *Site) accountRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: accountPath + path, Needs: identity.SignedIn, Handler: h}
	}
	return []surface.Route{
		at("GET", "", s.showProfile),
		at("POST", "", s.saveProfile),
		at("POST", "/address", s.saveBillTo),
		at("GET", "/members", s.showMembers),
		at("POST", "/members", s.inviteMember),
		at("GET", "/members/:member", s.showMember),
		at("POST", "/members/:member/role", s.setMemberRole),
		at("POST", "/members/:member/remove", s.removeMember),
		at("POST", "/invitations/:invitation/again", s.inviteMemberAgain),
		at("POST", "/invitations/:invitation/withdraw", s.withdrawInvitation),
		at("GET", "/notifications", s.showNotices),
		at("POST", "/notifications", s.saveNotices),
		at("GET", "/activity", s.showAccountActivity),
	}
}

// accountHead is what every page about the account shows.
type accountHead struct {
	Acting    account.Acting
	RoleLabel string
	MayManage bool
	Tabs      []map[string]any
}

func headOf(a account.Acting, tab string) accountHead {
	h := accountHead{Acting: a, RoleLabel: a.Role.Label(), MayManage: a.May(account.Manage)}
	for _, t := range []struct{ label, path string }{{"Profile", ""}, {"Members", "/members"}, {"Invoicing", "/invoicing"}, {"Notifications", "/notifications"}, {"Activity", "/activity"}} {
		h.Tabs = append(h.Tabs, map[string]any{"Href": accountPath + t.path, "Label": t.label, "Active": t.path == tab})
	}
	return h
}

// inAccount runs fn with the account the customer acts for.
func inAccount(c *fiber.Ctx, fn func(tx *tenancy.Tx, a account.Acting) error) error {
	return surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := acting(c, tx)
		if err == nil {
			err = a.Must(account.See)
		}
		if err != nil {
			return err
		}
		return fn(tx, a)
	})
}

// actingID is the account that a change is asked for.
func actingID(c *fiber.Ctx) (a account.Acting, err error) {
	err = inAccount(c, func(_ *tenancy.Tx, got account.Acting) error {
		a = got
		return nil
	})
	return a, err
}

type profileView struct {
	accountHead
	Profile    account.Profile
	BillTo     account.BillTo
	Lines      []string // of the address, for those who may not change it
	Countries  []place.Choice
	Currencies []place.Choice
	Zones      []place.Choice
	SeesMoney  bool
	Number     map[string]any // what the register says of the VAT number; nil: nothing
}

func (s *Site) profileView(c *fiber.Ctx) (v profileView, err error) {
	err = inAccount(c, func(tx *tenancy.Tx, a account.Acting) error {
		v.accountHead, v.SeesMoney = headOf(a, ""), a.May(account.InvoicesSee)
		if v.Profile, err = account.GetProfile(c.UserContext(), tx, a.AccountID); err != nil {
			return err
		}
		p, err := account.ForInvoice(c.UserContext(), tx, a.AccountID)
		v.BillTo = account.BillTo{Kind: p.Kind, Address: p.Address, TaxID: p.TaxID}
		v.BillTo.Email = p.BillingEmail
		v.Number = s.numberStatus(p)
		if v.Lines = addressLines(p); !p.Complete() {
			v.Lines = nil
		}
		return err
	})
	v.offer()
	return v, err
}

// numberStatus says what the register of VAT numbers says of a party's; nil: there is
// nothing to say.
func (s *Site) numberStatus(p account.Party) map[string]any {
	id, k := billing.CleanTaxID(p.TaxID), p.NumberCheck
	if id == "" || !billing.InEU(p.Country) || !s.AsksRegister && k.Number != id {
		return nil
	}
	say := func(kind, text string, since time.Time) map[string]any {
		m := office.Status(kind, text)
		if !since.IsZero() {
			m["Since"] = since
		}
		return m
	}
	answered := func() time.Time {
		if k.AnsweredAt == nil {
			return time.Time{}
		}
		return *k.AnsweredAt
	}
	switch {
	case k.Number != id:
		return office.Status("idle", "Not asked about yet")
	case k.State == billing.NumberConfirmed:
		return say("good", "Confirmed by the EU's register", answered())
	case k.State == billing.NumberRefused:
		return say("bad", "Not known to the EU's register", answered())
	}
	return say("warn", "The EU's register gives no answer yet, asked", k.AskedAt)
}

// offer fills the lists of the forms.
func (v *profileView) offer() {
	if v.BillTo.Kind == "" {
		v.BillTo.Kind = "person"
	}
	v.Countries = append([]place.Choice{{Value: "", Label: "Please choose"}}, place.Countries()...)
	v.Zones = place.Zones(v.Profile.TimeZone)
	names := map[string]string{}
	for _, x := range place.Currencies("") {
		names[x.Value] = x.Label
	}
	v.Currencies = nil
	for _, x := range v.Profile.Currencies {
		label := names[x]
		if label == "" {
			label = x
		}
		v.Currencies = append(v.Currencies, place.Choice{Value: x, Label: label})
	}
}

const accountTitle = "Account"

// showProfile handles GET /client/account.
func (s *Site) showProfile(c *fiber.Ctx) error {
	v, err := s.profileView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/account", accountTitle, v)
}

// profileRefused shows the page again with what was typed.
func (s *Site) profileRefused(c *fiber.Ctx, refused error, put func(*profileView)) error {
	v, err := s.profileView(c)
	if err != nil {
		return err
	}
	put(&v)
	return surface.FormError(c, refused, "client", "client/account", accountTitle, v)
}

// saveProfile handles POST /client/account.
func (s *Site) saveProfile(c *fiber.Ctx) error {
	a, err := actingID(c)
	if err != nil {
		return err
	}
	in := account.Profile{Name: c.FormValue("account_name"), Currency: c.FormValue("currency"), TimeZone: c.FormValue("time_zone")}
	if err := s.accountDesk().SaveProfile(c.UserContext(), surface.DB(c), a.AccountID, in, customer(c)); err != nil {
		return s.profileRefused(c, err, func(v *profileView) {
			v.Profile.Name = in.Name
			if !v.Profile.Fixed {
				v.Profile.Currency, v.Profile.TimeZone = in.Currency, in.TimeZone
			}
		})
	}
	return surface.Redirect(c, accountPath, "Saved.")
}

// formBillTo reads an address for invoices from a form.
func formBillTo(c *fiber.Ctx) account.BillTo {
	return account.BillTo{Kind: c.FormValue("kind"), TaxID: c.FormValue("tax_id"), Address: account.Address{
		Name: c.FormValue("name"), Company: c.FormValue("company"), Line1: c.FormValue("line1"), Line2: c.FormValue("line2"), Postcode: c.FormValue("postcode"),
		City: c.FormValue("city"), Region: c.FormValue("region"), Country: c.FormValue("country"), Email: c.FormValue("billing_email"), Phone: c.FormValue("phone"), Reference: c.FormValue("reference"),
	}}
}

// saveBillTo handles POST /client/account/address.
func (s *Site) saveBillTo(c *fiber.Ctx) error {
	a, err := actingID(c)
	if err == nil {
		err = a.Must(account.Manage)
	}
	if err != nil {
		return err
	}
	b := formBillTo(c)
	if err := account.SaveBillTo(c.UserContext(), surface.DB(c), a.AccountID, b, office.By(c)); err != nil {
		return s.profileRefused(c, err, func(v *profileView) { v.BillTo = b })
	}
	return surface.Redirect(c, accountPath, "Saved. Invoices from now on go to this address.")
}

type noticeRow struct {
	Name, Title, Text, Always string
	Roles                     []noticeRole
}

type noticeRole struct {
	Field, Label string
	Chosen       bool
}

type noticesView struct {
	accountHead
	Rows    []noticeRow
	Email   string // for invoices
	Reminds bool   // before renewals
}

func noticeRows(n account.Notices, email string) []noticeRow {
	rows := []noticeRow{
		{Name: string(account.AboutServices), Title: "Services", Text: "When a service is ready, suspended, released, or cannot be found any more.", Always: "Owners always get these."},
		{Name: string(account.AboutMoney), Title: "Invoices and payments", Text: "Invoices, receipts, credit notes, reminders and failed payments, each as a copy.", Always: email + " always gets these."},
	}
	for i, r := range rows {
		k := account.Notice(r.Name)
		for _, role := range k.MayGet() {
			rows[i].Roles = append(rows[i].Roles, noticeRole{Field: r.Name + "_" + string(role), Label: role.Label(), Chosen: slices.Contains(n[k], role)})
		}
	}
	return rows
}

// showNotices handles GET /client/account/notifications.
func (s *Site) showNotices(c *fiber.Ctx) error {
	var v noticesView
	err := inAccount(c, func(tx *tenancy.Tx, a account.Acting) error {
		v.accountHead = headOf(a, "/notifications")
		n, err := account.GetNotices(c.UserContext(), tx, a.AccountID)
		if err != nil {
			return err
		}
		p, err := account.ForInvoice(c.UserContext(), tx, a.AccountID)
		v.Rows, v.Email, v.Reminds = noticeRows(n, p.Email), p.Email, n.Reminds()
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/account_notices", "Notifications", v)
}

// saveNotices handles POST /client/account/notifications.
func (s *Site) saveNotices(c *fiber.Ctx) error {
	a, err := actingID(c)
	if err != nil {
		return err
	}
	n := account.Notices{}
	for _, k := range []account.Notice{account.AboutServices, account.AboutMoney} {
		for _, role := range k.MayGet() {
			if c.FormValue(string(k)+"_"+string(role)) != "" {
				n[k] = append(n[k], role)
			}
		}
	}
	n.Remind(c.FormValue("reminders_shown") == "" || c.FormValue("reminders") != "")
	if err := s.accountDesk().SaveNotices(c.UserContext(), surface.DB(c), a.AccountID, n, customer(c)); err != nil {
		return err
	}
	return surface.Redirect(c, accountPath+"/notifications", "Saved.")
}

// eventRow is one thing that happened, with where to look at it.
type eventRow struct {
	activity.Told
	Href string
}

type accountActivityView struct {
	accountHead
	Events []eventRow
	List   table.Request
	Pages  map[string]string
}

// showAccountActivity handles GET /client/account/activity.
func (s *Site) showAccountActivity(c *fiber.Ctx) error {
	var v accountActivityView
	v.List = table.Read(c)
	err := inAccount(c, func(tx *tenancy.Tx, a account.Acting) error {
		v.accountHead = headOf(a, "/activity")
		f := activity.Filter{AccountID: a.AccountID, CustomerView: true, Offset: v.List.Offset(), Limit: v.List.Limit() + 1, Without: hiddenKinds(a)}
		all, err := activity.List(c.UserContext(), tx, f)
		v.Events = eventRows(all, "/client")
		return err
	})
	if err != nil {
		return err
	}
	v.Pages = v.List.Pages(v.List.Offset() + len(v.Events))
	delete(v.Pages, "Text") // how many there are in all is not counted
	if len(v.Events) > v.List.Limit() {
		v.Events = v.Events[:v.List.Limit()]
	}
	return surface.Render(c, "client", "client/account_activity", "Activity", v)
}

// hiddenKinds are the subjects that a role may not see.
func hiddenKinds(a account.Acting) []string {
	if a.May(account.InvoicesSee) {
		return nil
	}
	return []string{activity.Invoice, activity.Payment, activity.Order}
}

// eventRows links each event to the page of what it is about, below /client or /manage.
func eventRows(all []activity.Told, root string) []eventRow {
	paths := map[string]string{activity.Service: "/services/", activity.Invoice: "/invoices/", activity.Order: "/orders/", activity.Subscription: "/subscriptions/", activity.Payment: "/payments/"}
	rows := make([]eventRow, len(all))
	for i, e := range all {
		rows[i] = eventRow{Told: e}
		if p := paths[e.SubjectKind]; p != "" {
			rows[i].Href = root + p + e.SubjectID.String()
		}
	}
	return rows
}
