package office

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// Desk is where the people are looked after; central/staff and tenant/team have one.
type Desk interface {
	List(ctx context.Context, f roster.Filter) ([]roster.Member, int, error)
	Get(ctx context.Context, id uuid.UUID) (roster.Member, error)
	Add(ctx context.Context, in roster.Invitation, by roster.By) (identity.Person, error)
	InviteAgain(ctx context.Context, id uuid.UUID, by roster.By) error
	SetRole(ctx context.Context, id uuid.UUID, role identity.Role, by roster.By) error
	Disable(ctx context.Context, id uuid.UUID, by roster.By) error
	Enable(ctx context.Context, id uuid.UUID, by roster.By) error
	Remove(ctx context.Context, id uuid.UUID, by roster.By) error
	ResetFactor(ctx context.Context, id uuid.UUID, by roster.By) error
}

// Members are the pages about who works here.
type Members struct {
	Path   string // /staff or /manage/team
	Layout string
	Title  string // "Staff" or "Team"
	Lead   string
	Needs  identity.Permission
	Roles  []Role // in the order of their power
	Desk   func(*fiber.Ctx) Desk
	// Seats says how many there are of those there may be; 0: as many as one likes. Nil: so it is.
	Seats func(c *fiber.Ctx) (taken, most int, err error)
}

// Role is a role as people read it.
type Role struct {
	Value identity.Role
	Label string
	Says  string // what it may do, in a sentence
}

// Routes are the pages' routes.
func (m *Members) Routes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: m.Path + path, Needs: m.Needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", m.list),
		at("GET", "/new", m.form),
		at("POST", "", m.invite),
		at("GET", "/:person", m.one),
		at("POST", "/:person/role", m.setRole),
		at("POST", "/:person/invite", m.change("Sent a new invitation to %s.", Desk.InviteAgain)),
		at("POST", "/:person/disable", m.change("%s cannot sign in any more.", Desk.Disable)),
		at("POST", "/:person/enable", m.change("%s can sign in again.", Desk.Enable)),
		at("POST", "/:person/reset-factor", m.change("%s sets up a new second factor at the next sign-in.", Desk.ResetFactor)),
		at("POST", "/:person/remove", m.remove),
	}
}

// memberView is one member as the pages show them.
type memberView struct {
	roster.Member
	RoleLabel string
	Status    map[string]any
	Self      bool
}

func (m *Members) view(c *fiber.Ctx, x roster.Member) memberView {
	v := memberView{Member: x, RoleLabel: m.label(x.Role), Status: Status("good", "Active")}
	if p, ok := surface.Principal(c); ok {
		v.Self = p.PersonID == x.ID
	}
	switch x.State {
	case roster.Invited:
		v.Status = Status("info", "Invited")
	case roster.Disabled:
		v.Status = Status("idle", "Disabled")
		v.Status["Since"] = x.DisabledAt
	}
	return v
}

func (m *Members) label(r identity.Role) string {
	for _, known := range m.Roles {
		if known.Value == r {
			return known.Label
		}
	}
	return string(r)
}

type membersView struct {
	Title, Lead, Path string
	List              table.Request
	Rows              []memberView
	Total             int
	Roles             []Role
	Taken, Most       int // people, those invited included; Most 0: there is no limit
}

func (m *Members) list(c *fiber.Ctx) error {
	r := table.Read(c, "role", "state")
	f := roster.Filter{Text: r.Text, Role: identity.Role(r.Filters["role"]), State: roster.State(r.Filters["state"]), Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return m.csv(c, f)
	}
	found, total, err := m.Desk(c).List(c.UserContext(), f)
	if err != nil {
		return err
	}
	v := membersView{Title: m.Title, Lead: m.Lead, Path: m.Path, List: r, Total: total, Roles: m.Roles}
	if m.Seats != nil {
		if v.Taken, v.Most, err = m.Seats(c); err != nil {
			return err
		}
	}
	for _, x := range found {
		v.Rows = append(v.Rows, m.view(c, x))
	}
	return surface.Render(c, m.Layout, "office/members", m.Title, v)
}

