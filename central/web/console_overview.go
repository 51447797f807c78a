package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/watch"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// burning is one line of what wants a person.
type burning struct {
	Text, Detail, Href string
	Status             map[string]any
	Since              time.Time
}

type overviewView struct {
	watch.Overview
	Burning   []burning
	More      int // troubles counted and not named
	DeadJobs  int64
	Active    int
	Trials    int
	MayCreate bool
}

func (s *Console) overview(c *fiber.Ctx) error {
	o, err := s.Office.Watch.Overview(c.UserContext())
	if err != nil {
		return err
	}
	v := overviewView{Overview: o, Active: o.ByStatus[tenancy.Active], Trials: o.ByStatus[tenancy.Trial]}
	p, _ := surface.Principal(c)
	v.MayCreate = p.May(identity.ResellersWrite)
	for _, t := range o.Troubles {
		v.Burning = append(v.Burning, burn(t))
	}
	for _, n := range o.TroubleCount {
		v.More += n
	}
	v.More -= len(o.Troubles)
	if s.Office.Jobs != nil && p.May(identity.JobsRead) {
		counts, err := s.Office.Jobs.Count(c.UserContext())
		if err != nil {
			return err
		}
		v.DeadJobs = counts[queue.StateDead]
	}
	return surface.Render(c, "console", "console/overview", "Overview", v)
}

func burn(t watch.Trouble) burning {
	b := burning{Detail: t.Detail, Since: t.Since}
	if !t.Tenant.IsZero() {
		b.Href = "/resellers/" + t.Tenant.String()
	}
	switch t.Kind {
	case "domain":
		b.Text, b.Status, b.Href = t.What+" of "+t.Name, office.Status("bad", domainWord(t.State)), b.Href+"/domains"
	case "certificate":
		b.Text, b.Status, b.Href = "Certificate of "+t.What, office.Status("warn", "Ends soon"), b.Href+"/domains"
	case "platform_name":
		b.Text, b.Status = "The platform's own name "+t.What, office.Status("bad", "No certificate")
	case "platform":
		b.Text, b.Status, b.Href = "Platform "+t.Name, office.Status("bad", "Down"), "/platforms/"+t.What
	case "full":
		b.Text, b.Status, b.Href = t.Name, office.Status("warn", "No room left"), "/platforms/"+t.What
	case "service":
		b.Text, b.Status, b.Href = t.What+" of "+t.Name, office.Status("bad", "Cannot go on"), "/services/"+t.Tenant.String()+"/"+t.State
	case "migration":
		b.Text, b.Status = t.Name+" is at "+t.What, office.Status("bad", "Migration failed")
	case "maintenance":
		b.Text, b.Status = t.Name, office.Status("warn", "In maintenance")
	case "behind":
		b.Text, b.Status = t.Name+" is at "+t.What, office.Status("info", "Behind")
	}
	return b
}

// domainWord is a domain's state as people read it.
func domainWord(state string) string {
	words := map[string]string{
		"pending": "Waiting for records", "verified": "Verified", "issuing": "Issuing certificate", "active": "Active",
		"misdirected": "Points elsewhere", "conflict": "Held by another", "caa_forbids": "CAA forbids", "rate_limited": "Waiting for the authority",
		"failing": "Failing", "drifted": "Drifted", "removed": "Removed",
	}
	if w := words[state]; w != "" {
		return w
	}
	return state
}

func domainStatus(state string) map[string]any {
	kind := "info"
	switch state {
	case "active":
		kind = "good"
	case "issuing":
		kind = "busy"
	case "rate_limited", "drifted", "misdirected":
		kind = "warn"
	case "failing", "conflict", "caa_forbids":
		kind = "bad"
	case "removed":
		kind = "idle"
	}
	return office.Status(kind, domainWord(state))
}

// tenantStatus is a reseller's status as people read it.
func tenantStatus(r reseller.Reseller) map[string]any {
	kind, text := "idle", string(r.Status)
	switch r.Status {
	case tenancy.Active:
		kind, text = "good", "Active"
	case tenancy.Trial:
		kind, text = "info", "Trial"
	case tenancy.TrialEnded:
		kind, text = "warn", "Trial ended"
	case tenancy.Suspended:
		kind, text = "bad", "Suspended"
	case tenancy.Maintenance:
		kind, text = "warn", "Maintenance"
	case tenancy.Archived:
		text = "Archived"
		if !r.DropRequestedAt.IsZero() {
			kind, text = "busy", "Being removed"
		}
	case tenancy.Dropped:
		text = "Dropped"
	}
	m := office.Status(kind, text)
	m["Since"] = r.StatusSince
	return m
}

type systemView struct {
	watch.System
	Parts []Part
}

func (s *Console) showSystem(c *fiber.Ctx) error {
	sys, err := s.Office.Watch.System(c.UserContext())
	if err != nil {
		return err
	}
	v := systemView{System: sys}
	if s.Office.Parts != nil {
		v.Parts = s.Office.Parts(c.UserContext())
	}
	return surface.Render(c, "console", "console/system", "System", v)
}

// paletteEntry is one entry of the palette.
type paletteEntry struct {
	Text string `json:"text"`
	Kind string `json:"kind"`
	Href string `json:"href"`
}

// palette answers the command palette with pages and, once something is typed, with
// resellers.
func (s *Console) palette(c *fiber.Ctx) error {
	p, _ := surface.Principal(c)
	places := []paletteEntry{}
	for _, n := range Nav(p) {
		places = append(places, paletteEntry{n.Label, "Go to", n.Href})
	}
	if p.May(identity.ResellersWrite) {
		places = append(places, paletteEntry{"New reseller", "Do", "/resellers/new"})
	}
	if q := table.Text(c.Query("q"), 100); q != "" && p.May(identity.ResellersRead) {
		found, _, err := s.Office.Resellers.List(c.UserContext(), reseller.Filter{Text: q, Sort: "name", Limit: 8})
		if err != nil {
			return err
		}
		for _, r := range found {
			places = append(places, paletteEntry{r.Name + " (" + r.Slug + ", " + strconv.FormatInt(r.ID.Number(), 10) + ")", "Reseller", "/resellers/" + r.ID.String()})
		}
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(places)
}
