package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
)

func (s *Site) catalogRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/catalog" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.CatalogRead, s.showCatalog),
		at("GET", "/new", identity.CatalogWrite, s.newProduct),
		at("POST", "/new", identity.CatalogWrite, s.saveProduct),
		at("GET", "/products/:shelf", identity.CatalogRead, s.showProduct),
		at("POST", "/products/:shelf", identity.CatalogWrite, s.saveProduct),
		at("GET", "/products/:shelf/plans/new", identity.CatalogWrite, s.newPlan),
		at("POST", "/products/:shelf/plans/new", identity.CatalogWrite, s.savePlan),
		at("GET", "/products/:shelf/options/new", identity.CatalogWrite, s.newOption),
		at("POST", "/products/:shelf/options/new", identity.CatalogWrite, s.saveOption),
		at("GET", "/plans/:size", identity.CatalogRead, s.showPlan),
		at("POST", "/plans/:size", identity.CatalogWrite, s.savePlan),
		at("GET", "/options/:extra", identity.CatalogRead, s.showOption),
		at("POST", "/options/:extra", identity.CatalogWrite, s.saveOption),
	}
}

// idParam reads an id of a path; what is none is unknown.
func idParam(c *fiber.Ctx, name string) (uuid.UUID, error) {
	if c.Params(name) == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(c.Params(name))
	if err != nil || id == uuid.Nil {
		return uuid.Nil, fault.New(fault.NotFound, "page.not_found", "There is no page at this address.")
	}
	return id, nil
}

var visibilities = []place.Choice{{Value: "public", Label: "For everybody"}, {Value: "hidden", Label: "Only by its address"}, {Value: "archived", Label: "Archived: not sold any more"}}

func pairs(all [][2]string) []place.Choice {
	out := make([]place.Choice, len(all))
	for i, x := range all {
		out[i] = place.Choice{Value: x[0], Label: x[1]}
	}
	return out
}

func visibilityStatus(v catalog.Visibility) map[string]any {
	switch v {
	case catalog.Shown:
		return office.Status("good", "On sale")
	case catalog.Hidden:
		return office.Status("info", "By its address")
	default:
		return office.Status("idle", "Archived")
	}
}

type shelfView struct {
	catalog.Shelf
	Status map[string]any
	Rows   []planRow
}

type planRow struct {
	catalog.FullPlan
	Status map[string]any
	Offer  string // what it is made of; empty: nothing
	Lost   bool   // it is not offered any more
	Shown  []catalog.Price
	Per    []string
	Margin *catalog.Margin // of the first price
}

type catalogView struct {
	Products []shelfView
	Currency string
	MayEdit  bool
}

// offers are what the reseller can buy.
func (s *Site) offers(c *fiber.Ctx) ([]catalog.Offer, error) {
	if s.Selling == nil {
		return nil, nil
	}
	t, _ := surface.Tenant(c)
	return s.Selling.Offers.Offers(c.UserContext(), t.ID)
}

