package web

import (
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
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
		at("GET", "/plans/:size/meters/new", identity.CatalogWrite, s.newMeter),
		at("POST", "/plans/:size/meters/new", identity.CatalogWrite, s.saveMeter),
		at("GET", "/meters/:meter", identity.CatalogRead, s.showMeter),
		at("POST", "/meters/:meter", identity.CatalogWrite, s.saveMeter),
		at("POST", "/meters/:meter/retire", identity.CatalogWrite, s.retireMeter),
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

// How those who have a plan change to another.
var (
	upgrades = []place.Choice{{Value: "prorate", Label: "At once, the rest of the time at the new price"}, {Value: "at_renewal", Label: "With the next period"},
		{Value: "full_price", Label: "At once, at the full price of a new period"}}
	downgrades = []place.Choice{{Value: "at_renewal", Label: "With the next period"}, {Value: "credit", Label: "At once, what is left is credit for the next invoices"},
		{Value: "refund", Label: "At once, what is left is given back"}, {Value: "nothing", Label: "At once, nothing is given back"}}
)

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
	States []map[string]any // of the options
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

func viewShelf(x catalog.Shelf, offers []catalog.Offer, currency string, held int64) shelfView {
	v := shelfView{Shelf: x, Status: visibilityStatus(x.Visibility)}
	for _, o := range x.Options {
		v.States = append(v.States, visibilityStatus(o.Visibility))
	}
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
		if from, ok := (catalog.Plan{Prices: row.Shown}).From(); ok && !row.Lost && !from.ByTheHour() {
			m := catalog.MarginOf(from.Amount, from.Cycle, cost, held)
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
		held, err := invoicing.HeldTax(c.UserContext(), tx)
		if err != nil {
			return err
		}
		all, err := catalog.Everything(c.UserContext(), tx)
		for _, x := range all {
			v.Products = append(v.Products, viewShelf(x, offers, t.Currency, held))
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
	TaxClasses   []place.Choice
	Visibilities []place.Choice
	Action       string
	MayEdit      bool
}

func (s *Site) productEdit(c *fiber.Ctx, f catalog.ProductForm) productEdit {
	p, _ := surface.Principal(c)
	return productEdit{Form: f, Types: pairs(catalog.Types()), TaxClasses: taxClasses(), Visibilities: visibilities, Action: c.Path(), MayEdit: p.May(identity.CatalogWrite)}
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
	var held int64
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if held, err = invoicing.HeldTax(c.UserContext(), tx); err != nil {
			return err
		}
		x, err = catalog.ProductByID(c.UserContext(), tx, id)
		return err
	})
	if err != nil {
		return productEdit{}, err
	}
	v := s.productEdit(c, catalog.ProductForm{ID: x.ID, Slug: x.Slug, Type: string(x.Type), Name: x.Name, Summary: x.Summary, Description: x.Description, TaxClass: x.TaxClass,
		Position: strconv.Itoa(x.Position), Visibility: string(x.Visibility)})
	shelf := viewShelf(x, offers, t.Currency, held)
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
		Description: c.FormValue("description"), TaxClass: c.FormValue("tax_class"), Position: c.FormValue("position"), Visibility: c.FormValue("visibility")}
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
