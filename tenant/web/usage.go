package web

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// usageRoutes are the pages about what was used.
func (s *Site) usageRoutes() []surface.Route {
	return []surface.Route{
		{Method: "GET", Path: "/client/subscriptions/:subscription/usage", Needs: identity.SignedIn, Handler: s.clientUsage},
		{Method: "POST", Path: "/client/subscriptions/:subscription/spend", Needs: identity.SignedIn, Handler: s.setSpend},
		{Method: "GET", Path: "/manage/subscriptions/:subscription/usage", Needs: identity.SalesRead, Handler: s.manageUsage},
		{Method: "GET", Path: "/client/invoices/:invoice/lines/:line", Needs: identity.SignedIn, Handler: s.clientUsageLine},
		{Method: "GET", Path: "/manage/invoices/:invoice/lines/:line", Needs: identity.SalesRead, Handler: s.manageUsageLine},
	}
}

func (s *Site) meteringDesk() *metering.Desk {
	return &metering.Desk{Mail: s.SignIn.Mail, Holds: hosting.SpendHolds{}}
}

// usedRow is one meter of a subscription as its page shows it.
type usedRow struct {
	Name, Words, Used, Left string
	Running                 int
	Cost                    billing.Money
	Quota                   string // all that the plan grants a month; empty: what is used more is paid for
	Share                   int    // of the quota, in per cent
}

// usageView is what was used of a subscription this month.
type usageView struct {
	Period   billing.Period
	Rows     []usedRow
	Quotas   []usedRow // of Rows, those that take no more than the plan grants
	Net      billing.Money
	Limit    *billing.Money
	Stop     bool
	Share    int // of the limit, in per cent
	Bar      int // the same, at most 100
	Typed    string
	MayLimit bool
	Trial    bool // only quotas are counted, and nothing is owed
}

