package web

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// Services is what the pages about services need.
type Services struct {
	Desk *hosting.Desk
	// Images lists what can be installed on what was sold there.
	Images func(ctx context.Context, tenant tenancy.ID, sku, region string) ([]Image, error)
	// Names says what people call a region and an image; nil, or empty where it does
	// not know: the codes have to do.
	Names func(ctx context.Context, region, image string) (regionName, imageName string)
}

// Image is an operating system that can be installed.
type Image struct{ Code, Name, Group string }

// clientServiceRoutes are the customer's pages about services, on one screen.
func (s *Site) clientServiceRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/client/services" + path, Needs: identity.SignedIn, Handler: h}
	}
	return []surface.Route{
		at("GET", "", s.myServices),
		at("GET", "/:service", s.myService("overview")),
		at("GET", "/:service/state", s.myServiceState),
		at("GET", "/:service/access", s.myService("access")),
		at("GET", "/:service/activity", s.myService("activity")),
		at("GET", "/:service/billing", s.myService("billing")),
		at("GET", "/:service/rebuild", s.showRebuild),
		at("POST", "/:service/rebuild", s.rebuild),
		at("POST", "/:service/power", s.power),
		at("POST", "/:service/rename", s.rename),
		at("POST", "/:service/reveal", s.reveal),
		at("POST", "/:service/password", s.resetServicePassword),
	}
}

// serviceStatus says how a service is, with a dot.
func serviceStatus(x *hosting.Service) map[string]any {
	if x.ByHand() && x.Operation == hosting.OpCreate {
		return office.Status("busy", "Being prepared")
	}
	if busy := operationWords[x.Operation]; busy != "" && x.Busy() {
		return office.Status("busy", busy)
	}
	switch {
	case x.Observed == hosting.SeenGone && x.Problem != "":
		return office.Status("bad", "Not found")
	case x.Observed == hosting.SeenGone:
		return office.Status("idle", "Ended")
	case x.Observed == hosting.SeenFailed, x.Problem != "" && x.Operation != "":
		return office.Status("bad", "Needs our attention")
	case x.Observed == hosting.SeenSuspended:
		return office.Status("warn", "Suspended")
	case x.Power == provisioners.PowerOff:
		return office.Status("idle", "Switched off")
	}
	return office.Status("good", wordsOf(x).Running)
}

var operationWords = map[hosting.Operation]string{
	hosting.OpCreate: "Being set up", hosting.OpRebuild: "Being installed anew", hosting.OpSuspend: "Being suspended", hosting.OpRelease: "Being released",
	hosting.OpTerminate: "Being ended", hosting.OpResetPassword: "Setting a password", hosting.OpResize: "Being changed", hosting.OpStart: "Starting", hosting.OpStop: "Shutting down",
	hosting.OpRestart: "Restarting", hosting.OpForceOff: "Switching off",
}

// step is one step of an operation, for people.
type step struct{ Label, Note, Class string }

// stepsOf lists the steps of setting up or installing anew; nil for anything else.
func stepsOf(x *hosting.Service, usually time.Duration) []step {
	if x.Operation != hosting.OpCreate && x.Operation != hosting.OpRebuild {
		return nil
	}
	all := []step{{Label: "Ordered"}, {Label: "Reserving a place"}, {Label: "Installing the operating system"}, {Label: "Ready"}}
	if x.ByHand() {
		return []step{{Label: "Ordered", Class: "is-done"}, {Label: "Our team prepares it", Class: "is-now"}, {Label: "Ready"}}
	}
	if x.Operation == hosting.OpRebuild {
		all = []step{{Label: "Requested"}, {Label: "Asking the data centre"}, {Label: "Installing the operating system"}, {Label: "Ready"}}
	}
	now := map[hosting.Step]int{hosting.StepWaiting: 1, hosting.StepAsking: 1, hosting.StepInstalling: 2, hosting.StepPassword: 3}[x.Step]
	for i := range all {
		switch {
		case i < now:
			all[i].Class = "is-done"
		case i == now && x.Problem != "":
			all[i].Class, all[i].Note = "is-bad", "This did not work. We have been told and look into it."
		case i == now:
			all[i].Class = "is-now"
			if x.Progress > 0 && x.Step == hosting.StepInstalling {
				all[i].Note = strconv.Itoa(x.Progress) + " % done"
			}
		}
	}
	if all[now].Note == "" && usually > 0 {
		all[now].Note = "The whole usually takes " + roughly(usually) + "."
	}
	return all
}

