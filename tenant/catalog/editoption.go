package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// OptionForm is an option as a form sends it. Choices are lines of
// "label | amount | price a month | SKU", the price in the form's currency; the SKU is that of
// a wholesale add-on, where it is made of one.
type OptionForm struct {
	ID         uuid.UUID // zero: a new one
	ProductID  uuid.UUID
	Code       string
	Label      string
	Help       string
	Kind       string
	Resource   string
	Minimum    string
	Maximum    string
	Step       string
	Start      string   // of a slider
	Plans      []string // ids of the plans it can be had with; none: all
	Currency   string
	Choices    string
	Position   string
	Visibility string
}

// Resources are what an option may add to, with what people read.
func Resources() [][2]string {
	return [][2]string{{"", "Nothing that is delivered"}, {"cpu", "CPUs"}, {"memory_mb", "Memory, MB"}, {"disk_gb", "Disk, GB"}, {"traffic_gb", "Traffic, GB a month"}, {"ipv4", "IPv4 addresses"}, {"backups", "Backups"}}
}

var (
	optionCodes = regexp.MustCompile(`^[a-z0-9]([a-z0-9_]{0,38}[a-z0-9])?$`)
	notCode     = regexp.MustCompile(`[^a-z0-9]+`)
)

func (in OptionForm) check(before []Choice, offers []Offer) (Option, error) {
	wrong := form{}
	o := Option{ID: in.ID, Code: strings.ToLower(line(in.Code)), Label: wrong.text("label", in.Label, 60, "Please say what is chosen."), Help: wrong.text("help", in.Help, 200, ""),
		Kind: in.Kind, Resource: in.Resource, Position: wrong.number("position", in.Position, 0, 9999), Visibility: wrong.visibility(in.Visibility), Step: 1}
	if !optionCodes.MatchString(o.Code) {
		wrong["code"] = "Please use lower-case letters, digits and underscores, such as more_memory."
	}
	if !slices.Contains([]string{OneOf, Quantity, Slider, Addon, Once}, o.Kind) {
		wrong["kind"] = "Please choose one of these."
	}
	if !slices.ContainsFunc(Resources(), func(r [2]string) bool { return r[0] == o.Resource }) {
		wrong["resource"] = "Please choose one of these."
	}
	if o.Kind == Once && o.Resource != "" {
		wrong["resource"] = "What is charged once adds to nothing that is delivered. Choose the first line."
	}
	if o.Counted() {
		in.count(wrong, &o)
	}
	for _, text := range in.Plans {
		id, err := uuid.Parse(text)
		if err != nil || len(o.Plans) >= 100 {
			wrong["plans"] = "Please choose from these plans."
			break
		}
		o.Plans = append(o.Plans, id)
	}
	o.Choices = in.choices(wrong, before)
	for _, c := range o.Choices {
		kept := slices.ContainsFunc(before, func(b Choice) bool { return b.SKU == c.SKU }) // though it is not sold any more
		switch {
		case c.SKU == "":
		case o.Kind == Once:
			wrong["choices"] = "What is charged once is made of no wholesale add-on: those are billed by their time."
		case addonOf(offers, c.SKU) == nil && (!kept || o.Visibility == Shown):
			wrong["choices"] = "There is no wholesale add-on " + c.SKU + " with a price for you."
		}
	}
	if o.Counted() && len(o.Choices) != 1 {
		wrong["choices"] = "Please write one line: what one step is called, what it adds, and its price a month."
	}
	return o, fault.Fields("option.invalid", wrong)
}

// count reads the numbers that can be chosen. There is none of an add-on at first.
func (in OptionForm) count(wrong form, o *Option) {
	o.Minimum, o.Maximum, o.Step = wrong.number("minimum", in.Minimum, 0, 10_000), wrong.number("maximum", in.Maximum, 0, 10_000), wrong.number("step", in.Step, 1, 10_000)
	if o.Maximum < o.Minimum {
		wrong["maximum"] = "This is less than the least."
	}
	switch o.Kind {
	case Addon, Once:
		if o.Minimum != 0 || o.Maximum < 1 {
			wrong["minimum"] = "Of an add-on there is none at first, and one at least can be added."
		}
	case Slider:
		if o.Start = wrong.number("start", in.Start, 0, 10_000); wrong["start"] == "" && wrong["maximum"] == "" && o.Steps().Check() != nil {
			wrong["start"] = "This is not one of the steps."
		}
	}
}