// usageOf reads it; nil where nothing is billed by use.
func usageOf(c *fiber.Ctx, tx *tenancy.Tx, x renewal.Subscription) (*usageView, error) {
	if !x.Trying() && (x.MeteredTo.IsZero() || !x.Runs()) {
		return nil, nil //nolint:nilnil // there is none
	}
	u, err := metering.Of(c.UserContext(), tx, x.ID, uuid.Nil)
	if err != nil || !u.Metered() {
		return nil, err
	}
	locale := surface.DB(c).Tenant().Locale
	v := &usageView{Period: u.Period, Net: u.Net, Share: u.Share(), Bar: min(100, u.Share()), Trial: u.Tries()}
	if u.Limit != nil {
		m := u.Limit.Money(u.Net.Currency)
		v.Limit, v.Stop, v.Typed = &m, u.Limit.Stop, m.Decimal()
	}
	for _, m := range u.Meters {
		if len(m.Hours) > 0 || m.Meter.Feed == catalog.FeedHours {
			v.hours(m, x, locale)
			continue
		}
		row := usedRow{Name: m.Meter.Name, Words: m.Meter.Words(u.Net.Currency, locale), Used: m.Meter.Amount(m.Quantity), Running: m.Running, Cost: m.Charge.Net}
		if m.Charge.Included.Sign() > 0 {
			row.Left = m.Meter.Amount(m.Left)
		}
		if m.Meter.Capped {
			row.Quota, row.Share = m.Meter.Amount(m.Charge.Included), billing.QuotaShare(m.Quantity, m.Charge.Included)
			v.Quotas = append(v.Quotas, row)
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// hours adds what is paid by the hour, part by part; before an hour is counted what it costs.
func (v *usageView) hours(m metering.Used, x renewal.Subscription, locale string) {
	for _, l := range m.Hours {
		row := usedRow{Name: m.Meter.Name, Words: l.Part.Price.Words(locale) + l.Words, Used: m.Meter.Amount(new(big.Rat).SetInt64(l.Hours)), Running: m.Running, Cost: l.Net}
		if l.Part.Kind != "plan" {
			row.Name = l.Part.Label
		}
		v.Rows = append(v.Rows, row)
	}
	if len(m.Hours) > 0 {
		return
	}
	row := usedRow{Name: m.Meter.Name, Words: m.Meter.Words(v.Net.Currency, locale), Used: m.Meter.Amount(m.Quantity), Running: m.Running, Cost: m.Charge.Net}
	if h, ok := x.Hour(); ok {
		row.Words = h.Words(locale)
	}
	v.Rows = append(v.Rows, row)
}

// theirUsage is what was used of a subscription of an account the person belongs to.
func (s *Site) theirUsage(c *fiber.Ctx, needs account.Permission) (v subscriptionView, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, acting, err := s.theirSubscription(c, tx, needs)
		if err != nil {
			return err
		}
		v.X, v.At = subscriptionRows([]renewal.Subscription{x})[0], "/client/subscriptions/"+x.ID.String()
		if v.Usage, err = usageOf(c, tx, x); v.Usage != nil {
			v.Usage.MayLimit = acting.May(account.Buy) && !v.Usage.Trial
		}
		return err
	})
	return v, err
}

// clientUsage handles GET /client/subscriptions/:subscription/usage.
func (s *Site) clientUsage(c *fiber.Ctx) error {
	v, err := s.theirUsage(c, account.ServicesSee)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/usage", "Usage of "+v.X.Label, v)
}

// manageUsage handles GET /manage/subscriptions/:subscription/usage.
func (s *Site) manageUsage(c *fiber.Ctx) error {
	id, err := subscriptionID(c)
	if err != nil {
		return err
	}
	v := subscriptionView{At: "/manage/subscriptions/" + id.String(), Team: true}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err := renewal.Get(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		v.X = subscriptionRows([]renewal.Subscription{x})[0]
		v.Usage, err = usageOf(c, tx, x)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/usage", "Usage of "+v.X.Label, v)
}

// setSpend handles POST /client/subscriptions/:subscription/spend.
func (s *Site) setSpend(c *fiber.Ctx) error {
	v, err := s.theirUsage(c, account.Buy)
	if err != nil {
		return err
	}
	var limit *metering.Limit
	typed := strings.TrimSpace(c.FormValue("limit"))
	if typed != "" {
		m, err := billing.Parse(typed, v.X.Amount.Currency)
		if err != nil {
			m.Minor = -1 // refused, at the field
		}
		limit = &metering.Limit{Minor: m.Minor, Stop: c.FormValue("stop") != ""}
	}
	if err := s.meteringDesk().SetLimit(c.UserContext(), surface.DB(c), v.X.ID, v.X.AccountID, limit, office.By(c)); err != nil {
		if v.Usage != nil && fault.From(err).Kind == fault.Invalid {
			v.Usage.Typed, v.Usage.Stop = typed, c.FormValue("stop") != ""
			return surface.FormError(c, err, "client", "client/usage", "Usage of "+v.X.Label, v)
		}
		return err
	}
	words := "There is no spend limit any more."
	if limit != nil {
		words = "Your spend limit is " + limit.Money(v.X.Amount.Currency).Format(surface.DB(c).Tenant().Locale) + " a month."
	}
	return surface.Redirect(c, v.At+"/usage", words)
}

// usageLineView is a line of an invoice with the events behind it.
type usageLineView struct {
	List     table.Request
	Line     metering.Line
	Number   string
	Base     string // of the invoice
	Events   []metering.Seen
	Total    int
	Sessions []ranRow
	OfLife   bool // what is counted is the subscription's own life: its sessions have no names
}

type ranRow struct {
	metering.Ran
	Hours string
}

func lineParam(c *fiber.Ctx) int {
	n, err := strconv.Atoi(c.Params("line"))
	if err != nil {
		return 0
	}
	return n
}

// read fills the view; the caller has made sure that the invoice may be seen.
func (v *usageLineView) read(c *fiber.Ctx, tx *tenancy.Tx, invoice uuid.UUID) (err error) {
	ctx := c.UserContext()
	if v.Line, err = metering.LineOf(ctx, tx, invoice, lineParam(c)); err != nil {
		return err
	}
	v.OfLife = v.Line.Meter.OfLife()
	if v.List.CSV {
		v.Events, err = table.Collect(func(offset, limit int) ([]metering.Seen, int, error) { return v.Line.Behind(ctx, tx, offset, limit) })
		return err
	}
	if v.Events, v.Total, err = v.Line.Behind(ctx, tx, v.List.Offset(), v.List.Limit()); err != nil {
		return err
	}
	ran, err := v.Line.Sessions(ctx, tx)
	for _, x := range ran {
		v.Sessions = append(v.Sessions, ranRow{x, billing.FormatQuantity(x.Hours)})
	}
	return err
}

func (v *usageLineView) send(c *fiber.Ctx, layout string) error {
	if !v.List.CSV {
		return surface.Render(c, layout, layout+"/invoice_line", v.Line.Meter.Name, v)
	}
	rows := make([][]string, len(v.Events))
	for i, e := range v.Events {
		rows[i] = []string{e.Source, e.ID, table.Time(e.At), e.Value, e.Phase, e.Mark, e.RawAttribute, table.Time(e.RecordedAt)}
	}
	return table.CSV(c, "usage", []string{"source", "id", "at", "value", "phase", "mark", "attributes", "recorded"}, rows)
}

// clientUsageLine handles GET /client/invoices/:invoice/lines/:line.
func (s *Site) clientUsageLine(c *fiber.Ctx) error {
	id, err := invoiceID(c)
	if err != nil {
		return err
	}
	person, _ := surface.Principal(c)
	v := usageLineView{List: table.Read(c), Base: "/client/invoices/" + id.String()}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		inv, acting, err := theirBill(c.UserContext(), tx, person.PersonID, id)
		if err != nil {
			return err
		}
		if acting.Accounts > 1 {
			surface.SetActing(c, acting.Name)
		}
		v.Number = inv.Number
		return v.read(c, tx, id)
	})
	if err != nil {
		return err
	}
	return v.send(c, "client")
}

// manageUsageLine handles GET /manage/invoices/:invoice/lines/:line.
func (s *Site) manageUsageLine(c *fiber.Ctx) error {
	id, err := invoiceID(c)
	if err != nil {
		return err
	}
	v := usageLineView{List: table.Read(c), Base: "/manage/invoices/" + id.String()}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		v.Number = inv.Number
		return v.read(c, tx, id)
	})
	if err != nil {
		return err
	}
	return v.send(c, "manage")
}