// roughly says a duration as people do.
func roughly(d time.Duration) string {
	switch minutes := int((d + 30*time.Second) / time.Minute); {
	case d < 45*time.Second:
		return "less than a minute"
	case minutes <= 1:
		return "about a minute"
	case minutes < 90:
		return "about " + strconv.Itoa(minutes) + " minutes"
	default:
		return "about " + strconv.Itoa(int((d+30*time.Minute)/time.Hour)) + " hours"
	}
}

type serviceRow struct {
	hosting.Listed
	Status map[string]any
}

type myServicesView struct {
	Rows   []serviceRow
	Ended  int
	CanBuy bool
	All    bool
}

// myServices handles GET /client/services.
func (s *Site) myServices(c *fiber.Ctx) error {
	db, v := surface.DB(c), myServicesView{All: c.Query("all") != ""}
	shown, err := s.Shown(c.UserContext(), db)
	if err != nil {
		return err
	}
	v.CanBuy = len(shown.Menu) > 0
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := acting(c, tx)
		if err != nil {
			return err
		}
		found, err := hosting.Newest(c.UserContext(), tx, a.AccountID, hosting.MaxPage, true)
		v.fill(found)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/services", "Services", v)
}

// fill leaves out what has ended unless all is asked for.
func (v *myServicesView) fill(found []hosting.Listed) {
	for _, x := range found {
		if x.Over() && x.Problem == "" && !v.All {
			v.Ended++
			continue
		}
		v.Rows = append(v.Rows, serviceRow{x, serviceStatus(&x.Service)})
	}
}

type serviceView struct {
	X        *hosting.Service
	At       string // the page's path
	Tab      string
	Tabs     []map[string]any
	Status   map[string]any
	Steps    []step
	Reason   string // of a suspension
	Owed     string // where what it is suspended for is paid
	MayRun   bool
	Idle     bool   // controls work
	Off      bool   // it is switched off
	Every    string // how often the page asks for news
	Seen     string // what the page shows; the same is not sent again
	IPv6     []string
	Region   string // as people say it
	Image    string
	Facts    []fact
	Events   []activity.Told
	Plan     renewal.Subscription
	Usage    *usageView      // this month, with Plan; nil: nothing is billed by use
	Addons   []renewal.Addon // that can be added to it, or were
	Extras   []renewal.Addon // that can be bought for it and are charged once
	MayBuy   bool
	Revealed *provisioners.Credentials
	Words    serviceWords
}

type fact struct{ Label, Value string }

func serviceID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("service"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "service.not_found", "There is no such service.")
	}
	return id, nil
}

func caller(c *fiber.Ctx) hosting.Caller {
	p, _ := surface.Principal(c)
	return hosting.Caller{Person: p.PersonID, Origin: office.By(c)}
}

// mineOf reads what a tab of a service's page shows.
func (s *Site) mineOf(c *fiber.Ctx, tab string) (v serviceView, err error) {
	id, err := serviceID(c)
	if err != nil {
		return v, err
	}
	ctx := c.UserContext()
	err = surface.DB(c).View(ctx, func(tx *tenancy.Tx) error {
		x, mayRun, err := hosting.Mine(ctx, tx, id, caller(c))
		if err != nil {
			return err
		}
		v = viewOfService(x, tab)
		v.MayRun = mayRun
		var usually time.Duration
		if x.Operation == hosting.OpCreate {
			if usually, err = hosting.Usually(ctx, tx, x.SKU); err != nil {
				return err
			}
		}
		v.Steps = stepsOf(v.X, usually)
		switch tab {
		case "activity":
			v.Events, err = activity.List(ctx, tx, activity.Filter{Subjects: []uuid.UUID{id}, CustomerView: true, Limit: 100})
		case "overview":
			v.Events, err = activity.List(ctx, tx, activity.Filter{Subjects: []uuid.UUID{id}, CustomerView: true, Limit: 5})
		case "billing":
			if v.Plan, err = renewal.Get(ctx, tx, x.SubscriptionID); err == nil {
				v.Usage, err = usageOf(c, tx, v.Plan)
			}
			if err == nil && v.Plan.Buyable(tx.Now()) == nil {
				v.Addons, v.Extras, v.MayBuy, err = addonsOf(c, tx, v.Plan)
			}
		}
		return err
	})
	if err == nil {
		s.Services.named(ctx, v.X, &v.Region, &v.Image)
	}
	return v, err
}

