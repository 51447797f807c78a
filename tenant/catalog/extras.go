package catalog

import (
	"strings"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// once adds what is charged once.
func (c *Configured) once(x Item) (err error) {
	if x.Amount.IsZero() {
		return nil
	}
	if c.Setup, err = c.Setup.Add(x.Amount); err != nil {
		return errWords("This is too much.")
	}
	c.Once = append(c.Once, x)
	return nil
}

// Extras checks add-ons that are charged once and bought for what somebody has, by their
// codes how many, and says what they cost; none of one is left out. Fault:
// configuration.invalid about the fields option.<code>.
func Extras(p FullPlan, currency string, wanted map[string]string) ([]Item, error) {
	c := Configured{Plan: p, Picked: Picked{Options: map[string]string{}}, Setup: billing.Money{Currency: currency}}
	wrong := map[string]string{}
	for code := range wanted {
		wrong["option."+code] = "This cannot be bought for it."
	}
	for _, o := range p.Options {
		value, ok := wanted[o.Code]
		if !ok || o.Kind != Once || o.Visibility != Shown {
			continue
		}
		delete(wrong, "option."+o.Code)
		if err := c.option(o, strings.TrimSpace(value), currency); err != nil {
			wrong["option."+o.Code] = err.Error()
		}
	}
	return c.Once, fault.Fields("configuration.invalid", wrong)
}
