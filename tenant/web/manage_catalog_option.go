package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// optionEdit is the editor of an option.
type optionEdit struct {
	Form         catalog.OptionForm
	Product      catalog.Shelf
	Resources    []place.Choice
	Kinds        []place.Choice
	Visibilities []place.Choice
	Action       string
	MayEdit      bool
	Saved        bool // it is one that there is
	Plans        []checkView
}

func (s *Site) optionEdit(c *fiber.Ctx, product catalog.Shelf, f catalog.OptionForm) optionEdit {
	who, _ := surface.Principal(c)
	v := optionEdit{Form: f, Product: product, Resources: pairs(catalog.Resources()), Visibilities: visibilities, Action: c.Path(), MayEdit: who.May(identity.CatalogWrite), Saved: f.ID != uuid.Nil,
		Kinds: []place.Choice{{Value: catalog.OneOf, Label: "One of several"}, {Value: catalog.Quantity, Label: "A number"}, {Value: catalog.Slider, Label: "A slider"}, {Value: catalog.Addon, Label: "An add-on"}, {Value: catalog.Once, Label: "An add-on, charged once"}}}
	for _, p := range product.Plans {
		if checked := slices.Contains(f.Plans, p.ID.String()); checked || p.Visibility != catalog.Archived {
			v.Plans = append(v.Plans, checkView{p.ID.String(), p.Name, checked})
		}
	}
	return v
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
	if o.Kind == catalog.Slider {
		f.Start = strconv.Itoa(o.Start)
	}
	for _, id := range o.Plans {
		f.Plans = append(f.Plans, id.String())
	}
	return surface.Render(c, "manage", "manage/option", o.Label, s.optionEdit(c, product, f))
}

// saveOption handles the POST of both editors of an option.
func (s *Site) saveOption(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	f := catalog.OptionForm{Code: c.FormValue("code"), Label: c.FormValue("label"), Help: c.FormValue("help"), Kind: c.FormValue("kind"), Resource: c.FormValue("resource"),
		Minimum: c.FormValue("minimum"), Maximum: c.FormValue("maximum"), Step: c.FormValue("step"), Currency: t.Currency,
		Choices: strings.ReplaceAll(c.FormValue("choices"), "\r", ""), Position: c.FormValue("position"), Visibility: c.FormValue("visibility"), Start: c.FormValue("start")}
	for _, v := range c.Request().PostArgs().PeekMulti("plans") {
		f.Plans = append(f.Plans, strings.ToValidUTF8(string(v), ""))
	}
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

func (s *Site) product1(c *fiber.Ctx, id uuid.UUID) (x catalog.Shelf, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err = catalog.ProductByID(c.UserContext(), tx, id)
		return err
	})
	return x, err
}