func viewShelf(x catalog.Shelf, offers []catalog.Offer, currency string) shelfView {
	v := shelfView{Shelf: x, Status: visibilityStatus(x.Visibility)}
	for _, p := range x.Plans {
		row := planRow{FullPlan: p, Status: visibilityStatus(p.Visibility), Shown: p.InCurrency(currency)}
		cost := catalog.Cost{}
		if p.SKU != "" {
			row.Offer = p.SKU
			if o := catalog.OfferFor(offers, p); o != nil {
				row.Offer, cost = o.Name, o.Cost
			} else {
				row.Lost = true
			}
		}
		for _, price := range row.Shown {
			row.Per = append(row.Per, perWords[price.Cycle][0])
		}
		if from, ok := (catalog.Plan{Prices: row.Shown}).From(); ok && !row.Lost {
			m := catalog.MarginOf(from.Amount, from.Cycle, cost)
			row.Margin = &m
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// showCatalog handles GET /manage/catalog.
func (s *Site) showCatalog(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	p, _ := surface.Principal(c)
	v := catalogView{Currency: t.Currency, MayEdit: p.May(identity.CatalogWrite)}
	offers, err := s.offers(c)
	if err != nil {
		return err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := catalog.Everything(c.UserContext(), tx)
		for _, x := range all {
			v.Products = append(v.Products, viewShelf(x, offers, t.Currency))
		}
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/catalog", "Catalog", v)
}

type productEdit struct {
	Form         catalog.ProductForm
	Shelf        *shelfView // nil: a new one
	Types        []place.Choice
	Visibilities []place.Choice
	Action       string
	MayEdit      bool
}

func (s *Site) productEdit(c *fiber.Ctx, f catalog.ProductForm) productEdit {
	p, _ := surface.Principal(c)
	return productEdit{Form: f, Types: pairs(catalog.Types()), Visibilities: visibilities, Action: c.Path(), MayEdit: p.May(identity.CatalogWrite)}
}

// newProduct handles GET /manage/catalog/new.
func (s *Site) newProduct(c *fiber.Ctx) error {
	return surface.Render(c, "manage", "manage/product", "New product", s.productEdit(c, catalog.ProductForm{Type: "vps", Visibility: "public"}))
}

// showProduct handles GET /manage/catalog/products/:shelf.
func (s *Site) showProduct(c *fiber.Ctx) error {
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	v, err := s.productPage(c, id)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/product", v.Shelf.Name, v)
}

func (s *Site) productPage(c *fiber.Ctx, id uuid.UUID) (productEdit, error) {
	t, _ := surface.Tenant(c)
	offers, err := s.offers(c)
	if err != nil {
		return productEdit{}, err
	}
	var x catalog.Shelf
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err = catalog.ProductByID(c.UserContext(), tx, id)
		return err
	})
	if err != nil {
		return productEdit{}, err
	}
	v := s.productEdit(c, catalog.ProductForm{ID: x.ID, Slug: x.Slug, Type: string(x.Type), Name: x.Name, Summary: x.Summary, Description: x.Description,
		Position: strconv.Itoa(x.Position), Visibility: string(x.Visibility)})
	shelf := viewShelf(x, offers, t.Currency)
	v.Shelf = &shelf
	return v, nil
}

// saveProduct handles POST /manage/catalog/new and /manage/catalog/products/:shelf.
func (s *Site) saveProduct(c *fiber.Ctx) error {
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	f := catalog.ProductForm{ID: id, Slug: c.FormValue("slug"), Type: c.FormValue("type"), Name: c.FormValue("name"), Summary: c.FormValue("summary"),
		Description: c.FormValue("description"), Position: c.FormValue("position"), Visibility: c.FormValue("visibility")}
	saved, err := catalog.SaveProduct(c.UserContext(), surface.DB(c), f, office.By(c))
	if err != nil {
		v := s.productEdit(c, f)
		if id != uuid.Nil {
			page, perr := s.productPage(c, id)
			if perr != nil {
				return perr
			}
			v.Shelf = page.Shelf
		}
		return surface.FormError(c, err, "manage", "manage/product", "Product", v)
	}
	return surface.Redirect(c, "/manage/catalog/products/"+saved.String(), "Saved. Visitors see it now.")
}

// planEdit is the editor of a plan.
type planEdit struct {
	Form         catalog.PlanForm
	Product      catalog.Shelf
	Offers       []offerChoice
	Places       []checkView
	Images       []checkView
	Visibilities []place.Choice
	Prices       []priceRow
	Margins      []catalog.Margin
	Per          map[catalog.Cycle]string
	Cost         string // of the chosen offer, in words
	Action       string
	ID           uuid.UUID
	New          bool
	MayEdit      bool
	ShopHref     string
}

type offerChoice struct {
	Value, Label, Note string
	Checked            bool
}

type checkView struct {
	Value, Label string
	Checked      bool
}

// priceRow is one currency's amounts as they are typed.
type priceRow struct {
	Currency string
	Cells    []priceCell
	Setup    string
}

type priceCell struct {
	Cycle       catalog.Cycle
	Label, Name string
	Value       string
}

// planForm reads what the editor sends.
func planForm(c *fiber.Ctx) catalog.PlanForm {
	f := catalog.PlanForm{
		SKU: c.FormValue("sku"), Slug: c.FormValue("slug"), Name: c.FormValue("name"), Summary: c.FormValue("summary"), Facts: strings.ReplaceAll(c.FormValue("facts"), "\r", ""),
		Recommended: c.FormValue("recommended") != "", Position: c.FormValue("position"), Visibility: c.FormValue("visibility"), Stock: c.FormValue("stock"),
		Prices: map[string]map[catalog.Cycle]string{}, Setup: map[string]string{},
	}
	c.Request().PostArgs().VisitAll(func(k, v []byte) {
		name, value := string(k), string(v)
		switch {
		case name == "region" && len(f.Regions) < 200:
			f.Regions = append(f.Regions, value)
		case name == "image" && len(f.Images) < 500:
			f.Images = append(f.Images, value)
		}
	})
	for _, currency := range knownCurrencies() {
		f.Setup[currency] = c.FormValue("setup." + currency)
		f.Prices[currency] = map[catalog.Cycle]string{}
		for _, cycle := range catalog.EditCycles() {
			f.Prices[currency][cycle] = c.FormValue("price." + currency + "." + string(cycle))
		}
	}
	return f
}

// knownCurrencies are those a shop may have prices in.
func knownCurrencies() []string {
	var all []string
	for _, x := range place.Currencies("") {
		all = append(all, x.Value)
	}
	return all
}

// formOf is a plan as the editor shows it.
func formOf(p catalog.FullPlan) catalog.PlanForm {
	f := catalog.PlanForm{ID: p.ID, ProductID: p.ProductID, SKU: p.SKU, Slug: p.Slug, Name: p.Name, Summary: p.Summary, Recommended: p.Recommended,
		Position: strconv.Itoa(p.Position), Visibility: string(p.Visibility), Regions: p.Delivery.Regions, Images: p.Delivery.Images,
		Prices: map[string]map[catalog.Cycle]string{}, Setup: map[string]string{}}
	for _, x := range p.Facts {
		f.Facts += x.Label + ": " + x.Value + "\n"
	}
	if p.Stock != nil {
		f.Stock = strconv.Itoa(*p.Stock)
	}
	for _, x := range p.Prices {
		if f.Prices[x.Currency] == nil {
			f.Prices[x.Currency] = map[catalog.Cycle]string{}
		}
		f.Prices[x.Currency][x.Cycle] = billing.Money{Minor: x.Amount, Currency: x.Currency}.Decimal()
		if x.Setup > 0 {
			f.Setup[x.Currency] = billing.Money{Minor: x.Setup, Currency: x.Currency}.Decimal()
		}
	}
	return f
}

// editPlan builds the editor's page around a form.
func (s *Site) editPlan(c *fiber.Ctx, product catalog.Shelf, f catalog.PlanForm) (planEdit, error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	offers, err := s.offers(c)
	if err != nil {
		return planEdit{}, err
	}
	v := planEdit{Form: f, Product: product, Visibilities: visibilities, Action: c.Path(), ID: f.ID, New: f.ID == uuid.Nil, MayEdit: who.May(identity.CatalogWrite), Per: map[catalog.Cycle]string{},
		ShopHref: "/products/" + product.Slug + "/" + f.Slug}
	var cost catalog.Cost
	v.Offers = append(v.Offers, offerChoice{Label: "Nothing: you deliver it yourself", Checked: f.SKU == ""})
	for i, o := range offers {
		words := costWords(o.Cost, t.Locale)
		v.Offers = append(v.Offers, offerChoice{Value: o.SKU, Label: o.Name, Note: words, Checked: o.SKU == f.SKU})
		if o.SKU == f.SKU {
			cost, v.Cost = o.Cost, words
			v.where(offers[i], f)
		}
	}
	currencies := []string{t.Currency}
	for _, x := range append([]string{"EUR", "USD", "GBP"}, knownCurrencies()...) {
		common := x == "EUR" || x == "USD" || x == "GBP" || len(f.Prices[x]) > 0 && slices.ContainsFunc(catalog.EditCycles(), func(y catalog.Cycle) bool { return f.Prices[x][y] != "" })
		if common && !slices.Contains(currencies, x) {
			currencies = append(currencies, x)
		}
	}
	for _, currency := range currencies {
		row := priceRow{Currency: currency, Setup: f.Setup[currency]}
		for _, cycle := range catalog.EditCycles() {
			row.Cells = append(row.Cells, priceCell{Cycle: cycle, Label: perWords[cycle][1], Name: "price." + currency + "." + string(cycle), Value: f.Prices[currency][cycle]})
			v.Per[cycle] = perWords[cycle][1]
		}
		v.Prices = append(v.Prices, row)
	}
	prices, bad := f.ReadPrices()
	for _, x := range prices {
		if bad["price."+x.Currency+"."+string(x.Cycle)] == "" {
			v.Margins = append(v.Margins, catalog.MarginOf(billing.Money{Minor: x.Amount, Currency: x.Currency}, x.Cycle, cost))
		}
	}
	return v, nil
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

func (s *Site) product1(c *fiber.Ctx, id uuid.UUID) (x catalog.Shelf, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err = catalog.ProductByID(c.UserContext(), tx, id)
		return err
	})
	return x, err
}

// newPlan handles GET /manage/catalog/products/:shelf/plans/new. ?sku= begins from an offer.
func (s *Site) newPlan(c *fiber.Ctx) error {
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	product, err := s.product1(c, id)
	if err != nil {
		return err
	}
	f := catalog.PlanForm{ProductID: id, Visibility: "public", SKU: c.Query("sku")}
	offers, err := s.offers(c)
	if err != nil {
		return err
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
	return surface.Render(c, "manage", "manage/plan", p.Name, v)
}

func (s *Site) planAndProduct(c *fiber.Ctx) (p catalog.FullPlan, product catalog.Shelf, err error) {
	id, err := idParam(c, "size")
	if err != nil {
		return p, product, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if p, err = catalog.ByID(c.UserContext(), tx, id); err != nil {
			return err
		}
		product, err = catalog.ProductByID(c.UserContext(), tx, p.ProductID)
		return err
	})
	return p, product, err
}

// savePlan handles the POST of both editors of a plan. "show" asks for the margin and
// saves nothing.
func (s *Site) savePlan(c *fiber.Ctx) error {
	f := planForm(c)
	var product catalog.Shelf
	var err error
	if c.Params("size") != "" {
		var p catalog.FullPlan
		if p, product, err = s.planAndProduct(c); err == nil {
			f.ID, f.ProductID = p.ID, p.ProductID
		}
	} else {
		if f.ProductID, err = idParam(c, "shelf"); err == nil {
			product, err = s.product1(c, f.ProductID)
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

// optionEdit is the editor of an option.
type optionEdit struct {
	Form         catalog.OptionForm
	Product      catalog.Shelf
	Resources    []place.Choice
	Kinds        []place.Choice
	Visibilities []place.Choice
	Action       string
	MayEdit      bool
}

func (s *Site) optionEdit(c *fiber.Ctx, product catalog.Shelf, f catalog.OptionForm) optionEdit {
	who, _ := surface.Principal(c)
	return optionEdit{Form: f, Product: product, Resources: pairs(catalog.Resources()), Visibilities: visibilities, Action: c.Path(), MayEdit: who.May(identity.CatalogWrite),
		Kinds: []place.Choice{{Value: catalog.OneOf, Label: "One of several"}, {Value: catalog.Quantity, Label: "A number"}}}
}

// newOption handles GET /manage/catalog/products/:shelf/options/new.
func (s *Site) newOption(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	product, err := s.product1(c, id)
	if err != nil {
		return err
	}
	f := catalog.OptionForm{ProductID: id, Kind: catalog.OneOf, Visibility: "public", Currency: t.Currency, Step: "1"}
	return surface.Render(c, "manage", "manage/option", "New option", s.optionEdit(c, product, f))
}

func (s *Site) optionAndProduct(c *fiber.Ctx) (o catalog.Option, product catalog.Shelf, err error) {
	id, err := idParam(c, "extra")
	if err != nil {
		return o, product, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		var of uuid.UUID
		if o, of, err = catalog.OptionByID(c.UserContext(), tx, id); err != nil {
			return err
		}
		product, err = catalog.ProductByID(c.UserContext(), tx, of)
		return err
	})
	return o, product, err
}

// showOption handles GET /manage/catalog/options/:extra.
func (s *Site) showOption(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	o, product, err := s.optionAndProduct(c)
	if err != nil {
		return err
	}
	f := catalog.OptionForm{ID: o.ID, ProductID: product.ID, Code: o.Code, Label: o.Label, Help: o.Help, Kind: o.Kind, Resource: o.Resource, Minimum: strconv.Itoa(o.Minimum),
		Maximum: strconv.Itoa(o.Maximum), Step: strconv.Itoa(o.Step), Currency: t.Currency, Choices: catalog.Lines(o.Choices, t.Currency), Position: strconv.Itoa(o.Position), Visibility: string(o.Visibility)}
	return surface.Render(c, "manage", "manage/option", o.Label, s.optionEdit(c, product, f))
}

// saveOption handles the POST of both editors of an option.
func (s *Site) saveOption(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	f := catalog.OptionForm{Code: c.FormValue("code"), Label: c.FormValue("label"), Help: c.FormValue("help"), Kind: c.FormValue("kind"), Resource: c.FormValue("resource"),
		Minimum: c.FormValue("minimum"), Maximum: c.FormValue("maximum"), Step: c.FormValue("step"), Currency: t.Currency,
		Choices: strings.ReplaceAll(c.FormValue("choices"), "\r", ""), Position: c.FormValue("position"), Visibility: c.FormValue("visibility")}
	var product catalog.Shelf
	var err error
	if c.Params("extra") != "" {
		var o catalog.Option
		if o, product, err = s.optionAndProduct(c); err == nil {
			f.ID, f.ProductID = o.ID, product.ID
		}
	} else if f.ProductID, err = idParam(c, "shelf"); err == nil {
		product, err = s.product1(c, f.ProductID)
	}
	if err != nil {
		return err
	}
	if err := catalog.SaveOption(c.UserContext(), surface.DB(c), f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/option", "Option", s.optionEdit(c, product, f))
	}
	return surface.Redirect(c, "/manage/catalog/products/"+product.ID.String(), "Saved. Visitors see it now.")
}