// addonsOf are what can be added to a service, what can be bought once for it, and whether
// the person may.
func addonsOf(c *fiber.Ctx, tx *tenancy.Tx, s renewal.Subscription) (addons, once []renewal.Addon, may bool, err error) {
	a, err := actingFor(c, tx, s.AccountID)
	if err != nil {
		return nil, nil, false, err
	}
	found, err := renewal.Addons(c.UserContext(), tx, s)
	addons, once = splitAddons(found)
	return addons, once, a.May(account.Buy), err
}

// splitAddons parts what is had from what is charged once.
func splitAddons(all []renewal.Addon) (addons, once []renewal.Addon) {
	for _, a := range all {
		if a.Once {
			once = append(once, a)
		} else {
			addons = append(addons, a)
		}
	}
	return addons, once
}

// viewOfService is what every tab shows of it.
func viewOfService(x hosting.Service, tab string) serviceView {
	v := serviceView{X: &x, Tab: tab, At: "/client/services/" + x.ID.String(), Status: serviceStatus(&x), Every: "30s"}
	for _, t := range []struct{ name, label, path string }{{"overview", "Overview", ""}, {"access", "Access", "/access"}, {"activity", "Activity", "/activity"}, {"billing", "Billing", "/billing"}} {
		v.Tabs = append(v.Tabs, map[string]any{"Href": v.At + t.path, "Label": t.label, "Active": t.name == tab})
	}
	if x.Observed == hosting.SeenSuspended || x.Desired == hosting.WantSuspended {
		v.Reason = x.HoldReason()
		if _, unpaid := x.Holds[hosting.HoldBilling]; unpaid {
			v.Owed, v.Every = "/client/invoices", "5s" // whoever pays elsewhere looks here next
		}
	}
	v.Words = wordsOf(&x)
	v.Off = x.Power == provisioners.PowerOff
	v.Idle = x.Operation == "" && x.Problem == "" && x.Desired == hosting.WantActive && x.Observed == hosting.SeenActive
	if x.Busy() {
		v.Every = "3s"
	}
	v.Seen = strconv.FormatInt(x.ChangedAt.UnixMicro(), 36)
	for _, a := range x.Addresses {
		if strings.Contains(a, ":") {
			v.IPv6 = append(v.IPv6, a)
		}
	}
	v.Region, v.Image, v.Facts = x.Region, imageName(x.Image), specFacts(x.Spec)
	return v
}

// named puts names in the place of codes, where they are known.
func (s *Services) named(ctx context.Context, x *hosting.Service, region, image *string) {
	if s == nil || s.Names == nil {
		return
	}
	r, i := s.Names(ctx, x.Region, x.Image)
	if r != "" {
		*region = r
	}
	if i != "" {
		*image = i
	}
}

// imageName makes a name of an image's code: ubuntu-24.04 is Ubuntu 24.04.
func imageName(code string) string {
	words := strings.Split(code, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// specFacts says what was sold.
func specFacts(sp provisioners.Spec) (all []fact) {
	add := func(n int, label, unit string) {
		if n > 0 {
			all = append(all, fact{label, strconv.Itoa(n) + unit})
		}
	}
	add(sp.CPU, "CPU", " cores")
	if sp.CPU == 1 {
		all[len(all)-1].Value = "1 core"
	}
	if sp.MemoryMB > 0 && sp.MemoryMB%1024 == 0 {
		add(sp.MemoryMB/1024, "Memory", " GB")
	} else {
		add(sp.MemoryMB, "Memory", " MB")
	}
	add(sp.DiskGB, "Disk", " GB")
	if sp.TrafficGB%1000 == 0 {
		add(sp.TrafficGB/1000, "Traffic", " TB a month")
	} else {
		add(sp.TrafficGB, "Traffic", " GB a month")
	}
	add(sp.IPv4, "IPv4 addresses", "")
	add(sp.Backups, "Backups", "")
	return all
}

func (s *Site) myService(tab string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v, err := s.mineOf(c, tab)
		if err != nil {
			return err
		}
		return surface.Render(c, "client", "client/service", v.X.Name, v)
	}
}

// myServiceState answers the page that asks for news.
func (s *Site) myServiceState(c *fiber.Ctx) error {
	tab := c.Query("tab")
	if tab != "overview" && tab != "access" {
		tab = "activity"
	}
	v, err := s.mineOf(c, tab)
	if err != nil {
		return err
	}
	if c.Query("seen") == v.Seen {
		return c.SendStatus(fiber.StatusNoContent)
	}
	return surface.Fragment(c, "client/service", "service-live", v)
}
