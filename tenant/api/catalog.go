package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

type product struct {
	ID      string `json:"id"` // its slug
	Type    string `json:"type"`
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Plans   []plan `json:"plans"`
}

type plan struct {
	ID      string   `json:"id"` // product/plan
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Facts   []fact   `json:"facts"`
	Prices  []price  `json:"prices"`
	Trial   int      `json:"trial_days"` // 0: there is no trial
	Options []option `json:"options,omitempty"`
	Regions []region `json:"regions,omitempty"`
	Meters  []meter  `json:"meters,omitempty"` // by which it is billed besides its price
}

type meter struct {
	ID          string `json:"id"` // its code, as usage events name it
	Name        string `json:"name"`
	Unit        string `json:"unit"`
	Aggregation string `json:"aggregation"`
	Included    string `json:"included"`
	Capped      bool   `json:"capped"`
	Price       string `json:"price"` // in words; empty: none in this currency
}

type fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

type price struct {
	Cycle string `json:"cycle"`
	Price amount `json:"price"` // net of tax, a cycle
	Setup amount `json:"setup"` // once
	Hour  *hour  `json:"hour"`  // of the cycle hourly
}

type option struct {
	ID      string   `json:"id"`
	Label   string   `json:"label"`
	Kind    string   `json:"kind"`
	Minimum int      `json:"minimum"`
	Maximum int      `json:"maximum"`
	Step    int      `json:"step"`
	Start   int      `json:"start"` // what is chosen at first
	Choices []choice `json:"choices"`
}

type choice struct {
	ID     string  `json:"id"`
	Label  string  `json:"label"`
	Prices []price `json:"prices"`
}

type region struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Available bool    `json:"available"`
	Images    []image `json:"images"`
}

type image struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Group string `json:"group"`
}

// listProducts handles GET /products: what anyone may see, in the shop's currency.
func (a *API) listProducts(c call) (int, any, error) {
	currency := c.db.Tenant().Currency
	var shelf []catalog.Product
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		shelf, err = catalog.Public(c.ctx(), tx, currency)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	out := make([]product, len(shelf))
	for i, p := range shelf {
		out[i] = productOf(p)
	}
	return fiber.StatusOK, page[product]{Data: out}, nil
}

// getProduct handles GET /products/{product}: with options, regions and images.
func (a *API) getProduct(c call) (int, any, error) {
	currency := c.db.Tenant().Currency
	var found catalog.Product
	var full []catalog.FullPlan
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		if found, err = catalog.PublicProduct(c.ctx(), tx, currency, c.Params("product")); err != nil {
			return err
		}
		paths := make([]catalog.Path, len(found.Plans))
		for i, p := range found.Plans {
			paths[i] = catalog.Path{Product: found.Slug, Plan: p.Slug}
		}
		full, err = catalog.ByPaths(c.ctx(), tx, paths)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	var offers []catalog.Offer
	if a.Offers != nil {
		if offers, err = a.Offers.Offers(c.ctx(), c.db.Tenant().ID); err != nil {
			return 0, nil, err
		}
	}
	out := productOf(found)
	for i, p := range found.Plans {
		f, ok := catalog.Find(full, catalog.Path{Product: found.Slug, Plan: p.Slug})
		if !ok {
			continue
		}
		out.Plans[i].Options = optionsOf(f, currency)
		for _, m := range f.Meters {
			out.Plans[i].Meters = append(out.Plans[i].Meters, meter{m.Code, m.Name, m.Unit, string(m.Aggregation), m.Included, m.Capped, m.Words(currency, "en")})
		}
		if f.SKU != "" {
			out.Plans[i].Regions = regionsOf(catalog.Places(f, catalog.OfferFor(offers, f)))
		}
	}
	return fiber.StatusOK, out, nil
}

func productOf(p catalog.Product) product {
	out := product{ID: p.Slug, Type: string(p.Type), Name: p.Name, Summary: p.Summary, Plans: []plan{}}
	for _, pl := range p.Plans {
		v := plan{ID: p.Slug + "/" + pl.Slug, Name: pl.Name, Summary: pl.Summary, Facts: []fact{}, Prices: []price{}, Trial: pl.TrialDays}
		for _, f := range pl.Facts {
			v.Facts = append(v.Facts, fact{f.Label, f.Value})
		}
		for _, pr := range pl.Prices {
			one := price{Cycle: string(pr.Cycle), Price: amountOf(pr.Amount), Setup: amountOf(pr.Setup)}
			if pr.Hours != nil {
				one.Hour = hourOf(*pr.Hours)
			}
			v.Prices = append(v.Prices, one)
		}
		out.Plans = append(out.Plans, v)
	}
	return out
}

func optionsOf(p catalog.FullPlan, currency string) []option {
	var out []option
	for _, o := range p.Options {
		if o.Visibility != catalog.Shown {
			continue
		}
		v := option{ID: o.Code, Label: o.Label, Kind: o.Kind, Minimum: o.Minimum, Maximum: o.Maximum, Step: o.Step, Start: o.Steps().Start, Choices: []choice{}}
		for _, ch := range o.Choices {
			w := choice{ID: ch.Code, Label: ch.Label, Prices: []price{}}
			cycles := p.InCurrency(currency)
			if o.Kind == catalog.Once {
				cycles = []catalog.Price{{Cycle: catalog.OneTime}}
			}
			for _, pr := range cycles {
				if m, ok := ch.Price(currency, pr.Cycle); ok {
					one := price{Cycle: string(pr.Cycle), Price: amountOf(m), Setup: amount{"0", currency}}
					if h, _ := ch.Hours(currency); pr.Cycle == catalog.Hourly {
						one.Hour = hourOf(h)
					}
					w.Prices = append(w.Prices, one)
				}
			}
			v.Choices = append(v.Choices, w)
		}
		out = append(out, v)
	}
	return out
}

func regionsOf(all []catalog.Region) []region {
	out := []region{}
	for _, r := range all {
		v := region{ID: r.Code, Name: r.Name, Available: r.Available, Images: []image{}}
		for _, i := range r.Images {
			v.Images = append(v.Images, image{i.Code, i.Name, i.Group})
		}
		out = append(out, v)
	}
	return out
}
