package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Addition is a wholesale add-on that is bought with something.
type Addition struct {
	Code string `json:"code"` // of the option
	SKU  string `json:"sku"`
	N    int64  `json:"n"`
}

// MadeOf is what somebody has of the price book who picked a value of the option; nil:
// nothing. It is false where the option no longer says.
func (o Option) MadeOf(value string) (*Addition, bool) {
	a := Addition{Code: o.Code, N: 1}
	i := 0
	if o.Counted() {
		count, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || o.Step < 1 || len(o.Choices) != 1 {
			return nil, false
		}
		a.N = int64(count / o.Step) // though so many may no longer be chosen
	} else if i = slices.IndexFunc(o.Choices, func(c Choice) bool { return c.Code == strings.TrimSpace(value) }); i < 0 {
		return nil, false
	}
	if a.SKU = o.Choices[i].SKU; a.SKU == "" || a.N < 1 {
		return nil, true
	}
	return &a, true
}

// Additions are the wholesale add-ons of what was picked, as the options are made of them
// now. Of what no option says it has those that it had.
func Additions(options []Option, picked Picked, had []Addition) (now []Addition) {
	said := map[string]bool{}
	for _, o := range options {
		value, ok := picked.Options[o.Code]
		if !ok || o.Kind == Once {
			continue
		}
		a, known := o.MadeOf(value)
		if said[o.Code] = known; a != nil {
			now = append(now, *a)
		}
	}
	for _, a := range had {
		if !said[a.Code] {
			now = append(now, a)
		}
	}
	return now
}

// AdditionsNow is Additions with the options of a plan's product as they are: between a quote
// and what follows of it an option may have been made of something else.
func AdditionsNow(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID, picked Picked, had []Addition) ([]Addition, error) {
	if len(picked.Options) == 0 {
		return had, nil
	}
	p, err := ByID(ctx, tx, plan)
	if err != nil {
		return nil, err
	}
	options, err := optionsOf(ctx, tx, p.ProductID)
	if err != nil {
		return nil, err
	}
	return Additions(options, picked, had), nil
}

// MadeOfJob says that an option is made of other wholesale add-ons than before, from a moment
// on: who has it already has those, too.
type MadeOfJob struct {
	Key       uuid.UUID `json:"key"` // of this change of the option
	ProductID uuid.UUID `json:"product_id"`
	Option    Option    `json:"option"` // as it became, without prices
	At        time.Time `json:"at"`
}

// Kind names the job.
func (MadeOfJob) Kind() string { return "option.made_of" }

// madeOf has those who have an option already told of what it is made of now.
func (o Option) madeOf(ctx context.Context, tx *tenancy.Tx, product uuid.UUID, before []Choice) error {
	skus := func(all []Choice) map[string]string {
		m := map[string]string{}
		for _, c := range all {
			if m[c.Code] = c.SKU; o.Counted() {
				m = map[string]string{"": c.SKU}
			}
		}
		return m
	}
	if o.Kind == Once || maps.Equal(skus(before), skus(o.Choices)) {
		return nil
	}
	job := MadeOfJob{Key: uuid.New(), ProductID: product, Option: Option{ID: o.ID, Code: o.Code, Kind: o.Kind, Minimum: o.Minimum, Maximum: o.Maximum, Step: o.Step, Start: o.Start}, At: tx.Now().Truncate(time.Microsecond)}
	for _, c := range o.Choices {
		job.Option.Choices = append(job.Option.Choices, Choice{Code: c.Code, SKU: c.SKU})
	}
	_, err := tx.Enqueue(ctx, job, tenancy.JobOptions{Key: job.Key.String()})
	return err
}

// unpaid is the first choice of an option that would have a platform deliver more and is made
// of no wholesale add-on; nil: there is none. What was sold without one before may stay as it is.
func (o Option) unpaid(before Option) *Choice {
	if o.Resource == "" || o.Kind == Once || o.Visibility == Archived {
		return nil
	}
	for i, c := range o.Choices {
		was := slices.ContainsFunc(before.Choices, func(b Choice) bool { return b.Code == c.Code && b.Amount == c.Amount && b.SKU == "" })
		if c.Amount != 0 && c.SKU == "" && (!was || before.Resource != o.Resource) {
			return &o.Choices[i]
		}
	}
	return nil
}

