package web

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type tab struct {
	Href, Label string
	Active      bool
}

// resellerView is what all tabs of a reseller share.
type resellerView struct {
	R       reseller.Reseller
	Status  map[string]any
	Host    string
	URL     string
	Tabs    []tab
	Version int // that the schema should be at

	Resume, Activate, EndMaintenance bool // what the head offers
	Figures                          reseller.Figures
	Domains                          []domainRow
	Inside                           Inside
	InsideError                      string
	Members                          []memberRow
	Entries                          []office.EntryView
	Name                             string // as typed
	Actions                          []actionLink
	Use                              wholesale.Use
}

type domainRow struct {
	reseller.Domain
	Status map[string]any
}

type memberRow struct {
	Name, Email, Role string
	HasTOTP           bool
	Status            map[string]any
}

func (s *Console) resellerView(c *fiber.Ctx, r reseller.Reseller, active string) resellerView {
	p, _ := surface.Principal(c)
	base := "/resellers/" + r.ID.String()
	v := resellerView{R: r, Status: tenantStatus(r), Host: s.host(r), Version: s.Office.Watch.SchemaVersion, Name: r.Name}
	v.URL = "https://" + v.Host
	if s.Office.SiteURL != nil {
		v.URL = s.Office.SiteURL(c, v.Host)
	}
	for _, t := range []struct {
		path, label string
		needs       identity.Permission
	}{
		{"", "Overview", identity.ResellersRead}, {"/domains", "Domains and certificates", identity.DomainsRead}, {"/people", "People", identity.ResellersRead},
		{"/billing", "Billing", identity.WholesaleRead}, {"/agreed", "Agreed prices", identity.WholesaleRead}, {"/twins", "Twins", identity.ResellersRead},
		{"/activity", "Activity", identity.PlatformAudit}, {"/settings", "Settings and danger zone", identity.ResellersWrite},
	} {
		if p.May(t.needs) {
			v.Tabs = append(v.Tabs, tab{base + t.path, t.label, t.path == active})
		}
	}
	if p.May(identity.ResellersWrite) && r.DropRequestedAt.IsZero() {
		v.Resume = r.Status == tenancy.Suspended || r.Status == tenancy.Archived
		v.Activate = r.Status == tenancy.Trial || r.Status == tenancy.TrialEnded
		v.EndMaintenance = r.Status == tenancy.Maintenance
	}
	return v
}

func (s *Console) showReseller(c *fiber.Ctx) error {
	var use wholesale.Use
	r, figures, err := s.look(c, func(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) (err error) {
		use, err = wholesale.UseIn(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	v := s.resellerView(c, r, "")
	v.Figures, v.Use = figures, use
	s.peek(c, &v)
	return surface.Render(c, "console", "console/reseller", r.Name, v)
}

// peek looks inside, and says so when that cannot be done: the page must also work
// while a schema is being migrated or is gone.
func (s *Console) peek(c *fiber.Ctx, v *resellerView) {
	if s.Office.Peek == nil || v.R.Status == tenancy.Dropped {
		v.InsideError = "Nothing is left to look into."
		return
	}
	var err error
	if v.Inside, err = s.Office.Peek(c.UserContext(), v.R.ID); err != nil {
		v.InsideError = "The shop's own figures cannot be read at the moment."
	}
}

func (s *Console) showResellerDomains(c *fiber.Ctx) error {
	r, figures, err := s.look(c)
	if err != nil {
		return err
	}
	v := s.resellerView(c, r, "/domains")
	v.Figures = figures
	for _, d := range v.Figures.Domains {
		row := domainRow{d, domainStatus(d.State)}
		row.Status["Since"] = d.ChangedAt
		v.Domains = append(v.Domains, row)
	}
	return surface.Render(c, "console", "console/reseller_domains", r.Name, v)
}

func (s *Console) showResellerPeople(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v := s.resellerView(c, r, "/people")
	s.peek(c, &v)
	for _, m := range v.Inside.Members {
		row := memberRow{m.Name, m.Email, string(m.Role), m.HasTOTP, office.Status("good", "Active")}
		if m.State != "active" {
			row.Status = office.Status("idle", strings.ToUpper(string(m.State[:1]))+string(m.State[1:]))
		}
		v.Members = append(v.Members, row)
	}
	return surface.Render(c, "console", "console/reseller_people", r.Name, v)
}

// showPerson handles GET /people/:person: the audit trail names people, of whom some work here
// and some speak for a reseller. It leads to who they are.
func (s *Console) showPerson(c *fiber.Ctx) error {
	unknown := fault.New(fault.NotFound, "person.not_found", "There is no such person.")
	id, err := uuid.Parse(c.Params("person"))
	if err != nil {
		return unknown
	}
	if _, err = s.Office.Staff.Get(c.UserContext(), id); err == nil {
		return c.Redirect("/staff/"+id.String(), fiber.StatusSeeOther)
	}
	if !fault.Is(err, "person.not_found") {
		return err
	}
	shops, err := s.Wholesale.PartnersOf(c.UserContext(), id)
	if err != nil {
		return err
	}
	if len(shops) == 0 {
		return unknown
	}
	return c.Redirect("/resellers/"+shops[0].ID.String(), fiber.StatusSeeOther)
}

func (s *Console) showResellerActivity(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v := s.resellerView(c, r, "/activity")
	err = s.Central.View(c.UserContext(), func(tx *tenancy.CentralTx) error {
		target := reseller.Target(r.ID)
		found, err := audit.List(c.UserContext(), tx, audit.Filter{TargetKind: target.Kind, TargetID: target.ID, Limit: 100})
		v.Entries = office.Entries(found, nil)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/reseller_activity", r.Name, v)
}

func (s *Console) showResellerSettings(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/reseller_settings", r.Name, s.settingsView(c, r))
}

func (s *Console) settingsView(c *fiber.Ctx, r reseller.Reseller) resellerView {
	v := s.resellerView(c, r, "/settings")
	for _, a := range actions() {
		if a.confirm && a.possible(r) {
			v.Actions = append(v.Actions, actionLink{Href: "/resellers/" + r.ID.String() + "/do/" + a.name, Label: a.label, Says: a.says(r), Danger: a.danger})
		}
	}
	return v
}

func (s *Console) renameReseller(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	if err := s.Office.Resellers.Rename(c.UserContext(), r.ID, c.FormValue("name"), office.By(c)); err != nil {
		v := s.settingsView(c, r)
		v.Name = c.FormValue("name")
		return surface.FormError(c, err, "console", "console/reseller_settings", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/settings", "Saved the name.")
}

func (s *Console) setPolicy(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	policy := reseller.Policy{RequireTOTP: c.FormValue("require_totp") != ""}
	if err := s.Office.Resellers.SetPolicy(c.UserContext(), r.ID, policy, office.By(c)); err != nil {
		return office.Refused(c, err, "/resellers/"+r.ID.String()+"/settings")
	}
	said := "The team of " + r.Name + " may sign in without a second factor."
	if policy.RequireTOTP {
		said = "The team of " + r.Name + " must use a second factor from now on."
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/settings", said)
}
