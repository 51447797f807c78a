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
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// manageServiceRoutes are the team's pages about services, on one screen.
func (s *Site) manageServiceRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/services" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.ServicesRead, s.listServices),
		at("GET", "/:service", identity.ServicesRead, s.showService),
		at("GET", "/:service/state", identity.ServicesRead, s.serviceState),
		at("POST", "/:service/suspend", identity.ServicesRun, s.suspendService),
		at("POST", "/:service/release", identity.ServicesRun, s.releaseService),
		at("POST", "/:service/retry", identity.ServicesRun, s.retryService),
		at("POST", "/:service/deliver", identity.ServicesRun, s.deliverService),
		at("POST", "/:service/done", identity.ServicesRun, s.doneService),
		at("POST", "/:service/terminate", identity.ServicesRun, s.terminateService),
	}
}

type servicesView struct {
	List  table.Request
	Rows  []serviceRow
	Total int
}

func (s *Site) listServices(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := hosting.Filter{Text: r.Text, State: r.Filters["state"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return servicesCSV(c, f)
	}
	v := servicesView{List: r}
	found, total, err := findServices(c, f)
	if err != nil {
		return err
	}
	v.Total = total
	for _, x := range found {
		v.Rows = append(v.Rows, serviceRow{x, officeStatus(&x.Service)})
	}
	return surface.Render(c, "manage", "manage/services", "Services", v)
}

func findServices(c *fiber.Ctx, f hosting.Filter) (found []hosting.Listed, total int, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		found, total, err = hosting.List(c.UserContext(), tx, f)
		return err
	})
	return found, total, err
}

func servicesCSV(c *fiber.Ctx, f hosting.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]hosting.Listed, int, error) {
		f.Offset, f.Limit = offset, limit
		return findServices(c, f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.Name, x.Label, x.AccountName, string(x.Observed), x.Problem, x.Address, x.Region, x.SKU, table.Time(x.BeganAt), table.Time(x.EndedAt)}
	}
	return table.CSV(c, "services", []string{"name", "plan", "customer", "state", "problem", "address", "region", "sku", "began", "ended"}, rows)
}

// officeStatus is a service's state in the team's words.
func officeStatus(x *hosting.Service) map[string]any {
	if x.Problem != "" {
		return office.Status("bad", "Needs attention")
	}
	return serviceStatus(x)
}

type serviceOfficeView struct {
	X                                        *hosting.Service
	Customer                                 string
	At                                       string
	Status                                   map[string]any
	Steps                                    []step
	Events                                   []activity.Told
	MayRun                                   bool
	MaySuspend, MayRelease, MayRetry, MayEnd bool
	Every                                    string
	Seen                                     string
	Region, Image                            string
	Facts                                    []fact
	Holds                                    []fact
	Words                                    serviceWords
	Task                                     string // what the team is to do; empty: nothing
	MayDeliver, MayDone                      bool
	Typed                                    hosting.Handover
	// What was typed into a form that was refused.
	Reason, Confirm string
}

func (s *Site) theService(c *fiber.Ctx) (v serviceOfficeView, err error) {
	id, err := serviceID(c)
	if err != nil {
		return v, err
	}
	ctx := c.UserContext()
	err = surface.DB(c).View(ctx, func(tx *tenancy.Tx) error {
		x, err := hosting.Get(ctx, tx, id)
		if err != nil {
			return err
		}
		p, _ := surface.Principal(c)
		v = viewForOffice(x, p.May(identity.ServicesRun))
		if v.Customer, err = hosting.AccountName(ctx, tx, x.AccountID); err != nil {
			return err
		}
		v.Events, err = activity.List(ctx, tx, activity.Filter{Subjects: []uuid.UUID{id, x.SubscriptionID}, Limit: 100})
		return err
	})
	if err == nil {
		s.Services.named(ctx, v.X, &v.Region, &v.Image)
	}
	if c.Method() == fiber.MethodPost && v.X != nil && v.X.ByHand() {
		v.Typed = handoverOf(c)
	}
	v.Reason, v.Confirm = c.FormValue("reason"), c.FormValue("confirm")
	return v, err
}

