package web

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// planEdit is the editor of a plan.
type planEdit struct {
	Form         catalog.PlanForm
	Product      catalog.Shelf
	Offers       []offerChoice
	Places       []checkView
	Images       []checkView
	Visibilities []place.Choice
	Upgrades     []place.Choice
	Downgrades   []place.Choice
	Prices       []priceRow
	Margins      []catalog.Margin
	HourMonths   bool // a full month of hours is among them
	Per          map[catalog.Cycle]string
	Cost         string // of the chosen offer, in words
	Action       string
	ID           uuid.UUID
	New          bool
	MayEdit      bool
	ShopHref     string
	Meters       []catalog.Meter
	Currency     string
	HeldWords    string // how many of the stock are in checkouts; empty: none
}

type offerChoice struct {
	Value, Label, Note string
	Checked            bool
}

type checkView struct {
	Value, Label string
	Checked      bool
}

// editPlan builds the editor's page around a form.
func (s *Site) editPlan(c *fiber.Ctx, product taxedShelf, f catalog.PlanForm) (planEdit, error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	offers, err := s.offers(c)
	if err != nil {
		return planEdit{}, err
	}
	v := planEdit{Form: f, Product: product.Shelf, Visibilities: visibilities, Upgrades: upgrades, Downgrades: downgrades, Action: c.Path(), ID: f.ID, New: f.ID == uuid.Nil, MayEdit: who.May(identity.CatalogWrite), Per: map[catalog.Cycle]string{},
		ShopHref: "/products/" + product.Slug + "/" + f.Slug, Currency: t.Currency}
	for _, p := range product.Plans {
		if p.ID == f.ID && f.ID != uuid.Nil {
			v.Meters = p.Meters
		}
	}
	var cost catalog.Cost
	v.Offers = append(v.Offers, offerChoice{Label: "Nothing: you deliver it yourself", Checked: f.SKU == ""})
	for i, o := range offers {
		if o.Type == catalog.AddonType {
			continue // options are made of it
		}
		words := costWords(o.Cost, t.Locale)
		v.Offers = append(v.Offers, offerChoice{Value: o.SKU, Label: o.Name, Note: words, Checked: o.SKU == f.SKU})
		if o.SKU == f.SKU {
			cost, v.Cost = o.Cost, words
			v.where(offers[i], f)
		}
	}
	currencies := []string{t.Currency}
	for _, x := range append([]string{"EUR", "USD", "GBP"}, knownCurrencies()...) {
		common := x == "EUR" || x == "USD" || x == "GBP" || f.Hour[x] != "" || len(f.Prices[x]) > 0 && slices.ContainsFunc(catalog.EditCycles(), func(y catalog.Cycle) bool { return f.Prices[x][y] != "" })
		if common && !slices.Contains(currencies, x) {
			currencies = append(currencies, x)
		}
	}
	for _, currency := range currencies {
		row := priceRow{Currency: currency, Setup: f.Setup[currency], Hour: f.Hour[currency], HourCap: f.HourCap[currency]}
		for _, cycle := range catalog.EditCycles() {
			row.Cells = append(row.Cells, priceCell{Cycle: cycle, Label: perWords[cycle][1], Name: "price." + currency + "." + string(cycle), Value: f.Prices[currency][cycle]})
			v.Per[cycle] = perWords[cycle][1]
		}
		v.Prices = append(v.Prices, row)
	}
	prices, bad := f.ReadPrices()
	v.Per[catalog.Hourly] = "By the hour, a full month"
	for _, m := range f.HourMonths() {
		v.HourMonths = true
		v.Margins = append(v.Margins, catalog.MarginOf(m, catalog.Hourly, cost, product.held))
	}
	for _, x := range prices {
		if bad["price."+x.Currency+"."+string(x.Cycle)] == "" {
			v.Margins = append(v.Margins, catalog.MarginOf(billing.Money{Minor: x.Amount, Currency: x.Currency}, x.Cycle, cost, product.held))
		}
	}
	slices.SortStableFunc(v.Margins, func(a, b catalog.Margin) int { return strings.Compare(a.Currency, b.Currency) })
	return v, nil
}

// taxedShelf is a product, and the tax that the shop's prices hold.
type taxedShelf struct {
	catalog.Shelf
	held int64 // parts per million on top of the net
}

func readTaxedShelf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (x taxedShelf, err error) {
	if x.Shelf, err = catalog.ProductByID(ctx, tx, id); err != nil {
		return x, err
	}
	x.held, err = invoicing.HeldTax(ctx, tx)
	return x, err
}

// costWords says what an offer costs; rates finer than a minor unit are shown as they are.
func costWords(c catalog.Cost, locale string) string {
	if c.Currency == "" {
		return "no wholesale price for you yet"
	}
	if n, err := strconv.ParseInt(c.Minor, 10, 64); err == nil {
		return "costs you " + billing.Money{Minor: n, Currency: c.Currency}.Format(locale) + " a month"
	}
	rate, err := billing.ParseMinorRate(c.Minor, c.Currency)
	if err != nil {
		return ""
	}
	about, err := rate.Round()
	if err != nil {
		return ""
	}
	return "costs you about " + about.Format(locale) + " a month"
}

