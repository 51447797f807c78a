package web

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
)

// acting is the account the signed-in person acts for: the one chosen in this session, as
// long as they belong to it.
func acting(c *fiber.Ctx, tx *tenancy.Tx) (account.Acting, error) {
	s, _ := surface.Session(c)
	return actingFor(c, tx, s.Account)
}

// actingFor is acting with another wish: the account of the thing that is looked at. The
// page then says whose it is to those who belong to several.
func actingFor(c *fiber.Ctx, tx *tenancy.Tx, chosen uuid.UUID) (account.Acting, error) {
	p, _ := surface.Principal(c)
	a, err := account.Current(c.UserContext(), tx, p.PersonID, chosen)
	if err == nil && a.Accounts > 1 {
		surface.SetActing(c, a.Name)
	}
	return a, err
}

// customer is the signed-in customer, for changes of accounts.
func customer(c *fiber.Ctx) account.Caller {
	p, _ := surface.Principal(c)
	return account.Caller{Person: p.PersonID, Origin: office.By(c)}
}

// accountDesk is where customers change their own accounts.
func (s *Site) accountDesk() *account.Desk { return &account.Desk{Mail: s.SignIn.Mail} }

const accountsPath = "/client/accounts"

// accountsRoutes are the pages on which people choose for whom they act, and join.
func (s *Site) accountsRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", accountsPath, identity.SignedIn, s.listAccounts),
		at("POST", accountsPath, identity.SignedIn, s.openOwnAccount),
		at("POST", accountsPath+"/choose", identity.SignedIn, s.chooseAccount),
		at("GET", "/invitations/:offer", identity.Public, s.showInvitation),
		at("POST", "/invitations/:offer", identity.Public, s.takeInvitation),
	}
}

type membershipRow struct {
	account.Membership
	RoleLabel string
	Current   bool
}

type accountsView struct {
	Rows []membershipRow
	Name string // as typed
}

func (s *Site) accountsView(c *fiber.Ctx) (v accountsView, err error) {
	p, _ := surface.Principal(c)
	session, _ := surface.Session(c)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := account.Of(c.UserContext(), tx, p.PersonID)
		for _, m := range all {
			v.Rows = append(v.Rows, membershipRow{Membership: m, RoleLabel: m.Role.Label(), Current: m.AccountID == session.Account})
		}
		return err
	})
	for _, r := range v.Rows {
		if r.Current {
			return v, err
		}
	}
	if len(v.Rows) > 0 { // nothing was chosen, or what they do not belong to any more
		v.Rows[0].Current = true
	}
	return v, err
}

// listAccounts handles GET /client/accounts.
func (s *Site) listAccounts(c *fiber.Ctx) error {
	v, err := s.accountsView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/accounts", "Accounts", v)
}

// chooseAccount handles POST /client/accounts/choose. An account the person does not
// belong to is unknown.
func (s *Site) chooseAccount(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.FormValue("account"))
	if err != nil {
		return errNoAccount()
	}
	var a account.Acting
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		a, err = actingFor(c, tx, id)
		return err
	})
	if fault.Is(err, "account.none") || err == nil && a.AccountID != id {
		return errNoAccount()
	}
	if err != nil {
		return err
	}
	return s.actFor(c, id, "You act for "+a.Name+" now.")
}

func errNoAccount() error {
	return fault.New(fault.NotFound, "account.not_found", "There is no such account.")
}

// actFor keeps the choice in the session and goes to the overview.
func (s *Site) actFor(c *fiber.Ctx, id uuid.UUID, words string) error {
	if _, err := s.SignIn.Sessions.Choose(c.UserContext(), surface.Binding(c), surface.SessionToken(c), id); err != nil {
		return err
	}
	return surface.Redirect(c, "/client", words)
}