// prices reads what a choice costs: amounts with commas between them, each with a
// currency and a cycle where it is not the form's and the month. Others stay.
func (in OptionForm) prices(wrong form, typed string, c *Choice) {
	into, own := c.Prices, map[Cycle]int64{}
	delete(c.Hour, in.Currency)
	for _, one := range strings.Split(typed, ",") {
		words := strings.Fields(one)
		if len(words) == 0 {
			continue
		}
		currency, cycle := in.Currency, Monthly
		if in.Kind == Once {
			cycle = OneTime
		}
		for _, w := range words[1:] {
			switch c := Cycle(strings.ToLower(w)); {
			case c.Months() > 0 && in.Kind != Once:
				cycle = c
			case len(w) == 3 && strings.ToUpper(w) == w:
				currency = w
			default:
				wrong["choices"] = "Please write prices such as 3.00, 30.00 annual, 0.005 hourly, 3.50 USD."
				return
			}
		}
		if cycle == Hourly {
			rate, err := billing.ParseRate(words[0], currency)
			if whole, over := rate.Over(big.NewInt(744), big.NewInt(1)); err != nil || over != nil || whole.Minor > MaxPrice || rate.IsZero() {
				wrong["choices"] = "Please write what an hour costs such as 0.005 hourly."
				return
			}
			c.Hour[currency] = rate.Minor()
			continue
		}
		minor := wrong.amount("choices", words[0], currency)
		switch {
		case minor <= 0:
		case currency == in.Currency:
			own[cycle] = minor
		default:
			if into[currency] = maps.Clone(into[currency]); into[currency] == nil {
				into[currency] = map[Cycle]int64{}
			}
			into[currency][cycle] = minor
		}
	}
	if len(own) > 0 {
		into[in.Currency] = own
	}
}

