package web

import (
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func numberText(n int64) string { return strconv.FormatInt(n, 10) }

type serviceRow struct {
	platform.Service
	Status map[string]any
}

// serviceStatus says how a service is, and what it should be where that differs.
func serviceStatus(s platform.Service) map[string]any {
	m := office.Status("idle", s.Observed)
	switch {
	case !s.EndedAt.IsZero():
		m = office.Status("idle", "Ended")
	case s.Problem != "":
		m = office.Status("bad", "Problem")
	case s.Desired == "terminated":
		m = office.Status("busy", "Being removed")
	case s.Observed == "gone":
		m = office.Status("bad", "Gone")
	case s.Observed == "failed":
		m = office.Status("bad", "Failed")
	case s.Observed == "none", s.Observed == "installing":
		m = office.Status("busy", "Being made")
	case s.Observed != s.Desired:
		m = office.Status("busy", "Changing to "+s.Desired)
	case s.Observed == "suspended":
		m = office.Status("warn", "Suspended")
	case s.Observed == "active":
		m = office.Status("good", "Active")
	}
	return m
}

type servicesView struct {
	List      table.Request
	Rows      []serviceRow
	Total     int
	States    []choice
	Platforms []choice
	Reseller  string // the filter's
}

func (s *Console) listServices(c *fiber.Ctx) error {
	r := table.Read(c, "state", "platform", "tenant")
	f := platform.ServiceFilter{Text: r.Text, State: r.Filters["state"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if id, err := uuid.Parse(r.Filters["platform"]); err == nil {
		f.Platform = id
	}
	if id, err := tenancy.ParseID(r.Filters["tenant"]); err == nil {
		f.Tenant = id
	}
	if r.CSV {
		return s.servicesCSV(c, f)
	}
	found, total, err := s.Office.Platforms.Services(c.UserContext(), f)
	if err != nil {
		return err
	}
	all, err := s.Office.Platforms.List(c.UserContext())
	if err != nil {
		return err
	}
	v := servicesView{List: r, Total: total, Platforms: []choice{{"", "All platforms"}}, States: []choice{
		{"", "All but ended"}, {"running", "Active"}, {"making", "Being made"}, {"suspended", "Suspended"}, {"problem", "With a problem"}, {"ended", "Ended"}}}
	for _, p := range all {
		v.Platforms = append(v.Platforms, choice{p.ID.String(), p.Name})
	}
	for _, x := range found {
		v.Rows = append(v.Rows, serviceRow{x, serviceStatus(x)})
		if !f.Tenant.IsZero() {
			v.Reseller = x.Reseller
		}
	}
	return surface.Render(c, "console", "console/services", "Services", v)
}

func (s *Console) servicesCSV(c *fiber.Ctx, f platform.ServiceFilter) error {
	all, err := table.Collect(func(offset, limit int) ([]platform.Service, int, error) {
		f.Offset, f.Limit = offset, limit
		return s.Office.Platforms.Services(c.UserContext(), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.TenantID.String(), x.Reseller, x.ServiceID.String(), x.SKU, x.Label, x.Platform, x.Region, x.Ref, x.Address, x.Desired, x.Observed, x.Problem,
			table.Time(x.BeganAt), table.Time(x.EndedAt), table.Time(x.ChangedAt)}
	}
	return table.CSV(c, "services", []string{"reseller number", "reseller", "service", "sku", "label", "platform", "region", "reference", "address",
		"desired", "observed", "problem", "began", "ended", "changed"}, rows)
}

type servicePage struct {
	S      platform.Service
	Status map[string]any
}

func (s *Console) showService(c *fiber.Ctx) error {
	tenant, terr := tenancy.ParseID(c.Params("tenant"))
	id, err := uuid.Parse(c.Params("service"))
	if err != nil || terr != nil {
		return fault.New(fault.NotFound, "service.unknown", "There is no such service.")
	}
	found, err := s.Office.Platforms.Service(c.UserContext(), tenant, id)
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/service", found.Label, servicePage{found, serviceStatus(found)})
}

type findingRow struct {
	platform.Finding
	Status map[string]any
	Repair string // the best there is
}

type reconcileView struct {
	P        platform.Summary
	Tabs     []tab
	Report   platform.Report
	Rows     []findingRow
	Problem  string
	MayWrite bool
}

// showReconcile compares now; it changes nothing.
func (s *Console) showReconcile(c *fiber.Ctx) error {
	id, err := platformID(c)
	if err != nil {
		return err
	}
	report, err := s.Office.Platforms.Reconcile(c.UserContext(), id)
	who, _ := surface.Principal(c)
	p := report.Platform
	v := reconcileView{P: p, Tabs: platformTabs(c, p, "reconcile"), Report: report, MayWrite: who.May(identity.PlatformsWrite)}
	if err != nil {
		f := fault.From(err)
		if f.Kind != fault.Conflict {
			return err
		}
		v.Problem = f.Message
	}
	for _, f := range v.Report.Findings {
		v.Rows = append(v.Rows, findingView(f))
	}
	if table.Read(c).CSV && v.Problem == "" {
		return reconcileCSV(c, v.Report)
	}
	return surface.Render(c, "console", "console/platform_reconcile", p.Name, v)
}

func findingView(f platform.Finding) findingRow {
	row := findingRow{Finding: f, Repair: string(f.Repairs()[0])}
	row.Status = map[platform.Difference]map[string]any{
		platform.Missing: office.Status("bad", "Billed, not there"), platform.Zombie: office.Status("bad", "Ended, still running"),
		platform.Unbilled: office.Status("warn", "Nobody is billed"), platform.Drift: office.Status("warn", "Another state"),
	}[f.Kind]
	return row
}

func reconcileCSV(c *fiber.Ctx, r platform.Report) error {
	rows := make([][]string, len(r.Findings))
	for i, f := range r.Findings {
		tenant, service := "", ""
		if f.Service != nil {
			tenant, service = f.Service.TenantID.String(), f.Service.ServiceID.String()
		}
		rows[i] = []string{string(f.Kind), string(f.Ref), f.Name, table.Time(f.Since), f.Says, tenant, service}
	}
	return table.CSV(c, "reconciliation", []string{"difference", "reference", "name", "since", "says", "reseller number", "service"}, rows)
}

type repairView struct {
	P platform.Summary
	F platform.Finding
}

func repairIn(kind, ref, repair string) platform.RepairRequest {
	return platform.RepairRequest{Kind: platform.Difference(kind), Ref: provisioners.Ref(ref), Repair: platform.Repair(repair)}
}

// showRepair asks before something is removed; the difference is looked for again.
func (s *Console) showRepair(c *fiber.Ctx) error {
	id, err := platformID(c)
	if err != nil {
		return err
	}
	back := "/platforms/" + id.String() + "/reconcile"
	report, err := s.Office.Platforms.Reconcile(c.UserContext(), id)
	if err != nil {
		return office.Refused(c, err, back)
	}
	f, err := report.Find(repairIn(table.Text(c.Query("kind"), 20), table.Text(c.Query("ref"), 100), "remove"))
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Render(c, "console", "console/platform_repair", "Remove server "+string(f.Ref), repairView{report.Platform, f})
}

func (s *Console) repair(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	q := repairIn(formText(c, "kind"), formText(c, "ref"), formText(c, "repair"))
	back := platformBack(p) + "/reconcile"
	if q.Repair == platform.Remove && formText(c, "typed") != string(q.Ref) {
		wrong := fault.Field("typed", "platform.not_confirmed", "This is not the server's number. Nothing was removed.")
		return surface.FormError(c, wrong, "console", "console/platform_repair", "Remove server "+string(q.Ref), repairView{p, platform.Finding{Kind: q.Kind, Ref: q.Ref, Says: "It differs from what is billed."}})
	}
	if err := s.Office.Platforms.Mend(c.UserContext(), p.ID, q, s.Office.LookAgain, office.By(c)); err != nil {
		return office.Refused(c, err, back)
	}
	said := "The reseller's side looks at it within a minute."
	if q.Repair == platform.Remove {
		said = "It was removed at the platform."
	}
	return surface.Redirect(c, back, said)
}