// openOwnAccount handles POST /client/accounts: another account, which the person owns.
func (s *Site) openOwnAccount(c *fiber.Ctx) error {
	person, ok := surface.Person(c)
	if !ok {
		return fault.New(fault.Unauthorized, "session.none", "Please sign in.")
	}
	v, err := s.accountsView(c)
	if err != nil {
		return err
	}
	v.Name = c.FormValue("account_name")
	var id uuid.UUID
	t, _ := surface.Tenant(c)
	err = surface.DB(c).Update(c.UserContext(), func(tx *tenancy.Tx) error {
		if err := account.MayOpen(c.UserContext(), tx, person.ID, v.Name); err != nil {
			return err
		}
		if id, err = openNumbered(c.UserContext(), tx, t, person, v.Name); err != nil {
			return err
		}
		return office.By(c).Record(c.UserContext(), tx, "account.opened", audit.Target{Kind: "account", ID: id.String()}, map[string]any{"name": v.Name})
	})
	if err != nil {
		return surface.FormError(c, err, "client", "client/accounts", "Accounts", v)
	}
	return s.actFor(c, id, "The account is there, and you act for it now.")
}

type invitationView struct {
	Offer  account.Offer
	Role   account.RoleInfo
	Action string
	Stage  string // join, sign_in, other, new
	Name   string // as typed
	Mine   string // address of who is signed in
	Next   string
}

func (s *Site) invitationView(c *fiber.Ctx) (v invitationView, err error) {
	token := c.Params("offer")
	v = invitationView{Action: account.InvitationPath(token), Name: c.FormValue("name"), Next: url.QueryEscape(account.InvitationPath(token))}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		v.Offer, err = account.Look(c.UserContext(), tx, token)
		return err
	})
	if err != nil {
		return v, err
	}
	for _, r := range account.Roles() {
		if r.Value == v.Offer.Role {
			v.Role = r
		}
	}
	switch p, ok := surface.Principal(c); {
	case ok && p.PersonID == v.Offer.Person:
		v.Stage = "join"
	case ok:
		v.Stage, v.Mine = "other", p.Email
	case v.Offer.CanSignIn:
		v.Stage = "sign_in"
	default:
		v.Stage = "new"
	}
	return v, nil
}

const invitationTitle = "An invitation"

// showInvitation handles GET /invitations/:offer. It uses nothing up: programs that
// check mails open links too.
func (s *Site) showInvitation(c *fiber.Ctx) error {
	surface.FormToken(c)
	v, err := s.invitationView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "auth", "auth/invitation", invitationTitle, v)
}

// takeInvitation handles POST /invitations/:offer: a member joins, or somebody new
// comes in and joins in one step.
func (s *Site) takeInvitation(c *fiber.Ctx) error {
	surface.FormToken(c)
	v, err := s.invitationView(c)
	if err != nil {
		return err
	}
	token := c.Params("offer")
	switch v.Stage {
	case "join":
		err = surface.DB(c).Update(c.UserContext(), func(tx *tenancy.Tx) error {
			_, err := account.Join(c.UserContext(), tx, token, customer(c))
			return err
		})
		if err != nil {
			return err
		}
		return s.actFor(c, v.Offer.AccountID, "Welcome. You act for "+v.Offer.Account+" now.")
	case "new":
		in := identity.NewPerson{Email: v.Offer.Email, Name: v.Name, Role: identity.CustomerMember, Password: c.FormValue("password")}
		if v.Offer.Person != uuid.Nil {
			in.Name = v.Offer.Name
		}
		came := func(ctx context.Context, tx tenancy.Statements, p identity.Person) error {
			own, ok := tx.(*tenancy.Tx)
			if !ok {
				return fmt.Errorf("join an account: not a tenant's transaction")
			}
			by := office.By(c)
			by.Actor = audit.Actor{Kind: string(p.World), ID: p.ID.String(), Name: p.Name}
			_, err := account.Join(ctx, own, token, account.Caller{Person: p.ID, Origin: by})
			return err
		}
		if err := s.customers().EnterInvited(c, in, came, "/client"); err != nil {
			return surface.FormError(c, err, "auth", "auth/invitation", invitationTitle, v)
		}
		return nil
	}
	return surface.Redirect(c, v.Action, "")
}