// choices reads the lines. Prices in other currencies stay as they were where a choice
// keeps its label and the line does not name them.
func (in OptionForm) choices(wrong form, before []Choice) []Choice {
	out := []Choice{}
	for _, raw := range strings.Split(in.Choices, "\n") {
		if raw = line(raw); raw == "" {
			continue
		}
		parts := strings.Split(raw, "|")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if len(parts) > 4 || parts[0] == "" || len(out) >= 30 || len(raw) > 200 {
			wrong["choices"] = "Please write at most 30 lines such as 4 GB more | 4096 | 3.00."
			break
		}
		c := Choice{Code: strings.Trim(notCode.ReplaceAllString(strings.ToLower(parts[0]), "_"), "_"), Label: parts[0], Prices: map[string]map[Cycle]int64{}, Hour: map[string]string{}}
		if c.Code == "" {
			c.Code = "choice_" + strconv.Itoa(len(out)+1)
		}
		if i := slices.IndexFunc(before, func(x Choice) bool { return x.Label == c.Label }); i >= 0 {
			c.Code = before[i].Code
			for currency, cycles := range before[i].Prices {
				if currency != in.Currency {
					c.Prices[currency] = cycles
				}
			}
			maps.Copy(c.Hour, before[i].Hour)
			delete(c.Hour, in.Currency)
		}
		if slices.ContainsFunc(out, func(x Choice) bool { return x.Code == c.Code }) {
			wrong["choices"] = "Two lines say the same."
		}
		if len(parts) > 1 && parts[1] != "" {
			c.Amount = wrong.number("choices", parts[1], 0, 10_000_000)
		}
		if len(parts) > 2 && parts[2] != "" {
			in.prices(wrong, parts[2], &c)
		}
		if len(parts) > 3 {
			c.SKU = parts[3]
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		wrong["choices"] = "Please write at least one line."
	}
	return out
}

// Lines are choices as OptionForm takes them.
func Lines(choices []Choice, currency string) string {
	var b strings.Builder
	for _, c := range choices {
		b.WriteString(c.Label + " | " + strconv.Itoa(c.Amount))
		prices := c.typed(currency)
		if len(prices) > 0 || c.SKU != "" {
			b.WriteString(" | " + strings.Join(prices, ", "))
		}
		if c.SKU != "" {
			b.WriteString(" | " + c.SKU)
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

// typed are the prices of a choice as its line has them, those in a currency first.
func (c Choice) typed(currency string) (prices []string) {
	currencies := append(slices.Collect(maps.Keys(c.Prices)), slices.Collect(maps.Keys(c.Hour))...)
	slices.Sort(currencies)
	currencies = slices.DeleteFunc(slices.Compact(currencies), func(x string) bool { return x == currency })
	for _, cur := range append([]string{currency}, currencies...) {
		in := ""
		if cur != currency {
			in = " " + cur
		}
		for _, cycle := range EditCycles() {
			minor := c.Prices[cur][cycle]
			if minor == 0 {
				continue
			}
			text := billing.Money{Minor: minor, Currency: cur}.Decimal() + in
			if cycle != Monthly && cycle != OneTime { // what is charged once has no other
				text += " " + string(cycle)
			}
			prices = append(prices, text)
		}
		if rate, err := billing.ParseMinorRate(c.Hour[cur], cur); err == nil {
			prices = append(prices, rate.Decimal()+in+" "+string(Hourly))
		}
	}
	return prices
}

var errNoOption = fault.New(fault.NotFound, "option.not_found", "There is no such option.")

// OptionByID is an option and the product it belongs to. The fault is option.not_found.
func OptionByID(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Option, uuid.UUID, error) {
	product, err := ProductOfOption(ctx, tx, id)
	if err != nil {
		return Option{}, uuid.Nil, err
	}
	all, err := optionsOf(ctx, tx, product)
	if err != nil {
		return Option{}, uuid.Nil, err
	}
	o, err := Shelf{Options: all}.Option(id)
	return o, product, err
}

// ProductOfOption is the product that an option belongs to. The fault is option.not_found.
func ProductOfOption(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (product uuid.UUID, err error) {
	err = tx.NewRaw("SELECT product_id FROM options WHERE id = ?", id).Scan(ctx, &product)
	if tenancy.IsNoRows(err) {
		return uuid.Nil, errNoOption
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("read option: %w", err)
	}
	return product, nil
}

// Option is one of the product's. The fault is option.not_found.
func (s Shelf) Option(id uuid.UUID) (Option, error) {
	i := slices.IndexFunc(s.Options, func(o Option) bool { return o.ID == id })
	if i < 0 {
		return Option{}, errNoOption
	}
	return s.Options[i], nil
}

// ReadMargins says what is left of each price of the choices that are made of a wholesale
// add-on, those that can be read: the choice's label with each. held is the tax that prices
// hold; see MarginOf.
func (in OptionForm) ReadMargins(offers []Offer, held int64) (labels []string, all []Margin) {
	for _, c := range in.choices(form{}, nil) {
		if c.SKU == "" {
			continue
		}
		o := addonOf(offers, c.SKU)
		if o == nil {
			continue
		}
		for _, currency := range slices.Sorted(maps.Keys(c.Prices)) {
			for _, cycle := range EditCycles() {
				if minor := c.Prices[currency][cycle]; minor > 0 && cycle.Months() > 0 {
					labels, all = append(labels, c.Label), append(all, MarginOf(billing.Money{Minor: minor, Currency: currency}, cycle, o.Cost, held))
				}
			}
		}
		for _, currency := range slices.Sorted(maps.Keys(c.Hour)) { // of what costs a share of its month a full month of hours is the month
			h, _ := c.Hours(currency)
			if month, err := h.Month(); err == nil {
				labels, all = append(labels, c.Label), append(all, MarginOf(month, Hourly, o.Cost, held))
			}
		}
	}
	return labels, all
}

// SaveOption adds or changes an option; anonymous visitors see it at once. Faults:
// option.invalid about its fields, option.code_taken, option.not_found, product.not_found.
func SaveOption(ctx context.Context, db *tenancy.DB, offers []Offer, in OptionForm, by audit.Origin) error {
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		var had Option
		if in.ID != uuid.Nil {
			var err error
			if had, in.ProductID, err = OptionByID(ctx, tx, in.ID); err != nil {
				return err
			}
		}
		o, err := in.check(had.Choices, offers)
		if err != nil {
			return err
		}
		if err := o.paidFor(ctx, tx, in.ProductID, had, offers); err != nil {
			return err
		}
		raw, err := json.Marshal(o.Choices)
		if err != nil {
			return err
		}
		start, plans, err := o.more()
		if err != nil {
			return err
		}
		action := "option.changed"
		if o.ID == uuid.Nil {
			action = "option.added"
			if o.ID, err = uuid.NewV7(); err != nil {
				return err
			}
			res, err := tx.NewRaw(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at, start, plans)
				SELECT ?0, x.id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10::jsonb, ?11, ?12, ?13, ?13, ?14, ?15::jsonb FROM products x WHERE x.id = ?1`,
				o.ID, in.ProductID, o.Code, o.Label, o.Help, o.Kind, o.Resource, o.Minimum, o.Maximum, o.Step, string(raw), o.Position, o.Visibility, tx.Now(), start, plans).Exec(ctx)
			if err := kept(res, err, errNoProduct); err != nil {
				return err
			}
		} else {
			res, err := tx.NewRaw(`UPDATE options SET code = ?, label = ?, help = ?, kind = ?, resource = ?, minimum = ?, maximum = ?, step = ?, choices = ?::jsonb, position = ?, visibility = ?, changed_at = ?, start = ?, plans = ?::jsonb WHERE id = ?`,
				o.Code, o.Label, o.Help, o.Kind, o.Resource, o.Minimum, o.Maximum, o.Step, string(raw), o.Position, o.Visibility, tx.Now(), start, plans, o.ID).Exec(ctx)
			if err := kept(res, err, errNoOption); err != nil {
				return err
			}
			if err := o.madeOf(ctx, tx, in.ProductID, had.Choices); err != nil {
				return err
			}
		}
		return changed(ctx, tx, by, action, audit.Target{Kind: "option", ID: o.ID.String()}, map[string]any{"label": o.Label, "visibility": o.Visibility})
	})
	if tenancy.IsTaken(err, "options_product_id_code_key") {
		err = fault.Field("code", "option.code_taken", "Another option of this product has this code.")
	}
	return err
}

// more are the columns that only some options have.
func (o Option) more() (start *int, plans *string, err error) {
	if o.Kind == Slider {
		start = &o.Start
	}
	if len(o.Plans) == 0 {
		return start, nil, nil
	}
	raw, err := json.Marshal(o.Plans)
	text := string(raw)
	return start, &text, err
}