// costly says why an option may not be so; empty: it may. What a platform delivers more of
// costs something there, whatever the customer is asked for: so each choice that adds to it
// is made of a wholesale add-on.
func (o Option) costly(before Option, offers []Offer) string {
	c := o.unpaid(before)
	if c == nil {
		return ""
	}
	i := slices.IndexFunc(Resources(), func(r [2]string) bool { return r[0] == o.Resource })
	text := "The platform delivers this (" + Resources()[i][1] + ") and is paid for it by you. "
	var codes []string
	for _, x := range offers {
		if addonOf(offers, x.SKU) != nil {
			codes = append(codes, x.SKU)
		}
	}
	if len(codes) == 0 {
		return text + "It has no wholesale add-on with a price for you that " + c.Label + " could be made of: ask for one, or sell larger plans."
	}
	return text + "Please end the line of " + c.Label + " with the code of the wholesale add-on it is made of, such as " + codes[0] + "."
}

// paidFor refuses what is costly where a platform delivers it. Fault: option.invalid.
func (o Option) paidFor(ctx context.Context, tx *tenancy.Tx, product uuid.UUID, before Option, offers []Offer) error {
	says := o.costly(before, offers)
	if says == "" {
		return nil
	}
	if yes, err := o.platformDelivers(ctx, tx, product); err != nil || !yes {
		return err
	}
	return fault.Fields("option.invalid", map[string]string{"choices": says})
}

// platformDelivers reports whether a platform delivers a plan that an option is for.
func (o Option) platformDelivers(ctx context.Context, tx *tenancy.Tx, product uuid.UUID) (yes bool, err error) {
	plans, err := json.Marshal(append([]uuid.UUID{}, o.Plans...))
	if err != nil {
		return false, err
	}
	err = tx.NewRaw(`SELECT EXISTS (SELECT FROM plans WHERE product_id = ?0 AND coalesce(sku, '') <> '' AND visibility <> 'archived'
		AND (?1::jsonb = '[]' OR ?1::jsonb @> to_jsonb(id::text)))`, product, string(plans)).Scan(ctx, &yes)
	return yes, err
}

// paidFor refuses a plan that a platform is to deliver from now on while an option that can be
// had with it would add to what is delivered for nothing: SaveOption looks at the plans there are.
// Fault: plan.invalid.
func (p FullPlan) paidFor(ctx context.Context, tx *tenancy.Tx) error {
	if p.SKU == "" || p.Visibility == Archived {
		return nil
	}
	var before bool
	err := tx.NewRaw("SELECT EXISTS (SELECT FROM plans WHERE id = ? AND coalesce(sku, '') <> '' AND visibility <> 'archived')", p.ID).Scan(ctx, &before)
	if err != nil || before {
		return err
	}
	product := p.ProductID
	if product == uuid.Nil {
		if err := tx.NewRaw("SELECT product_id FROM plans WHERE id = ?", p.ID).Scan(ctx, &product); tenancy.IsNoRows(err) {
			return errNoPlan
		} else if err != nil {
			return fmt.Errorf("read the product of plan %s: %w", p.ID, err)
		}
	}
	options, err := optionsOf(ctx, tx, product)
	if err != nil {
		return err
	}
	for _, o := range options {
		if len(o.Plans) > 0 && !slices.Contains(o.Plans, p.ID) {
			continue
		}
		c := o.unpaid(Option{})
		if c == nil {
			continue
		}
		if sold, err := o.platformDelivers(ctx, tx, product); err != nil {
			return err
		} else if !sold { // what is sold so with other plans since before may stay as it is
			return fault.Fields("plan.invalid", map[string]string{"sku": "The option " + o.Label + " adds to what the platform delivers, and is paid for by you: " + c.Label +
				" is made of no wholesale add-on yet. Please enter its code at the option, or leave this plan out there."})
		}
	}
	return nil
}
