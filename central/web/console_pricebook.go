package web

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// skuPrices is a SKU with its rows of the book.
type skuPrices struct {
	wholesale.SKU
	Prices []bookRow
}

type bookRow struct {
	wholesale.BookPrice
	Now, Later bool
}

type bookView struct {
	Tabs       []map[string]any
	SKUs       []skuPrices
	Tiers      []choice
	Currencies []place.Choice
	In         wholesale.NewPrice
	From       string
	May        bool
}

// bookPage gathers the price book with the form as it was filled in.
func (s *Console) bookPage(c *fiber.Ctx, in wholesale.NewPrice, from string) (bookView, error) {
	v := bookView{Tabs: wholesaleTabs("/wholesale/prices"), In: in, From: from, Currencies: place.Currencies(in.Currency), May: mayBill(c)}
	shelf, err := s.Wholesale.Shelf(c.UserContext())
	if err != nil {
		return v, err
	}
	v.Tiers = tierChoices(shelf.Tiers, "All tiers")
	now := s.Central.Now()
	for _, sku := range shelf.SKUs {
		x := skuPrices{SKU: sku}
		for _, p := range shelf.Prices {
			if p.SKU == sku.Code {
				x.Prices = append(x.Prices, bookRow{p, p.At(now), p.From.After(now)})
			}
		}
		v.SKUs = append(v.SKUs, x)
	}
	return v, nil
}

// tierChoices are the tiers once each, after one for none.
func tierChoices(tiers []wholesale.Tier, none string) []choice {
	all := []choice{}
	if none != "" {
		all = append(all, choice{"", none})
	}
	seen := map[string]bool{}
	for _, t := range tiers {
		if !seen[t.Tier] {
			seen[t.Tier] = true
			all = append(all, choice{t.Tier, t.Name})
		}
	}
	return all
}

// tomorrow is the day a new price begins unless somebody says otherwise.
func (s *Console) tomorrow() string {
	return s.Central.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
}

func (s *Console) showBook(c *fiber.Ctx) error {
	v, err := s.bookPage(c, wholesale.NewPrice{SKU: table.Text(c.Query("sku"), 64), Currency: "EUR"}, s.tomorrow())
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/wholesale_prices", "Price book", v)
}

func (s *Console) setPrice(c *fiber.Ctx) error {
	in := wholesale.NewPrice{
		SKU: table.Text(c.FormValue("sku"), 64), Tier: table.Text(c.FormValue("tier"), 40), Currency: table.Text(c.FormValue("currency"), 3),
		Price: table.Text(c.FormValue("price"), 40), From: dayOf(c, "from"),
	}
	o, err := s.Wholesale.OutlookPrice(c.UserContext(), in, office.By(c))
	if err == nil {
		what := in.SKU + " at " + in.Price + " " + in.Currency + " from " + in.From.Format(time.DateOnly) + " on."
		if asked, err := s.confirm(c, o, what, "/wholesale/prices?sku="+in.SKU, "sku", "tier", "currency", "price", "from"); asked || err != nil {
			return err
		}
		err = s.Wholesale.SetPrice(c.UserContext(), in, office.By(c))
	}
	if err != nil {
		v, verr := s.bookPage(c, in, table.Text(c.FormValue("from"), 10))
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "console", "console/wholesale_prices", "Price book", v)
	}
	return surface.Redirect(c, "/wholesale/prices", "The price of "+in.SKU+" is set.")
}

func (s *Console) endPrice(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Params("price"))
	if err != nil {
		return fault.New(fault.NotFound, "price.unknown", "There is no such price.")
	}
	at := s.Central.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	if err := s.Wholesale.EndPrice(c.UserContext(), id, at, office.By(c)); err != nil {
		return office.Refused(c, err, "/wholesale/prices")
	}
	return surface.Redirect(c, "/wholesale/prices", "The price ends with today.")
}

type skuView struct {
	S     wholesale.SKU
	Spec  string
	IsNew bool
}

func (s *Console) editSKU(c *fiber.Ctx) error {
	v := skuView{S: wholesale.SKU{Kind: wholesale.Service, State: "active", Type: "vps", Unit: "month"}, IsNew: true, Spec: `{"cpu": 1, "memory_mb": 2048, "disk_gb": 40, "traffic_gb": 2000, "ipv4": 1}`}
	title := "New SKU"
	if code := c.Params("sku"); code != "" {
		sku, err := s.Wholesale.SKU(c.UserContext(), code)
		if err != nil {
			return err
		}
		v, title = skuView{S: sku, Spec: string(sku.Spec)}, sku.Name
	}
	return surface.Render(c, "console", "console/wholesale_sku", title, v)
}

