package web

import (
	"slices"
	"strconv"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// homeView is the shop's first page.
type homeView struct {
	Headline, Subline      string
	Description, Canonical string
	Products               []productView
	Featured               *productView // the first product with plans
	Others                 []productView
	Facts                  []branding.Fact
	Questions              []branding.Question
	SupportEmail           string
	Games                  bool // game servers are among the products
}

type productView struct {
	Name, Summary, Href, Icon string
	Slug                      string
	From                      *priceView
	Plans                     []planView
	Labels                    []string // of the facts, for the comparison
}

type planView struct {
	Name, Summary, Href string
	Slug                string
	Recommended         bool
	Trial               string // "14 days free"; empty: there is no trial
	Facts               []catalog.Fact
	Values              []string // of the facts, in the order of the product's labels; "" where there is none
	Price               *priceView
	Prices              []priceView
}

type priceView struct {
	Amount  billing.Money
	Setup   billing.Money
	Per     string // "a month"
	Cycle   string // "Every 3 months"
	Monthly *billing.Money
	Hours   *catalog.HourPrice // what an hour costs, in place of an amount; nil: it is another cycle
	Or      *catalog.HourPrice // by which it is sold, too; nil: it is not
}

type productPage struct {
	Product                productView
	Others                 []productView
	Questions              []branding.Question
	SupportEmail           string
	Description, Canonical string
}

type contactView struct {
	Name, Email string
	Facts       []branding.Fact
	Questions   []branding.Question
	Imprint     bool
	Canonical   string
}

type legalView struct{ Title, Markdown, Canonical string }

// perWords says how often a price is due, after the amount and on its own.
var perWords = map[catalog.Cycle][2]string{
	catalog.Hourly:     {"a month", "By the hour"}, // what is paid besides the hours is paid by the month
	catalog.Monthly:    {"a month", "Monthly"},
	catalog.Quarterly:  {"for 3 months", "Every 3 months"},
	catalog.SemiAnnual: {"for 6 months", "Every 6 months"},
	catalog.Annual:     {"a year", "Yearly"},
	catalog.Biennial:   {"for 2 years", "Every 2 years"},
	catalog.Triennial:  {"for 3 years", "Every 3 years"},
	catalog.OneTime:    {"once", "Once"},
}

// typeIcon is the picture of a kind of product.
func typeIcon(t catalog.Type) string {
	switch t {
	case catalog.VPS:
		return "server" // icon
	case catalog.Dedicated:
		return "server-2" // icon
	case catalog.WebHosting:
		return "world" // icon
	case catalog.GameServer:
		return "device-gamepad-2" // icon
	case catalog.CloudDesktop:
		return "device-desktop" // icon
	case catalog.VPNServer:
		return "shield-lock" // icon
	case catalog.License:
		return "key" // icon
	default:
		return "box" // icon
	}
}

func homeOf(p shopPage, canonical string) homeView {
	t := p.brand.Texts
	v := homeView{
		Headline: t.Headline, Subline: t.Subline, Description: t.Subline, Canonical: canonical,
		Facts: t.Facts, Questions: t.Questions, SupportEmail: t.SupportEmail,
	}
	if v.Headline == "" {
		v.Headline = p.brand.Name
	}
	for _, product := range p.shelf {
		v.Products = append(v.Products, viewProduct(product))
		v.Games = v.Games || product.Type == catalog.GameServer
	}
	for i := range v.Products {
		if len(v.Products[i].Plans) > 0 {
			v.Featured = &v.Products[i]
			v.Others = slices.Delete(slices.Clone(v.Products), i, i+1)
			break
		}
	}
	return v
}

func productOf(p shopPage, slug string) (productPage, error) {
	v := productPage{Questions: p.brand.Texts.Questions, SupportEmail: p.brand.Texts.SupportEmail}
	found := false
	for _, product := range p.shelf {
		if product.Slug == slug {
			v.Product, found = viewProduct(product), true
		} else {
			v.Others = append(v.Others, viewProduct(product))
		}
	}
	if !found {
		return v, fault.New(fault.NotFound, "product.not_found", "There is no such product.")
	}
	v.Description = v.Product.Summary
	return v, nil
}

func viewProduct(p catalog.Product) productView {
	v := productView{Name: p.Name, Summary: p.Summary, Slug: p.Slug, Href: "/products/" + p.Slug, Icon: typeIcon(p.Type)}
	if from, ok := p.From(); ok {
		view := viewPrice(from)
		v.From = &view
	}
	for _, plan := range p.Plans {
		for _, f := range plan.Facts {
			if !slices.Contains(v.Labels, f.Label) {
				v.Labels = append(v.Labels, f.Label)
			}
		}
	}
	for _, plan := range p.Plans {
		v.Plans = append(v.Plans, viewPlan(plan, v))
	}
	return v
}

func viewPlan(p catalog.Plan, of productView) planView {
	v := planView{Slug: p.Slug, Name: p.Name, Summary: p.Summary, Href: of.Href + "/" + p.Slug, Recommended: p.Recommended, Facts: p.Facts, Trial: trialWords(p.TrialDays)}
	if from, ok := p.From(); ok {
		view := viewPrice(from)
		v.Price = &view
		if hour := p.Prices[0]; hour.ByTheHour() && !from.ByTheHour() { // the shortest cycle first
			view.Or = hour.Hours
		}
	}
	for _, price := range p.Prices {
		v.Prices = append(v.Prices, viewPrice(price))
	}
	for _, label := range of.Labels {
		value := ""
		for _, f := range p.Facts {
			if f.Label == label {
				value = f.Value
				break
			}
		}
		v.Values = append(v.Values, value)
	}
	return v
}

// trialWords is a plan's trial in words.
func trialWords(days int) string {
	switch days {
	case 0:
		return ""
	case 1:
		return "1 day free"
	}
	return strconv.Itoa(days) + " days free"
}

// words say the price beside its cycle.
func (v priceView) words(locale string) string {
	if v.Hours != nil {
		return v.Hours.Words(locale)
	}
	return v.Amount.Format(locale)
}

func viewPrice(p catalog.Price) priceView {
	words := perWords[p.Cycle]
	v := priceView{Amount: p.Amount, Setup: p.Setup, Per: words[0], Cycle: words[1], Hours: p.Hours}
	if months := p.Cycle.Months(); months > 1 {
		// What a longer cycle comes to a month; shown beside the price, never charged.
		if monthly, err := p.Amount.Ratio(1, int64(months)); err == nil {
			v.Monthly = &monthly
		}
	}
	return v
}
