package web

import (
	"maps"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// Selling is what the pages on which people buy need.
type Selling struct {
	Offers   catalog.Wholesale
	Checkout *checkout.Desk
}

// planRead is what the page of a plan is made from.
type planRead struct {
	brand    branding.Brand
	plan     catalog.FullPlan
	offers   []catalog.Offer
	currency string
}

func (p planRead) title() string { return p.plan.ProductName + " " + p.plan.Name }

// readPlan loads a plan that may be bought. Who knows the address of a hidden one may
// buy it. The fault is plan.not_found.
func (s *Site) readPlan(c *fiber.Ctx, at catalog.Path) (planRead, error) {
	db, ctx := surface.DB(c), c.UserContext()
	p := planRead{currency: db.Tenant().Currency}
	var err error
	if p.brand, err = s.Brands.Brand(ctx, db); err != nil {
		return p, err
	}
	if s.Selling != nil {
		if p.offers, err = s.Selling.Offers.Offers(ctx, db.Tenant().ID); err != nil {
			return p, err
		}
	}
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		if p.plan, err = catalog.ByPath(ctx, tx, at); err != nil {
			return err
		}
		return ownPrices(c, tx, &p.plan)
	})
	if err == nil && !p.plan.ForSale() {
		err = fault.New(fault.NotFound, "plan.not_found", "There is no such plan.")
	}
	return p, err
}

// ownPrices puts the prices agreed on with whoever is signed in in place of the plan's.
func ownPrices(c *fiber.Ctx, tx *tenancy.Tx, p *catalog.FullPlan) error {
	if _, ok := surface.Principal(c); !ok {
		return nil
	}
	in, err := acting(c, tx)
	if fault.Is(err, "account.none") {
		return nil
	}
	if err != nil {
		return err
	}
	own := []catalog.FullPlan{*p}
	err = agreed.Apply(c.UserContext(), tx, in.AccountID, own)
	*p = own[0]
	return err
}

// pickedFrom reads the configurator's form; nothing of it is checked yet.
func pickedFrom(c *fiber.Ctx) catalog.Picked {
	p := catalog.Picked{
		Product: c.FormValue("product"), Plan: c.FormValue("plan"), Cycle: catalog.Cycle(c.FormValue("cycle")),
		Region: c.FormValue("region"), Image: c.FormValue("image"), Hostname: c.FormValue("hostname"), Options: map[string]string{},
	}
	c.Request().PostArgs().VisitAll(func(k, v []byte) {
		if code, ok := strings.CutPrefix(string(k), "option."); ok && len(p.Options) < 50 {
			p.Options[code] = string(v)
		}
	})
	if form, err := c.MultipartForm(); err == nil {
		for k, v := range form.Value {
			if code, ok := strings.CutPrefix(k, "option."); ok && len(v) > 0 && len(p.Options) < 50 {
				p.Options[code] = v[0]
			}
		}
	}
	return p
}

// choiceView is one thing to choose.
type choiceView struct {
	ID, Value, Label, Note string
	Checked, Disabled      bool
}

// groupView is things to choose one of, or a number.
type groupView struct {
	Name, Code, Label, Help string
	Choices                 []choiceView
	Number                  bool
	Slider                  bool
	Addon                   bool // none of it at first
	Single                  bool // of an add-on there is one or none
	Value                   string
	Minimum, Maximum, Step  int
	Note                    string
}

// planPage is the page of a plan: on the left what can be chosen, on the right what it
// comes to.
type planPage struct {
	Product                productView
	Plan                   planView
	Action                 string
	Item                   string // which thing in the cart is changed; empty: a new one
	Cycles, Regions        groupView
	Images                 []groupView // by family
	Options                []groupView
	Addons                 []groupView
	NameAsked              string // what its customer may name; empty: nothing
	Hostname               string
	Summary                *configuredView // nil: something has to be chosen first
	Why                    string          // why there is no price
	SupportEmail           string
	Description, Canonical string
	Hidden                 bool
	Metered                []catalog.Fact // what is billed by use, in words
	ByTeam                 bool           // people set it up, which takes its time
}

// configuredView is what a choice comes to.
type configuredView struct {
	Label         string
	Lines         []lineView
	Chosen        []catalog.Fact
	Setup         billing.Money // all that is due once
	Fee           billing.Money // of it, for setting up
	Once          []lineView    // of it, add-ons
	Amount, Today billing.Money
	Usual         billing.Money // of the plan for others; zero: the same
	Hours         string        // what is paid by the hour, together; empty: nothing
	UsualHours    string        // of the plan for others; empty: the same
	Per           string
	Trial         string    // "14 days free"; empty: it is paid at once
	TrialUntil    time.Time // when it is due first, if it is ordered now
	TrialCard     bool      // a card has to be saved first
}

type lineView struct {
	Label  string
	Amount billing.Money
	Words  string // instead of an amount: what is paid by the hour
}