func viewForOffice(x hosting.Service, mayRun bool) serviceOfficeView {
	shared := viewOfService(x, "")
	v := serviceOfficeView{X: &x, At: "/manage/services/" + x.ID.String(), Status: officeStatus(&x), Steps: stepsOf(&x, 0), Every: shared.Every, Seen: shared.Seen, Facts: shared.Facts, Region: shared.Region, Image: shared.Image, MayRun: mayRun}
	for _, h := range []struct {
		hold hosting.Hold
		says string
	}{{hosting.HoldReseller, "By your team"}, {hosting.HoldBilling, "Not paid"}, {hosting.HoldDispute, "Payment disputed"}, {hosting.HoldSpend, "Spend limit reached"}} {
		if reason, held := x.Holds[h.hold]; held {
			v.Holds = append(v.Holds, fact{h.says, reason})
		}
	}
	for i := range v.Steps {
		if v.Steps[i].Class == "is-bad" {
			v.Steps[i].Note = "" // the team reads the reason itself
		}
	}
	_, heldByTeam := x.Holds[hosting.HoldReseller]
	live := !x.Over() && x.Desired != hosting.WantTerminated
	v.MaySuspend, v.MayRelease, v.MayEnd = mayRun && live && !heldByTeam, mayRun && x.HeldByTeam() && live, mayRun && (live || x.Over() && x.Problem != "")
	v.Words = shared.Words
	if x.ByHand() && live || x.ByHand() && x.Operation == hosting.OpTerminate {
		v.Task = x.Task()
		v.MaySuspend = v.MaySuspend && x.Operation != hosting.OpCreate // there is nothing yet
		v.MayDeliver = mayRun && live && (x.Operation == "" && x.Observed == hosting.SeenActive || x.Operation == hosting.OpCreate || x.Operation == hosting.OpResize)
		v.MayDone = mayRun && x.Operation != "" && x.Operation != hosting.OpCreate
		v.Typed.Address = x.Address
	}
	v.MayRetry = mayRun && x.Problem != "" && !x.Over()
	return v
}

func (s *Site) showService(c *fiber.Ctx) error {
	v, err := s.theService(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/service", v.X.Name, v)
}

func (s *Site) serviceState(c *fiber.Ctx) error {
	v, err := s.theService(c)
	if err != nil {
		return err
	}
	if c.Query("seen") == v.Seen {
		return c.SendStatus(fiber.StatusNoContent)
	}
	return surface.Fragment(c, "manage/service", "service-live", v)
}

// managed answers a change by the team: what was wrong stands at its field.
func (s *Site) managed(c *fiber.Ctx, id uuid.UUID, err error, done string) error {
	back := "/manage/services/" + id.String()
	if err == nil {
		return surface.Redirect(c, back, done)
	}
	if f := fault.From(err); f.Kind != fault.Invalid || len(f.Fields) == 0 {
		return office.Refused(c, err, back)
	}
	v, verr := s.theService(c)
	if verr != nil {
		return verr
	}
	return surface.FormError(c, err, "manage", "manage/service", v.X.Name, v)
}

func (s *Site) suspendService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	return s.managed(c, id, hosting.SuspendBy(c.UserContext(), surface.DB(c), id, c.FormValue("reason"), office.By(c)), "The service is being suspended. The customer is told why.")
}

func (s *Site) releaseService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	return s.managed(c, id, hosting.ReleaseBy(c.UserContext(), surface.DB(c), id, office.By(c)), "Your reason is taken away. The service runs again unless another is left.")
}

func (s *Site) retryService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	return s.managed(c, id, hosting.RetryBy(c.UserContext(), surface.DB(c), id, office.By(c)), "It is tried again.")
}

// handoverOf reads what the team enters of what it delivered.
func handoverOf(c *fiber.Ctx) hosting.Handover {
	return hosting.Handover{Address: table.Text(c.FormValue("address"), 400), User: table.Text(c.FormValue("user"), 400), Password: table.Text(c.FormValue("password"), 400), Note: c.FormValue("note")}
}

// deliverService handles POST /manage/services/:service/deliver.
func (s *Site) deliverService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	return s.managed(c, id, s.Services.Desk.Deliver(c.UserContext(), surface.DB(c), id, handoverOf(c), office.By(c)), "Saved. The customer is told and sees it on the service's page.")
}

// doneService handles POST /manage/services/:service/done.
func (s *Site) doneService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	return s.managed(c, id, s.Services.Desk.Done(c.UserContext(), surface.DB(c), id, office.By(c)), "It is done. The customer is told.")
}

func (s *Site) terminateService(c *fiber.Ctx) error {
	id, err := serviceID(c)
	if err != nil {
		return err
	}
	reason := strings.TrimSpace(c.FormValue("reason"))
	return s.managed(c, id, hosting.TerminateBy(c.UserContext(), surface.DB(c), id, reason, c.FormValue("confirm"), office.By(c)), "The service is being ended.")
}