func (v *planEdit) where(o catalog.Offer, f catalog.PlanForm) {
	seen := map[string]bool{}
	for _, r := range o.Regions {
		v.Places = append(v.Places, checkView{r.Code, r.Name, len(f.Regions) == 0 || slices.Contains(f.Regions, r.Code)})
		for _, im := range r.Images {
			if !seen[im.Code] {
				seen[im.Code] = true
				v.Images = append(v.Images, checkView{im.Code, im.Name, len(f.Images) == 0 || slices.Contains(f.Images, im.Code)})
			}
		}
	}
}

func (s *Site) taxedProduct(c *fiber.Ctx, id uuid.UUID) (x taxedShelf, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err = readTaxedShelf(c.UserContext(), tx, id)
		return err
	})
	return x, err
}

// newPlan handles GET /manage/catalog/products/:shelf/plans/new. ?sku= begins from an offer, or with
// "none" from nothing; without it from the first there is of the product's type.
func (s *Site) newPlan(c *fiber.Ctx) error {
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	product, err := s.taxedProduct(c, id)
	if err != nil {
		return err
	}
	f := catalog.PlanForm{ProductID: id, Visibility: "public", SKU: c.Query("sku")}
	offers, err := s.offers(c)
	if err != nil {
		return err
	}
	switch f.ByHand = true; f.SKU {
	case "": // what the platform delivers comes first
		f.SKU = firstOffer(offers, product.Type)
	case "none":
		f.SKU = ""
	}
	for _, o := range offers {
		if o.SKU == f.SKU {
			f.Name, f.Slug, f.Summary, f.Facts = o.Name, slugOf(o.Name), o.Summary, factLines(o)
		}
	}
	v, err := s.editPlan(c, product, f)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/plan", "New plan", v)
}

// firstOffer is the wholesale product a new plan of a type of product begins with; empty:
// there is none of that type.
func firstOffer(offers []catalog.Offer, of catalog.Type) string {
	for _, o := range offers {
		if o.Available && o.Type == of {
			return o.SKU
		}
	}
	return ""
}

// slugOf is an address made of a name.
func slugOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

func factLines(o catalog.Offer) string {
	var out []string
	add := func(n int, label, unit string) {
		if n > 0 {
			out = append(out, label+": "+strconv.Itoa(n)+unit)
		}
	}
	add(o.Spec.CPU, "CPU", " vCPU")
	if o.Spec.MemoryMB%1024 == 0 {
		add(o.Spec.MemoryMB/1024, "Memory", " GB")
	} else {
		add(o.Spec.MemoryMB, "Memory", " MB")
	}
	add(o.Spec.DiskGB, "Disk", " GB")
	if o.Spec.TrafficGB%1000 == 0 {
		add(o.Spec.TrafficGB/1000, "Traffic", " TB")
	} else {
		add(o.Spec.TrafficGB, "Traffic", " GB")
	}
	return strings.Join(out, "\n")
}

// showPlan handles GET /manage/catalog/plans/:size.
func (s *Site) showPlan(c *fiber.Ctx) error {
	p, product, err := s.planAndProduct(c)
	if err != nil {
		return err
	}
	v, err := s.editPlan(c, product, formOf(p))
	if err != nil {
		return err
	}
	if p.Stock != nil {
		if held := *p.Stock - billing.StockLeft(*p.Stock, p.Held, "", surface.DB(c).Now()); held > 0 {
			v.HeldWords = strconv.Itoa(held) + " of them kept for customers in the checkout, for 15 minutes at most. Empty: as many as there is room for."
		}
	}
	return surface.Render(c, "manage", "manage/plan", p.Name, v)
}

func (s *Site) planAndProduct(c *fiber.Ctx) (p catalog.FullPlan, product taxedShelf, err error) {
	id, err := idParam(c, "size")
	if err != nil {
		return p, product, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if p, err = catalog.ByID(c.UserContext(), tx, id); err != nil {
			return err
		}
		product, err = readTaxedShelf(c.UserContext(), tx, p.ProductID)
		return err
	})
	return p, product, err
}

// savePlan handles the POST of both editors of a plan. "show" asks for the margin and
// saves nothing.
func (s *Site) savePlan(c *fiber.Ctx) error {
	f := planForm(c)
	var product taxedShelf
	var err error
	if c.Params("size") != "" {
		var p catalog.FullPlan
		if p, product, err = s.planAndProduct(c); err == nil {
			f.ID, f.ProductID = p.ID, p.ProductID
		}
	} else {
		if f.ProductID, err = idParam(c, "shelf"); err == nil {
			product, err = s.taxedProduct(c, f.ProductID)
		}
	}
	if err != nil {
		return err
	}
	v, err := s.editPlan(c, product, f)
	if err != nil {
		return err
	}
	switch {
	case c.Get("HX-Request") == "true":
		return surface.Fragment(c, "manage/plan", "margins", v)
	case c.FormValue("show") != "":
		return surface.Render(c, "manage", "manage/plan", "Plan", v)
	}
	offers, err := s.offers(c)
	if err != nil {
		return err
	}
	if _, err := catalog.SavePlan(c.UserContext(), surface.DB(c), offers, f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/plan", "Plan", v)
	}
	return surface.Redirect(c, "/manage/catalog/products/"+product.ID.String(), "Saved. Visitors see it now.")
}