func (s *Console) saveSKU(c *fiber.Ctx) error {
	spec := c.FormValue("spec")
	in := wholesale.SKU{
		Code: table.Text(c.FormValue("sku"), 80), Type: table.Text(c.FormValue("type"), 60), Name: table.Text(c.FormValue("name"), 200),
		Summary: table.Text(c.FormValue("summary"), 1000), Kind: table.Text(c.FormValue("kind"), 20), Unit: table.Text(c.FormValue("unit"), 60),
		State: table.Text(c.FormValue("state"), 20), Spec: json.RawMessage(spec), Position: -1,
	}
	if n, err := strconv.ParseInt(table.Text(c.FormValue("position"), 10), 10, 32); err == nil {
		in.Position = int(n)
	}
	if err := s.Wholesale.SaveSKU(c.UserContext(), in, office.By(c)); err != nil {
		return surface.FormError(c, err, "console", "console/wholesale_sku", "SKU", skuView{S: in, Spec: table.Text(spec, 4000), IsNew: c.FormValue("new") == "on"})
	}
	return surface.Redirect(c, "/wholesale/prices?sku="+in.Code, in.Name+" is saved.")
}

type tierRow struct {
	wholesale.Tier
	Now, Later bool
}

type tiersView struct {
	Tabs       []map[string]any
	Rows       []tierRow
	Currencies []place.Choice
	In         wholesale.NewTier
	From       string
	May        bool
}

func (s *Console) tiersPage(c *fiber.Ctx, in wholesale.NewTier, from string) (tiersView, error) {
	v := tiersView{Tabs: wholesaleTabs("/wholesale/tiers"), In: in, From: from, Currencies: place.Currencies(in.Currency), May: mayBill(c)}
	tiers, err := s.Wholesale.Tiers(c.UserContext())
	now := s.Central.Now()
	for _, t := range tiers {
		v.Rows = append(v.Rows, tierRow{t, t.At(now), t.From.After(now)})
	}
	return v, err
}

func (s *Console) showTiers(c *fiber.Ctx) error {
	now := s.Central.Now().UTC()
	next := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	v, err := s.tiersPage(c, wholesale.NewTier{Currency: "EUR"}, next.Format(time.DateOnly))
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/wholesale_tiers", "Tiers", v)
}

func (s *Console) setTier(c *fiber.Ctx) error {
	in := wholesale.NewTier{
		Tier: table.Text(c.FormValue("tier"), 60), Currency: table.Text(c.FormValue("currency"), 3), Name: table.Text(c.FormValue("name"), 200),
		Fee: table.Text(c.FormValue("fee"), 40), Percent: table.Text(c.FormValue("percent"), 20),
		Share: table.Text(c.FormValue("share"), 20), Minimum: table.Text(c.FormValue("minimum"), 40),
		Domains: table.Text(c.FormValue("domains"), 20), Team: table.Text(c.FormValue("team"), 20), Services: table.Text(c.FormValue("services"), 20), From: dayOf(c, "from"),
	}
	o, err := s.Wholesale.OutlookTier(c.UserContext(), in, office.By(c))
	if err == nil {
		what := "The tier " + in.Name + " with " + in.Percent + " % off from " + in.From.Format(time.DateOnly) + " on."
		if asked, err := s.confirm(c, o, what, "/wholesale/tiers", "tier", "currency", "name", "fee", "percent", "share", "minimum", "domains", "team", "services", "from"); asked || err != nil {
			return err
		}
		err = s.Wholesale.SetTier(c.UserContext(), in, office.By(c))
	}
	if err != nil {
		v, verr := s.tiersPage(c, in, table.Text(c.FormValue("from"), 10))
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "console", "console/wholesale_tiers", "Tiers", v)
	}
	return surface.Redirect(c, "/wholesale/tiers", "The tier "+in.Name+" is set.")
}

type sellerView struct {
	Tabs      []map[string]any
	S         wholesale.Seller
	DueDays   string
	Rates     string // as typed
	Own       string // currency of the country
	Countries []place.Choice
	May       bool
}

// countries are all countries, after one for none.
func countries() []place.Choice {
	return append([]place.Choice{{Value: "", Label: "Not said"}}, place.Countries()...)
}

// viewSeller is the form of our details, with numbers and rates as they were typed.
func viewSeller(c *fiber.Ctx, in wholesale.Seller, days, rates string) sellerView {
	return sellerView{wholesaleTabs("/wholesale/seller"), in, days, rates, billing.AccountingCurrency(in.Country), countries(), mayBill(c)}
}

func (s *Console) showSeller(c *fiber.Ctx) error {
	seller, err := s.Wholesale.Seller(c.UserContext())
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/wholesale_seller", "Our details", viewSeller(c, seller, strconv.Itoa(seller.DueDays), seller.RatesText()))
}

