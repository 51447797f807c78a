package web

import (
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// priceRoutes are those with which prices are changed on a day to come.
func (s *Site) priceRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/catalog" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "/plans/:size/prices", identity.CatalogRead, s.showPrices),
		at("POST", "/plans/:size/prices", identity.CatalogWrite, s.schedulePrices),
		at("GET", "/options/:extra/prices", identity.CatalogRead, s.showPrices),
		at("POST", "/options/:extra/prices", identity.CatalogWrite, s.schedulePrices),
		at("POST", "/price-changes/:pricechange/cancel", identity.CatalogWrite, s.cancelPrices),
	}
}

// pricesView is the page on which prices of a plan or an option are changed on a day.
type pricesView struct {
	Subject  renewal.PriceChange
	Back     string // the editor of the plan or the option
	Action   string
	Form     renewal.PriceForm
	Rows     []cellView
	Changes  []priceChangeView
	Waits    bool // one is scheduled, so no other can be
	MayEdit  bool
	Preview  *renewal.PricePreview
	Keeps    []keepView
	Sums     []sumView
	Affected []affectedView
	More     int // that are not named
}

type cellView struct {
	Name, Label, Now, Value string
}

type priceChangeView struct {
	renewal.PriceChange
	Status map[string]any
	Cells  []string
	Told   renewal.Told
	Over   bool // it cannot be cancelled any more
}

type keepView struct {
	N   int
	Why string
}

type sumView struct {
	Was, Now, Diff billing.Money
	Up             bool
}

type affectedView struct {
	renewal.PriceRow
	Why string
}

func keepsWords(why string) string {
	switch why {
	case renewal.KeepsBought:
		return "bought before: the change is for new orders"
	case renewal.KeepsCancelled:
		return "cancelled: it ends"
	case renewal.KeepsAgreed:
		return "has a price agreed on with the customer"
	case renewal.KeepsOnce:
		return "paid once"
	}
	return "has none of these prices"
}

func cellWords(x renewal.PriceCell) string {
	words := perWords[x.Cycle][1]
	if x.Label != "" {
		words = x.Label + ", " + words
	}
	return x.Currency + ", " + words
}

func mostWords(h *billing.HourPrice, locale string) string {
	if h.Most.Minor == 0 {
		return "no most"
	}
	return h.Most.Format(locale)
}

func priceStatus(c renewal.PriceChange) map[string]any {
	switch c.State {
	case renewal.PriceBegun:
		return office.Status("good", "In force")
	case renewal.PriceCancelled:
		return office.Status("idle", "Cancelled")
	}
	if c.Running && c.AnnouncedAt.IsZero() {
		return office.Status("info", "Letters go out")
	}
	return office.Status("info", "Scheduled")
}

// priceForm reads what the page sends.
func priceForm(c *fiber.Ctx) (f renewal.PriceForm, err error) {
	if f.PlanID, err = idParam(c, "size"); err != nil {
		return f, err
	}
	if f.OptionID, err = idParam(c, "extra"); err != nil {
		return f, err
	}
	f.From, f.NoticeDays, f.Prices = table.Text(c.FormValue("from"), 20), table.Text(c.FormValue("notice_days"), 10), map[string]string{}
	f.Running = c.FormValue("who") == "all"
	return f, nil
}

