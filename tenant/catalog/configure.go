package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Picked is what a customer chose on a plan's page: words from a form, not checked.
type Picked struct {
	Product  string            `json:"p"`
	Plan     string            `json:"l"`
	Cycle    Cycle             `json:"c"`
	Region   string            `json:"r,omitempty"`
	Image    string            `json:"i,omitempty"`
	Hostname string            `json:"h,omitempty"`
	Options  map[string]string `json:"o,omitempty"` // by code: a choice's code, or a number
}

// Path is the address of the plan that was picked.
func (p Picked) Path() Path { return Path{Product: p.Product, Plan: p.Plan} }

// Configured is a plan as somebody wants it, with what it costs.
type Configured struct {
	Plan       FullPlan
	Picked     Picked // checked, with what was left out filled in
	Label      string // "Cloud VPS Drift"
	RegionName string
	ImageName  string
	Spec       provisioners.Spec // zero: nothing is delivered by a platform
	Items      []Item            // what a cycle's amount is made of: the plan, then options that cost
	Chosen     []Fact            // what was chosen, in words: "Location", "Amsterdam"
	Amount     billing.Money     // a cycle
	Setup      billing.Money     // once: for setting up, and for Once
	Once       []Item            // add-ons that are charged once
	Additions  []Addition        // wholesale add-ons that it has besides the plan's own product
	TrialDays  int               // for which it can be tried, so paid; 0: it cannot
	TrialCard  bool              // a card is saved before it is
	Usual      billing.Money     // what others pay for the plan a cycle, where whoever asks agreed on another price; zero: nothing was
	UsualHours HourPrice         // the same of an hour

	offers []Offer
}

// Item is one part of what a cycle costs.
type Item struct {
	Kind     string        `json:"kind"` // plan, option
	Code     string        `json:"code"`
	Label    string        `json:"label"`
	Quantity int64         `json:"quantity"`
	Unit     billing.Money `json:"unit"`
	Amount   billing.Money `json:"amount"`
	PriceID  uuid.UUID     `json:"price_id,omitzero"` // of the agreed price that it is; zero: it is the shop's
	Hour     HourPrice     `json:"hour,omitzero"`     // of what is paid by the hour, besides the amount; zero: it is not
}

// Hours is what an hour of all of it costs; of no rate where nothing is paid by the hour.
func (c Configured) Hours() HourPrice {
	all := make([]HourPrice, len(c.Items))
	for i, x := range c.Items {
		all[i] = x.Hour
	}
	return billing.SumHours(all...)
}

// Delivers reports whether a platform delivers it.
func (c Configured) Delivers() bool { return c.Plan.SKU != "" }

// Places are the regions the plan is offered in, and whether there is room.
func Places(p FullPlan, o *Offer) []Region {
	if o == nil {
		return nil
	}
	var out []Region
	for _, r := range o.Regions {
		if len(p.Delivery.Regions) > 0 && !slices.Contains(p.Delivery.Regions, r.Code) {
			continue
		}
		if len(p.Delivery.Images) > 0 {
			var kept []Image
			for _, im := range r.Images {
				if slices.Contains(p.Delivery.Images, im.Code) {
					kept = append(kept, im)
				}
			}
			r.Images = kept
		}
		out = append(out, r)
	}
	return out
}

// OfferFor finds what the plan is made of among a tenant's offers; nil: nothing, or it
// is not offered any more.
func OfferFor(all []Offer, p FullPlan) *Offer {
	if p.SKU == "" {
		return nil
	}
	return offerOf(all, p.SKU)
}

// Suggest is what the page of a plan begins with: monthly where there is that, the first
// place with room, the first system, nothing on top.
func Suggest(p FullPlan, o *Offer, currency string) Picked {
	out := Picked{Product: p.Product, Plan: p.Slug, Options: map[string]string{}}
	prices := p.InCurrency(currency)
	if from, ok := (Plan{Prices: prices}).From(); ok {
		out.Cycle = from.Cycle
	}
	places := Places(p, o)
	if i := slices.IndexFunc(places, func(r Region) bool { return r.Available }); i >= 0 {
		out.Region = places[i].Code
		if len(places[i].Images) > 0 {
			out.Image = places[i].Images[0].Code
		}
	}
	for _, opt := range p.Options {
		if opt.Visibility != Shown {
			continue
		}
		out.Options[opt.Code] = opt.first(currency, out.Cycle)
	}
	return out
}

