package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// manageSubscriptionRoutes are the team's pages about subscriptions.
func (s *Site) manageSubscriptionRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/subscriptions" + path, Needs: needs, Handler: h}
	}
	return append([]surface.Route{
		at("GET", "", identity.SalesRead, s.listSubscriptions),
		at("GET", "/:subscription", identity.SalesRead, s.showSubscription),
		at("GET", "/:subscription/pro-forma.pdf", identity.SalesRead, s.manageProForma),
		at("POST", "/:subscription/cancel", identity.SalesWrite, s.teamCancels),
		at("POST", "/:subscription/resume", identity.SalesWrite, s.teamResumes),
	}, append(s.changeRoutes("/manage/subscriptions", identity.SalesWrite), append(s.pauseRoutes("/manage/subscriptions", identity.SalesWrite), s.trialRoutes("/manage/subscriptions", identity.SalesWrite)...)...)...)
}

type subscriptionsView struct {
	List  table.Request
	Rows  []subscriptionRow
	Total int
}

func subscriptionFilter(r table.Request) renewal.Filter {
	f := renewal.Filter{Text: r.Text, State: renewal.State(r.Filters["state"]), Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if f.State == "cancelled" {
		f.State, f.Cancelled = "", true
	}
	return f
}

func findSubscriptions(c *fiber.Ctx, f renewal.Filter) (found []renewal.Subscription, total int, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		found, err = renewal.List(c.UserContext(), tx, f)
		return err
	})
	if len(found) > 0 {
		total = found[0].Total
	}
	return found, total, err
}

// listSubscriptions handles GET /manage/subscriptions.
func (s *Site) listSubscriptions(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := subscriptionFilter(r)
	if r.CSV {
		return subscriptionsCSV(c, f)
	}
	found, total, err := findSubscriptions(c, f)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/subscriptions", "Subscriptions", subscriptionsView{List: r, Rows: subscriptionRows(found), Total: total})
}

func subscriptionsCSV(c *fiber.Ctx, f renewal.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]renewal.Subscription, int, error) {
		f.Offset, f.Limit = offset, limit
		return findSubscriptions(c, f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.Label, x.ServiceName, x.AccountName, string(x.State), string(x.Cycle), x.Amount.Decimal(), x.Amount.Currency, table.Time(x.Period.To), table.Time(x.CancelAt), table.Time(x.CreatedAt), hourDecimal(x), mostDecimal(x)}
	}
	return table.CSV(c, "subscriptions", []string{"subscription", "service", "customer", "state", "cycle", "amount", "currency", "paid until", "ends", "since", "an hour", "hours, most a month"}, rows)
}

// hourDecimal is what an hour of a subscription costs; empty: it is not paid by the hour.
func hourDecimal(x renewal.Subscription) string {
	if h, ok := x.Hour(); ok {
		return h.Rate.Decimal()
	}
	return ""
}

// mostDecimal is what its hours cost at most a month; empty: there is no most.
func mostDecimal(x renewal.Subscription) string {
	if h, ok := x.Hour(); ok && h.Most.Minor > 0 {
		return h.Most.Decimal()
	}
	return ""
}

func (s *Site) teamSubscriptionView(c *fiber.Ctx) (v subscriptionView, err error) {
	id, err := subscriptionID(c)
	if err != nil {
		return v, err
	}
	p, _ := surface.Principal(c)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err := renewal.Get(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		v, err = s.subscriptionView(c, tx, x, false)
		v.At, v.MayCancel, v.SeesMoney = "/manage/subscriptions/"+id.String(), p.May(identity.SalesWrite), true
		v.MayChange, v.Team = v.MayCancel, true
		return err
	})
	return v, err
}

// showSubscription handles GET /manage/subscriptions/:subscription.
func (s *Site) showSubscription(c *fiber.Ctx) error {
	v, err := s.teamSubscriptionView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/subscription", v.X.Label, v)
}

func (s *Site) teamCancels(c *fiber.Ctx) error {
	v, err := s.teamSubscriptionView(c)
	if err != nil {
		return err
	}
	r, err := cancelForm(c, uuid.Nil)
	if err != nil {
		return err
	}
	x, err := s.renewalDesk().Cancel(c.UserContext(), surface.DB(c), r, office.By(c))
	if err != nil {
		if fault.From(err).Kind == fault.Conflict {
			return office.Refused(c, err, v.At)
		}
		v.Note, v.Picked, v.When = r.Note, r.Reason, c.FormValue("when")
		return surface.FormError(c, err, "manage", "manage/subscription", v.X.Label, v)
	}
	return surface.Redirect(c, v.At, cancelledWords(x))
}

func (s *Site) teamResumes(c *fiber.Ctx) error {
	id, err := subscriptionID(c)
	if err != nil {
		return err
	}
	back := "/manage/subscriptions/" + id.String()
	x, err := s.renewalDesk().Resume(c.UserContext(), surface.DB(c), id, uuid.Nil, office.By(c))
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, "The cancellation of "+x.Label+" is taken back.")
}