func (s *Site) pricesView(c *fiber.Ctx, f renewal.PriceForm) (v pricesView, err error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	v = pricesView{Form: f, Action: c.Path(), MayEdit: who.May(identity.CatalogWrite)}
	of := f.PlanID
	if v.Back = "/manage/catalog/plans/" + of.String(); f.OptionID != uuid.Nil {
		of = f.OptionID
		v.Back = "/manage/catalog/options/" + of.String()
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.Subject, err = renewal.PriceSubject(c.UserContext(), tx, f.PlanID, f.OptionID); err != nil {
			return err
		}
		all, err := renewal.PriceChanges(c.UserContext(), tx, of)
		if err != nil {
			return err
		}
		for _, x := range all {
			row := priceChangeView{PriceChange: x, Status: priceStatus(x), Over: x.State != renewal.PriceScheduled || !tx.Now().Before(x.From)}
			for _, cell := range x.Cells {
				if cell.Follows {
					continue
				}
				was, now := cell.Words(t.Locale)
				row.Cells = append(row.Cells, cellWords(cell)+": "+was+" to "+now)
			}
			if x.Running && x.State != renewal.PriceCancelled {
				if row.Told, err = renewal.ToldOf(c.UserContext(), tx, x.ID); err != nil {
					return err
				}
			}
			v.Waits = v.Waits || x.State == renewal.PriceScheduled
			v.Changes = append(v.Changes, row)
		}
		if v.Form.From == "" {
			v.Form.From = tx.Now().AddDate(0, 2, 0).In(zoneOf(t)).Format(time.DateOnly)
		}
		return nil
	})
	if v.Form.NoticeDays == "" {
		v.Form.NoticeDays = strconv.Itoa(renewal.DefaultNotice)
	}
	for _, x := range v.Subject.Cells {
		if x.Follows {
			continue
		}
		typed := table.Text(c.FormValue(x.Name()), 20)
		v.Form.Prices[x.Name()] = typed
		now, _ := x.Words(t.Locale)
		if x.WasHour != nil { // its most has a row of its own
			now = x.WasHour.Rate.Format(t.Locale)
		}
		v.Rows = append(v.Rows, cellView{Name: x.Name(), Label: cellWords(x), Now: now, Value: typed})
		if name := x.MostName(); name != "" {
			typed := table.Text(c.FormValue(name), 20)
			v.Form.Prices[name] = typed
			v.Rows = append(v.Rows, cellView{Name: name, Label: x.Currency + ", a month of hours at most", Now: mostWords(x.WasHour, t.Locale), Value: typed})
		}
	}
	return v, err
}

// showPrices handles GET /manage/catalog/plans/:size/prices and that of an option.
func (s *Site) showPrices(c *fiber.Ctx) error {
	f, err := priceForm(c)
	if err != nil {
		return err
	}
	f.Running = true
	v, err := s.pricesView(c, f)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/prices", "Prices from a day on", v)
}

// schedulePrices handles POST of the same: it shows what a change would do, and with
// "schedule" keeps it.
func (s *Site) schedulePrices(c *fiber.Ctx) error {
	f, err := priceForm(c)
	if err != nil {
		return err
	}
	v, err := s.pricesView(c, f)
	if err != nil {
		return err
	}
	t, _ := surface.Tenant(c)
	if c.FormValue("schedule") == "" {
		err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
			p, err := renewal.PreviewPrice(c.UserContext(), tx, v.Form, t.TimeZone)
			if err == nil {
				v.preview(p)
			}
			return err
		})
		if err != nil {
			return surface.FormError(c, err, "manage", "manage/prices", "Prices from a day on", v)
		}
		return surface.Render(c, "manage", "manage/prices", "Prices from a day on", v)
	}
	done, err := renewal.SchedulePrice(c.UserContext(), surface.DB(c), v.Form, office.By(c))
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/prices", "Prices from a day on", v)
	}
	words := "Scheduled for " + done.From.In(zoneOf(t)).Format("2 January 2006") + "."
	if done.Running {
		words += " Letters go out now."
	}
	return surface.Redirect(c, v.Action, words)
}

func (v *pricesView) preview(p renewal.PricePreview) {
	v.Preview = &p
	for why, n := range p.Keeps {
		v.Keeps = append(v.Keeps, keepView{n, keepsWords(why)})
	}
	slices.SortFunc(v.Keeps, func(a, b keepView) int { return b.N - a.N })
	for _, x := range p.Sums {
		v.Sums = append(v.Sums, sumView{x.Was, x.Now, x.Diff, x.Diff.Minor > 0})
	}
	kept := 0
	for _, n := range p.Keeps {
		kept += n
	}
	for _, r := range p.Rows {
		row := affectedView{PriceRow: r}
		if r.Keeps != "" {
			row.Why = keepsWords(r.Keeps)
		}
		v.Affected = append(v.Affected, row)
	}
	v.More = p.Reached + kept - len(p.Rows)
}

// cancelPrices handles POST /manage/catalog/price-changes/:pricechange/cancel.
func (s *Site) cancelPrices(c *fiber.Ctx) error {
	id, err := idParam(c, "pricechange")
	if err != nil {
		return err
	}
	var x renewal.PriceChange
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err = renewal.GetPrice(c.UserContext(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	back := "/manage/catalog/plans/" + x.PlanID.String() + "/prices"
	if x.OptionID != uuid.Nil {
		back = "/manage/catalog/options/" + x.OptionID.String() + "/prices"
	}
	if err := renewal.CancelPrice(c.UserContext(), surface.DB(c), id, office.By(c)); err != nil {
		if fault.From(err).Kind == fault.Conflict {
			return office.Refused(c, err, back)
		}
		return err
	}
	return surface.Redirect(c, back, "Cancelled. Everything costs what it did; who was told is written to.")
}