// first is what an option begins with.
func (o Option) first(currency string, cycle Cycle) string {
	if o.Counted() {
		return strconv.Itoa(o.Steps().Start)
	}
	for _, c := range o.Choices {
		if _, ok := c.Price(currency, cycle); ok {
			return c.Code
		}
	}
	return ""
}

// Configure checks what was picked and says what it costs. What was left out is as
// Suggest has it. Faults: plan.archived; plan.no_price at the field cycle;
// plan.unavailable when it cannot be delivered at all; configuration.invalid about the
// fields cycle, region, image, hostname and option.<code>.
func Configure(p FullPlan, offers []Offer, currency string, in Picked) (Configured, error) {
	if !p.ForSale() {
		return Configured{}, fault.New(fault.Conflict, "plan.archived", p.ProductName+" "+p.Name+" is not sold any more. Please choose another plan.")
	}
	o := OfferFor(offers, p)
	if p.SKU != "" && (o == nil || !o.Available) {
		return Configured{}, fault.New(fault.Conflict, "plan.unavailable", p.ProductName+" "+p.Name+" cannot be delivered at the moment. Please choose another plan, or come back later.")
	}
	suggested := Suggest(p, o, currency)
	if suggested.Cycle == "" {
		return Configured{}, fault.Field("cycle", "plan.no_price", "This plan has no price in "+currency+".")
	}
	c := Configured{Plan: p, Label: p.ProductName + " " + p.Name, Picked: Picked{Product: p.Product, Plan: p.Slug, Options: map[string]string{}}, offers: offers}
	wrong := map[string]string{}
	c.cycle(in, suggested, currency, wrong)
	c.options(in, currency, wrong)
	c.place(o, in, suggested, wrong)
	if len(wrong) > 0 {
		return Configured{}, fault.Fields("configuration.invalid", wrong)
	}
	var err error
	if c.Amount, err = c.sum(currency); err != nil {
		return Configured{}, fault.Wrap(err, fault.Invalid, "configuration.too_much", "This comes to more than we can calculate.")
	}
	if c.Picked.Cycle.Months() > 0 && (c.Picked.Cycle == Hourly || !c.Amount.IsZero()) {
		c.TrialDays, c.TrialCard = p.TrialDays, p.TrialCard
	}
	return c, nil
}

func (c *Configured) cycle(in, suggested Picked, currency string, wrong map[string]string) {
	if in.Cycle == "" {
		in.Cycle = suggested.Cycle
	}
	price, ok := c.Plan.Price(currency, in.Cycle)
	if !ok {
		wrong["cycle"] = "Please choose how often to pay."
		return
	}
	c.Picked.Cycle, c.Setup = in.Cycle, price.Setup
	if price.AgreedID != uuid.Nil {
		c.Usual = price.Usual
		if price.UsualHours != nil {
			c.UsualHours = *price.UsualHours
		}
	}
	plan := Item{Kind: "plan", Code: c.Plan.Product + "/" + c.Plan.Slug, Label: c.Label, Quantity: 1, Unit: price.Amount, Amount: price.Amount, PriceID: price.AgreedID}
	if price.Hours != nil {
		plan.Hour = *price.Hours
	}
	c.Items = append(c.Items, plan)
}

func (c *Configured) options(in Picked, currency string, wrong map[string]string) {
	for _, o := range c.Plan.Options {
		if o.Visibility != Shown || c.Picked.Cycle == "" {
			continue
		}
		value := strings.TrimSpace(in.Options[o.Code])
		if value == "" {
			value = o.first(currency, c.Picked.Cycle)
		}
		if err := c.option(o, value, currency); err != nil {
			wrong["option."+o.Code] = err.Error()
		}
	}
}

// errWords is a complaint about one field, in words for people.
type errWords string

func (e errWords) Error() string { return string(e) }