// configurator builds the page with what was picked, filled up with what is suggested.
func (s *Site) configurator(c *fiber.Ctx, p planRead, in catalog.Picked) planPage {
	o := catalog.OfferFor(p.offers, p.plan)
	suggested := catalog.Suggest(p.plan, o, p.currency)
	now := fill(in, suggested)
	product := productView{Name: p.plan.ProductName, Slug: p.plan.Product, Href: "/products/" + p.plan.Product, Icon: typeIcon(p.plan.Type)}
	v := planPage{
		Product: product, Action: product.Href + "/" + p.plan.Slug, Item: c.FormValue("item", c.Query("item")), SupportEmail: p.brand.Texts.SupportEmail,
		Description: p.plan.Summary, Hostname: in.Hostname, Hidden: p.plan.Visibility != catalog.Shown || p.plan.ProductVisibility != catalog.Shown,
		Plan: viewPlan(catalog.Plan{Slug: p.plan.Slug, Name: p.plan.Name, Summary: p.plan.Summary, Facts: p.plan.Facts, Prices: p.plan.InCurrency(p.currency), TrialDays: p.plan.TrialDays}, product),
	}
	v.Canonical, v.ByTeam = canonical(c, v.Action), p.plan.SKU == "" && p.plan.Delivery.ByHand
	locale := surface.DB(c).Tenant().Locale
	for _, m := range p.plan.Meters {
		if !m.Counts(now.Cycle) || m.Feed == catalog.FeedHours { // what an hour costs stands with what is chosen
			continue
		}
		if words := m.Words(p.currency, locale); words != "" {
			v.Metered = append(v.Metered, catalog.Fact{Label: m.Name, Value: words})
		}
	}
	v.Cycles = cycleChoices(p, now, locale)
	v.places(p, o, &now)
	for _, opt := range p.plan.Options {
		g := optionChoices(opt, p.currency, now, locale)
		switch {
		case opt.Visibility != catalog.Shown:
		case g.Addon:
			v.Addons = append(v.Addons, g)
		default:
			v.Options = append(v.Options, g)
		}
	}
	configured, err := catalog.Configure(p.plan, p.offers, p.currency, now)
	if err != nil {
		v.Why = fault.From(err).Message
		return v
	}
	if p.plan.Stock != nil && *p.plan.Stock == 0 {
		v.Why = p.title() + " is sold out at the moment."
		return v
	}
	v.Summary = viewConfigured(configured, locale)
	if days := configured.TrialDays; days > 0 {
		t := checkout.Trial{Days: days}
		v.Summary.Trial, v.Summary.TrialCard = trialWords(days), configured.TrialCard
		v.Summary.TrialUntil = t.Until(surface.DB(c).Now(), zoneOf(surface.DB(c).Tenant()))
		v.Summary.Today = billing.Money{Currency: p.currency}
	}
	return v
}

// fill puts what is suggested where nothing was picked.
func fill(in, suggested catalog.Picked) catalog.Picked {
	out := suggested
	if in.Cycle != "" {
		out.Cycle = in.Cycle
	}
	if in.Region != "" {
		out.Region, out.Image = in.Region, in.Image
	}
	if in.Image != "" {
		out.Image = in.Image
	}
	out.Hostname = in.Hostname
	out.Options = map[string]string{}
	maps.Copy(out.Options, suggested.Options)
	maps.Copy(out.Options, in.Options)
	return out
}

func cycleChoices(p planRead, now catalog.Picked, locale string) groupView {
	g := groupView{Name: "cycle", Code: "cycle", Label: "How often you pay"}
	for _, price := range p.plan.InCurrency(p.currency) {
		view := viewPrice(price)
		x := choiceView{ID: "c-" + string(price.Cycle), Value: string(price.Cycle), Label: view.Cycle, Note: view.words(locale), Checked: price.Cycle == now.Cycle}
		if usual := price.Usual.Format(locale); price.AgreedID != uuid.Nil {
			if price.UsualHours != nil {
				usual = price.UsualHours.Words(locale)
			}
			x.Note += ", your price (usually " + usual + ")"
		}
		if view.Monthly != nil {
			x.Note += ", that is " + view.Monthly.Format(locale) + " a month"
		}
		g.Choices = append(g.Choices, x)
	}
	return g
}

// places are the locations, and the systems there are at the chosen one. A system that
// is not to be had there gives way to the first that is.
func (v *planPage) places(p planRead, o *catalog.Offer, now *catalog.Picked) {
	v.Regions = groupView{Name: "region", Code: "region", Label: "Location"}
	v.NameAsked = p.plan.NameAsked()
	for _, r := range catalog.Places(p.plan, o) {
		x := choiceView{ID: "r-" + r.Code, Value: r.Code, Label: r.Name, Checked: r.Code == now.Region && r.Available, Disabled: !r.Available}
		if !r.Available {
			x.Note = "no room at the moment"
		}
		v.Regions.Choices = append(v.Regions.Choices, x)
		if r.Code != now.Region || len(r.Images) == 0 {
			continue
		}
		known := false
		for _, im := range r.Images {
			known = known || im.Code == now.Image
		}
		if !known {
			now.Image = r.Images[0].Code
		}
		v.Images = imageGroups(r.Images, now.Image)
	}
}

// plan handles GET and POST /products/:product/:plan. Its POST shows the same page with
// what was chosen, as a whole or, for htmx, the part that changes.
func (s *Site) plan(c *fiber.Ctx) error {
	at := catalog.Path{Product: c.Params("product"), Plan: c.Params("plan")}
	p, err := s.readPlan(c, at)
	if err != nil {
		return err
	}
	surface.FormToken(c)
	var in catalog.Picked
	switch c.Method() {
	case fiber.MethodPost:
		in = pickedFrom(c)
	default:
		in = s.inCart(c, at)
	}
	v := s.configurator(c, p, in)
	if c.Get("HX-Request") == "true" {
		return surface.Fragment(c, "shop/plan", "configurator", v)
	}
	return surface.Render(c, "shop", "shop/plan", p.title(), v)
}

// inCart is the thing of the cart that ?item= names, when it is of this plan.
func (s *Site) inCart(c *fiber.Ctx, at catalog.Path) catalog.Picked {
	if i := c.QueryInt("item", -1); i >= 0 {
		if k := s.cartOf(c); i < len(k.Items) && k.Items[i].Path() == at {
			return k.Items[i]
		}
	}
	return catalog.Picked{}
}
