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
	Offers       []offerChoice  // wholesale add-ons that choices can be made of
	Margins      []choiceMargin // of choices that are made of one
}

// choiceMargin is what is left of a price of a choice.
type choiceMargin struct {
	Label, Per string
	catalog.Margin
}

func (s *Site) optionEdit(c *fiber.Ctx, product taxedShelf, f catalog.OptionForm) (optionEdit, error) {
	who, _ := surface.Principal(c)
	t, _ := surface.Tenant(c)
	v := optionEdit{Form: f, Product: product.Shelf, Resources: pairs(catalog.Resources()), Visibilities: visibilities, Action: c.Path(), MayEdit: who.May(identity.CatalogWrite), Saved: f.ID != uuid.Nil,
		Kinds: []place.Choice{{Value: catalog.OneOf, Label: "One of several"}, {Value: catalog.Quantity, Label: "A number"}, {Value: catalog.Slider, Label: "A slider"}, {Value: catalog.Addon, Label: "An add-on"}, {Value: catalog.Once, Label: "An add-on, charged once"}}}
	for _, p := range product.Plans {
		if checked := slices.Contains(f.Plans, p.ID.String()); checked || p.Visibility != catalog.Archived {
			v.Plans = append(v.Plans, checkView{p.ID.String(), p.Name, checked})
		}
	}
	offers, err := s.offers(c)
	if err != nil {
		return v, err
	}
	for _, o := range offers {
		if o.Type == catalog.AddonType {
			v.Offers = append(v.Offers, offerChoice{Value: o.SKU, Label: o.Name, Note: costWords(o.Cost, t.Locale)})
		}
	}
	labels, margins := f.ReadMargins(offers, product.held)
	for i, m := range margins {
		per := perWords[m.Cycle][1]
		if m.Cycle == catalog.Hourly {
			per += ", a full month"
		}
		v.Margins = append(v.Margins, choiceMargin{labels[i], per, m})
	}
	return v, nil
}

// renderOption shows the editor of an option.
func (s *Site) renderOption(c *fiber.Ctx, title string, product taxedShelf, f catalog.OptionForm) error {
	v, err := s.optionEdit(c, product, f)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/option", title, v)
}

// newOption handles GET /manage/catalog/products/:shelf/options/new.
func (s *Site) newOption(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	id, err := idParam(c, "shelf")
	if err != nil {
		return err
	}
	product, err := s.taxedProduct(c, id)
	if err != nil {
		return err
	}
	f := catalog.OptionForm{ProductID: id, Kind: catalog.OneOf, Visibility: "public", Currency: t.Currency, Step: "1"}
	return s.renderOption(c, "New option", product, f)
}

func (s *Site) optionAndProduct(c *fiber.Ctx) (o catalog.Option, product taxedShelf, err error) {
	id, err := idParam(c, "extra")
	if err != nil {
		return o, product, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		of, err := catalog.ProductOfOption(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		if product, err = readTaxedShelf(c.UserContext(), tx, of); err != nil {
			return err
		}
		o, err = product.Option(id)
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
	return s.renderOption(c, o.Label, product, f)
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
	var product taxedShelf
	var err error
	if c.Params("extra") != "" {
		var o catalog.Option
		if o, product, err = s.optionAndProduct(c); err == nil {
			f.ID, f.ProductID = o.ID, product.ID
		}
	} else if f.ProductID, err = idParam(c, "shelf"); err == nil {
		product, err = s.taxedProduct(c, f.ProductID)
	}
	if err != nil {
		return err
	}
	if c.FormValue("show") != "" {
		return s.renderOption(c, "Option", product, f)
	}
	offers, err := s.offers(c)
	if err != nil {
		return err
	}
	if err := catalog.SaveOption(c.UserContext(), surface.DB(c), offers, f, office.By(c)); err != nil {
		v, again := s.optionEdit(c, product, f)
		if again != nil {
			return again
		}
		return surface.FormError(c, err, "manage", "manage/option", "Option", v)
	}
	return surface.Redirect(c, "/manage/catalog/products/"+product.ID.String(), "Saved. Visitors see it now.")
}