func (c *Configured) option(o Option, value, currency string) error {
	n := int64(1)
	var choice Choice
	if o.Counted() {
		count, err := strconv.Atoi(value)
		steps, ok := o.Steps().Count(count)
		if err != nil || !ok {
			return errWords(fmt.Sprintf("Please choose between %d and %d, in steps of %d.", o.Minimum, o.Maximum, o.Step))
		}
		if len(o.Choices) != 1 {
			return errWords("This cannot be chosen at the moment.")
		}
		choice, n = o.Choices[0], steps
		value = strconv.Itoa(count)
	} else {
		i := slices.IndexFunc(o.Choices, func(x Choice) bool { return x.Code == value })
		if i < 0 {
			return errWords("Please choose one of these.")
		}
		choice = o.Choices[i]
	}
	if n == 0 { // nothing of it: it may be without a price so
		c.Picked.Options[o.Code] = value
		return nil
	}
	cycle := c.Picked.Cycle
	if o.Kind == Once {
		cycle = OneTime
	}
	unit, ok := choice.Price(currency, cycle)
	if !ok {
		return errWords("This cannot be paid so. Please choose another one, or another way to pay.")
	}
	amount, err := unit.Times(n)
	var hour HourPrice
	if cycle == Hourly && err == nil {
		hour, _ = choice.Hours(currency)
		hour, err = hour.Times(n)
	}
	if err != nil {
		return errWords("This is too much.")
	}
	if choice.SKU != "" && c.Delivers() && o.Kind != Once {
		if addonOf(c.offers, choice.SKU) == nil {
			return errWords("This cannot be had at the moment. Please choose another one.")
		}
		c.Additions = append(c.Additions, Addition{Code: o.Code, SKU: choice.SKU, N: n})
	}
	c.Picked.Options[o.Code] = value
	words := choice.Label
	label := o.Label
	if o.Counted() {
		words = value
	}
	if o.Single() {
		words = "added"
	} else {
		label += ": " + words
	}
	c.Chosen = append(c.Chosen, Fact{Label: o.Label, Value: words})
	if o.Kind == Once {
		return c.once(Item{Kind: "setup", Code: o.Code, Label: label, Quantity: n, Unit: unit, Amount: amount})
	}
	if !amount.IsZero() || !hour.Rate.IsZero() {
		c.Items = append(c.Items, Item{Kind: "option", Code: o.Code, Label: label, Quantity: n, Unit: unit, Amount: amount, Hour: hour})
	}
	c.add(o.Resource, choice.Amount*int(n))
	return nil
}

// add puts what an option brings on top of what the offer is; see place.
func (c *Configured) add(resource string, n int) {
	switch resource {
	case "cpu":
		c.Spec.CPU += n
	case "memory_mb":
		c.Spec.MemoryMB += n
	case "disk_gb":
		c.Spec.DiskGB += n
	case "traffic_gb":
		c.Spec.TrafficGB += n
	case "ipv4":
		c.Spec.IPv4 += n
	case "backups":
		c.Spec.Backups += n
	}
}

func (c *Configured) place(o *Offer, in, suggested Picked, wrong map[string]string) {
	if o == nil {
		if c.Spec = (provisioners.Spec{}); c.Plan.NameAsked() != "" {
			c.named(in, c.Plan.NameAsked(), wrong)
		}
		return
	}
	c.Spec.CPU += o.Spec.CPU
	c.Spec.MemoryMB += o.Spec.MemoryMB
	c.Spec.DiskGB += o.Spec.DiskGB
	c.Spec.TrafficGB += o.Spec.TrafficGB
	c.Spec.IPv4 += o.Spec.IPv4
	c.Spec.Backups += o.Spec.Backups
	places := Places(c.Plan, o)
	if in.Region == "" {
		in.Region = suggested.Region
	}
	i := slices.IndexFunc(places, func(r Region) bool { return r.Code == in.Region })
	if i < 0 {
		wrong["region"] = "Please choose a location."
		return
	}
	at := places[i]
	if !at.Available {
		wrong["region"] = "There is no room left in " + at.Name + " at the moment. Please choose another location."
		return
	}
	c.Picked.Region, c.RegionName = at.Code, at.Name
	words := []Fact{{Label: "Location", Value: at.Name}}
	if len(at.Images) > 0 {
		if in.Image == "" {
			in.Image = at.Images[0].Code
		}
		j := slices.IndexFunc(at.Images, func(x Image) bool { return x.Code == in.Image })
		if j < 0 {
			wrong["image"] = "Please choose an operating system that there is in " + at.Name + "."
		} else {
			c.Picked.Image, c.ImageName = at.Images[j].Code, at.Images[j].Name
			words = append(words, Fact{Label: "System", Value: c.ImageName})
		}
	}
	c.named(in, "Host name", wrong)
	c.Chosen = append(words, c.Chosen...)
}

func (c *Configured) sum(currency string) (billing.Money, error) {
	total := billing.Money{Currency: currency}
	var err error
	for _, x := range c.Items {
		if total, err = total.Add(x.Amount); err != nil {
			return total, err
		}
	}
	_, err = total.Add(c.Setup)
	return total, err
}