func (s *Console) setSeller(c *fiber.Ctx) error {
	text := func(field string) string { return table.Text(c.FormValue(field), 400) }
	in := wholesale.Seller{Party: document.Party{
		Company: text("company"), Line1: text("line1"), Line2: text("line2"), Postcode: text("postcode"), City: text("city"), Country: text("country"),
		TaxID: text("tax_id"), Email: text("email"), Phone: text("phone"), Website: text("website"),
	}, Footer: c.FormValue("footer"), DueDays: -1}
	if n, err := strconv.Atoi(text("due_days")); err == nil {
		in.DueDays = n
	}
	typed := strings.ToValidUTF8(c.FormValue("rates"), "")
	rates, wrong := wholesale.ReadRates(typed)
	var err error
	if in.Rates = rates; wrong != "" {
		err = fault.Field("rates", "seller.invalid", wrong)
	} else {
		err = s.Wholesale.SetSeller(c.UserContext(), in, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "console", "console/wholesale_seller", "Our details", viewSeller(c, in, text("due_days"), typed))
	}
	return surface.Redirect(c, "/wholesale/seller", "Saved. It stands on invoices from now on.")
}

type termsView struct {
	resellerView
	Terms      []wholesale.Terms
	Tiers      []choice
	Currencies []place.Choice
	In         wholesale.NewTerms
	From       string
	Invoices   []invoiceRow
	Limit      wholesale.Limit
	LimitTyped string
	Balance    wholesale.Balance
	Days       wholesale.BillDays
	DayTyped   string
	May        bool
}

// setLimit handles POST /resellers/:id/limit.
func (s *Console) setLimit(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	typed := table.Text(c.FormValue("limit"), 40)
	if err := s.Wholesale.SetLimit(c.UserContext(), r.ID, typed, office.By(c)); err != nil {
		v, verr := s.termsPage(c, r, wholesale.NewTerms{Currency: r.Currency}, s.Central.Now().UTC().Format(time.DateOnly))
		if verr != nil {
			return verr
		}
		v.LimitTyped = typed
		return surface.FormError(c, err, "console", "console/reseller_billing", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/billing", "The credit limit is set.")
}

// setBillDay handles POST /resellers/:id/bill-day.
func (s *Console) setBillDay(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	typed := table.Text(c.FormValue("day"), 10)
	day, err := strconv.Atoi(typed)
	if err != nil {
		day = 0
	}
	if err := s.Wholesale.SetBillDay(c.UserContext(), r.ID, day, office.By(c)); err != nil {
		v, verr := s.termsPage(c, r, wholesale.NewTerms{Currency: r.Currency}, s.Central.Now().UTC().Format(time.DateOnly))
		if verr != nil {
			return verr
		}
		v.DayTyped = typed
		return surface.FormError(c, err, "console", "console/reseller_billing", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/billing", "The bill day is set.")
}

func (s *Console) termsPage(c *fiber.Ctx, r reseller.Reseller, in wholesale.NewTerms, from string) (v termsView, err error) {
	v = termsView{resellerView: s.resellerView(c, r, "/billing"), In: in, From: from, Currencies: place.Currencies(in.Currency), May: mayBill(c)}
	a, err := s.Wholesale.BillingOf(c.UserContext(), r.ID, 12)
	if err != nil {
		return v, err
	}
	v.Terms, v.Tiers, v.Invoices = a.Terms, tierChoices(a.Tiers, ""), withStatus(a.Recent, s.Central.Now())
	v.Balance, v.Days, v.DayTyped = a.Balance, a.Days, strconv.Itoa(a.Days.Day)
	if v.Limit = a.Limit; v.Limit.On() {
		v.LimitTyped = v.Limit.Limit.Decimal()
	}
	return v, nil
}

func (s *Console) showTerms(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v, err := s.termsPage(c, r, wholesale.NewTerms{Currency: r.Currency}, s.Central.Now().UTC().Format(time.DateOnly))
	if err != nil {
		return err
	}
	if len(v.Terms) > 0 { // the newest: what holds is what the form begins with
		v.In.Tier, v.In.Currency = v.Terms[0].Tier, v.Terms[0].Currency
	}
	return surface.Render(c, "console", "console/reseller_billing", r.Name, v)
}

func (s *Console) setTerms(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	in := wholesale.NewTerms{Tier: table.Text(c.FormValue("tier"), 40), Currency: table.Text(c.FormValue("currency"), 3), From: dayOf(c, "from")}
	o, err := s.Wholesale.OutlookTerms(c.UserContext(), r.ID, in, office.By(c))
	if err == nil {
		what := r.Name + " on the tier " + in.Tier + " from " + in.From.Format(time.DateOnly) + " on."
		if asked, err := s.confirm(c, o, what, "/resellers/"+r.ID.String()+"/billing", "tier", "currency", "from"); asked || err != nil {
			return err
		}
		err = s.Wholesale.SetTerms(c.UserContext(), r.ID, in, office.By(c))
	}
	if err != nil {
		v, verr := s.termsPage(c, r, in, table.Text(c.FormValue("from"), 10))
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "console", "console/reseller_billing", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/billing", "The terms are set.")
}