func (m *Members) csv(c *fiber.Ctx, f roster.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]roster.Member, int, error) {
		f.Offset, f.Limit = offset, limit
		return m.Desk(c).List(c.UserContext(), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		factor := "no"
		if x.HasTOTP {
			factor = "yes"
		}
		rows[i] = []string{x.Name, x.Email, m.label(x.Role), string(x.State), factor, table.Time(x.LastSignIn), x.LastIP, table.Time(x.CreatedAt)}
	}
	return table.CSV(c, strings.ToLower(m.Title), []string{"name", "email", "role", "state", "second factor", "last sign-in", "address", "added"}, rows)
}

type inviteView struct {
	Title, Path string
	In          roster.Invitation
	Roles       []Role
}

func (m *Members) inviteView(in roster.Invitation) inviteView {
	if in.Role == "" && len(m.Roles) > 0 {
		in.Role = m.Roles[len(m.Roles)-1].Value
	}
	return inviteView{Title: m.Title, Path: m.Path, In: in, Roles: m.Roles}
}

func (m *Members) form(c *fiber.Ctx) error {
	return surface.Render(c, m.Layout, "office/member_new", "Invite somebody", m.inviteView(roster.Invitation{}))
}

func (m *Members) invite(c *fiber.Ctx) error {
	in := roster.Invitation{Name: c.FormValue("name"), Email: c.FormValue("email"), Role: identity.Role(c.FormValue("role"))}
	p, err := m.Desk(c).Add(c.UserContext(), in, Colleague(c))
	if err != nil {
		return surface.FormError(c, err, m.Layout, "office/member_new", "Invite somebody", m.inviteView(in))
	}
	return surface.Redirect(c, m.Path, "Sent an invitation to "+p.Email+".")
}

type oneView struct {
	Title, Path string
	Member      memberView
	Roles       []Role
	Role        identity.Role // as the form has it
}

func (m *Members) find(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("person"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "person.not_found", "There is no such person.")
	}
	return id, nil
}

func (m *Members) one(c *fiber.Ctx) error {
	id, err := m.find(c)
	if err != nil {
		return err
	}
	x, err := m.Desk(c).Get(c.UserContext(), id)
	if err != nil {
		return err
	}
	return surface.Render(c, m.Layout, "office/member", x.Name, oneView{Title: m.Title, Path: m.Path, Member: m.view(c, x), Roles: m.Roles, Role: x.Role})
}

func (m *Members) setRole(c *fiber.Ctx) error {
	id, err := m.find(c)
	if err != nil {
		return err
	}
	role := identity.Role(c.FormValue("role"))
	if err := m.Desk(c).SetRole(c.UserContext(), id, role, Colleague(c)); err != nil {
		return Refused(c, err, m.Path+"/"+id.String())
	}
	return surface.Redirect(c, m.Path+"/"+id.String(), "The role is "+m.label(role)+" from now on.")
}

// change makes the handler of a change that needs nothing but the person.
func (m *Members) change(done string, do func(Desk, context.Context, uuid.UUID, roster.By) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := m.find(c)
		if err != nil {
			return err
		}
		if err := do(m.Desk(c), c.UserContext(), id, Colleague(c)); err != nil {
			return Refused(c, err, m.Path+"/"+id.String())
		}
		x, err := m.Desk(c).Get(c.UserContext(), id)
		if err != nil {
			return err
		}
		return surface.Redirect(c, m.Path+"/"+id.String(), strings.Replace(done, "%s", x.Name, 1))
	}
}

// remove wants the address typed, for it cannot be undone.
func (m *Members) remove(c *fiber.Ctx) error {
	id, err := m.find(c)
	if err != nil {
		return err
	}
	x, err := m.Desk(c).Get(c.UserContext(), id)
	if err != nil {
		return err
	}
	if identity.EmailKey(c.FormValue("typed")) != identity.EmailKey(x.Email) {
		err = fault.Field("typed", "member.not_confirmed", "Type "+x.Email+" to confirm.")
	} else {
		err = m.Desk(c).Remove(c.UserContext(), id, Colleague(c))
	}
	if err != nil {
		return surface.FormError(c, err, m.Layout, "office/member", x.Name, oneView{Title: m.Title, Path: m.Path, Member: m.view(c, x), Roles: m.Roles, Role: x.Role})
	}
	return surface.Redirect(c, m.Path, "Removed "+x.Name+".")
}
