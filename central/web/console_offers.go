package web

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type offerFormView struct {
	P          platform.Summary
	In         platform.MapForm
	SKUs       []choice
	Parameters []parameterField
	Problem    string // the platform cannot be asked
}

// parameterField is one of an offer's parameters in the form.
type parameterField struct {
	provisioners.Parameter
	Value   string
	Choices []choice
}

func (s *Console) offerForm(c *fiber.Ctx, in platform.MapForm) (offerFormView, error) {
	v := offerFormView{In: in, SKUs: []choice{{"", "Choose a service of the price book"}}}
	skus, err := s.Office.Platforms.SKUs(c.UserContext())
	if err != nil {
		return v, err
	}
	for _, x := range skus {
		v.SKUs = append(v.SKUs, choice{x.Code, x.Name + " (" + x.Code + ")"})
	}
	id, err := platformID(c)
	if err != nil {
		return v, err
	}
	var known []provisioners.Parameter
	v.P, known, err = s.Office.Platforms.Choices(c.UserContext(), id)
	if fault.Is(err, "platform.unknown") {
		return v, err
	}
	if err != nil {
		v.Problem = "The platform cannot be asked what it has: " + platform.Words(err)
		return v, nil //nolint:nilerr // the page says so
	}
	for _, x := range known {
		f := parameterField{Parameter: x, Value: in.Parameters[x.Name]}
		if len(x.Options) > 0 {
			f.Choices = []choice{{"", "Choose one"}}
		}
		for _, o := range x.Options {
			f.Choices = append(f.Choices, choice{numberText(o.Value), o.Label})
		}
		v.Parameters = append(v.Parameters, f)
	}
	return v, nil
}

func (s *Console) newOffer(c *fiber.Ctx) error {
	v, err := s.offerForm(c, platform.MapForm{})
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/offer_new", "Deliver a service", v)
}

func (s *Console) mapOffer(c *fiber.Ctx) error {
	p, err := s.onePlatform(c)
	if err != nil {
		return err
	}
	in := platform.MapForm{SKU: formText(c, "sku"), Region: formText(c, "region"), RegionName: formText(c, "region_name"), More: formText(c, "more"), Parameters: map[string]string{}}
	c.Request().PostArgs().VisitAll(func(k, v []byte) {
		if len(in.Parameters) < 50 && len(v) < 100 {
			in.Parameters[string(k)] = string(v)
		}
	})
	id, err := s.Office.Platforms.Map(c.UserContext(), p.ID, in, office.By(c))
	if err != nil {
		v, ferr := s.offerForm(c, in)
		if ferr != nil {
			return ferr
		}
		return surface.FormError(c, err, "console", "console/offer_new", "Deliver a service", v)
	}
	return surface.Redirect(c, platformBack(p)+"/offers/"+id.String(), "It is delivered here from now on.")
}

type offerPage struct {
	P          platform.Summary
	O          offerRow
	Parameters string
	MayWrite   bool
}

// oneOffer finds the platform and the offer in the path.
func (s *Console) oneOffer(c *fiber.Ctx) (platform.Summary, platform.Mapped, error) {
	p, err := s.onePlatform(c)
	if err != nil {
		return p, platform.Mapped{}, err
	}
	id, err := uuid.Parse(c.Params("offer"))
	if err != nil {
		return p, platform.Mapped{}, fault.New(fault.NotFound, "offer.unknown", "There is no such offer.")
	}
	m, err := s.Office.Platforms.Offer(c.UserContext(), p.ID, id)
	return p, m, err
}

func (s *Console) showOffer(c *fiber.Ctx) error {
	p, m, err := s.oneOffer(c)
	if err != nil {
		return err
	}
	who, _ := surface.Principal(c)
	v := offerPage{P: p, O: offerView(m), Parameters: string(m.Parameters), MayWrite: who.May(identity.PlatformsWrite)}
	var any map[string]any
	if json.Unmarshal(m.Parameters, &any) == nil {
		if b, err := json.MarshalIndent(any, "", "  "); err == nil {
			v.Parameters = string(b)
		}
	}
	return surface.Render(c, "console", "console/offer", m.Name+" in "+m.RegionName, v)
}

func (s *Console) importImages(c *fiber.Ctx) error {
	p, m, err := s.oneOffer(c)
	if err != nil {
		return err
	}
	back := platformBack(p) + "/offers/" + m.ID.String()
	n, err := s.Office.Platforms.ImportImages(c.UserContext(), m.ID, office.By(c))
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, numberText(int64(n))+" operating systems were taken over.")
}

func (s *Console) setOfferState(c *fiber.Ctx) error {
	p, m, err := s.oneOffer(c)
	if err != nil {
		return err
	}
	on := formText(c, "state") == "on"
	if err := s.Office.Platforms.SetOfferState(c.UserContext(), p.ID, m.ID, on, office.By(c)); err != nil {
		return err
	}
	said := "Nothing new is sold of it here."
	if on {
		said = "It is on sale here."
	}
	return surface.Redirect(c, platformBack(p)+"/offers/"+m.ID.String(), said)
}
