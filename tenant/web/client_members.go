package web

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

type memberRow struct {
	account.Member
	RoleLabel string
	Status    map[string]any
	Self      bool
	MayChange bool
}

type invitationRow struct {
	account.Invitation
	RoleLabel string
	Status    map[string]any
}

type membersView struct {
	accountHead
	Rows  []memberRow
	Open  []invitationRow
	Roles []account.RoleInfo // that the customer may give
	Email string             // as typed
	Role  string
}

func memberRowOf(m account.Member, a account.Acting, self uuid.UUID) memberRow {
	r := memberRow{Member: m, RoleLabel: m.Role.Label(), Self: m.PersonID == self, Status: office.Status("good", "Active")}
	r.MayChange = a.May(account.Manage) && (m.Role != account.Owner || a.Role == account.Owner)
	switch {
	case m.Disabled:
		r.Status = office.Status("idle", "Cannot sign in")
	case m.LastSignIn.IsZero():
		r.Status = office.Status("info", "Has not signed in yet")
	}
	return r
}

// given lists the roles somebody may give.
func given(a account.Acting) []account.RoleInfo {
	all := account.Roles()
	if a.Role != account.Owner {
		all = slices.DeleteFunc(all, func(r account.RoleInfo) bool { return r.Value == account.Owner })
	}
	return all
}

func (s *Site) membersView(c *fiber.Ctx) (v membersView, err error) {
	p, _ := surface.Principal(c)
	err = inAccount(c, func(tx *tenancy.Tx, a account.Acting) error {
		v.accountHead, v.Roles, v.Role = headOf(a, "/members"), given(a), string(account.Technical)
		all, err := account.Members(c.UserContext(), tx, a.AccountID)
		if err != nil {
			return err
		}
		for _, m := range all {
			v.Rows = append(v.Rows, memberRowOf(m, a, p.PersonID))
		}
		if !v.MayManage {
			return nil
		}
		open, err := account.Invitations(c.UserContext(), tx, a.AccountID)
		for _, i := range open {
			r := invitationRow{i, i.Role.Label(), office.Status("info", "Open")}
			if i.Expired {
				r.Status = office.Status("warn", "Too old")
			}
			v.Open = append(v.Open, r)
		}
		return err
	})
	return v, err
}

// showMembers handles GET /client/account/members.
func (s *Site) showMembers(c *fiber.Ctx) error {
	v, err := s.membersView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/account_members", "Members", v)
}

// inviteMember handles POST /client/account/members.
func (s *Site) inviteMember(c *fiber.Ctx) error {
	v, err := s.membersView(c)
	if err != nil {
		return err
	}
	v.Email, v.Role = strings.TrimSpace(c.FormValue("email")), c.FormValue("role")
	if err := s.accountDesk().Invite(c.UserContext(), surface.DB(c), v.Acting.AccountID, v.Email, account.Role(v.Role), customer(c)); err != nil {
		return surface.FormError(c, err, "client", "client/account_members", "Members", v)
	}
	return surface.Redirect(c, accountPath+"/members", "Sent an invitation to "+v.Email+".")
}

type memberPage struct {
	accountHead
	X     memberRow
	Roles []account.RoleInfo
	Role  string // as the form has it
	At    string
}

var errNoMember = fault.New(fault.NotFound, "account.no_member", "There is no such member.")

func (s *Site) memberPage(c *fiber.Ctx) (v memberPage, err error) {
	id, err := pathID(c, "member", errNoMember)
	if err != nil {
		return v, err
	}
	all, err := s.membersView(c)
	if err != nil {
		return v, err
	}
	for _, r := range all.Rows {
		if r.PersonID == id {
			return memberPage{accountHead: all.accountHead, X: r, Roles: all.Roles, Role: string(r.Role), At: accountPath + "/members/" + id.String()}, nil
		}
	}
	return v, errNoMember
}

// showMember handles GET /client/account/members/:member.
func (s *Site) showMember(c *fiber.Ctx) error {
	v, err := s.memberPage(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/account_member", v.X.Name, v)
}

// setMemberRole handles POST /client/account/members/:member/role.
func (s *Site) setMemberRole(c *fiber.Ctx) error {
	v, err := s.memberPage(c)
	if err != nil {
		return err
	}
	role := account.Role(c.FormValue("role"))
	if err := s.accountDesk().SetRole(c.UserContext(), surface.DB(c), v.Acting.AccountID, v.X.PersonID, role, customer(c)); err != nil {
		if fault.From(err).Kind == fault.Invalid {
			return surface.FormError(c, err, "client", "client/account_member", v.X.Name, v)
		}
		return office.Refused(c, err, v.At)
	}
	return surface.Redirect(c, accountPath+"/members", v.X.Name+" is "+role.Label()+" from now on.")
}

// removeMember handles POST /client/account/members/:member/remove: of oneself, it is
// leaving.
func (s *Site) removeMember(c *fiber.Ctx) error {
	v, err := s.memberPage(c)
	if err != nil {
		return err
	}
	if err := s.accountDesk().Remove(c.UserContext(), surface.DB(c), v.Acting.AccountID, v.X.PersonID, customer(c)); err != nil {
		return office.Refused(c, err, v.At)
	}
	if v.X.Self {
		return surface.Redirect(c, accountsPath, "You have left "+v.Acting.Name+".")
	}
	return surface.Redirect(c, accountPath+"/members", v.X.Name+" is no longer a member.")
}

// onInvitation makes the handler of a change of an open invitation.
func (s *Site) onInvitation(c *fiber.Ctx, done string, do func(d *account.Desk, db *tenancy.DB, of uuid.UUID, invitation string, by account.Caller) error) error {
	a, err := actingID(c)
	if err != nil {
		return err
	}
	back := accountPath + "/members"
	if err := do(s.accountDesk(), surface.DB(c), a.AccountID, c.Params("invitation"), customer(c)); err != nil {
		if fault.Is(err, "account.forbidden") {
			return err
		}
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, done)
}

// inviteMemberAgain handles POST /client/account/invitations/:invitation/again.
func (s *Site) inviteMemberAgain(c *fiber.Ctx) error {
	return s.onInvitation(c, "Sent a new link. The one before does not work any more.", func(d *account.Desk, db *tenancy.DB, of uuid.UUID, invitation string, by account.Caller) error {
		return d.InviteAgain(c.UserContext(), db, of, invitation, by)
	})
}

// withdrawInvitation handles POST /client/account/invitations/:invitation/withdraw.
func (s *Site) withdrawInvitation(c *fiber.Ctx) error {
	return s.onInvitation(c, "The invitation is withdrawn.", func(d *account.Desk, db *tenancy.DB, of uuid.UUID, invitation string, by account.Caller) error {
		return d.Withdraw(c.UserContext(), db, of, invitation, by)
	})
}
