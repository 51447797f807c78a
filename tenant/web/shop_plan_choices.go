package web

import (
	"strconv"

	"github.com/ezscale/ezscale/tenant/catalog"
)

func imageGroups(all []catalog.Image, chosen string) []groupView {
	var groups []groupView
	for _, im := range all {
		at := -1
		for i := range groups {
			if groups[i].Label == im.Group {
				at = i
			}
		}
		if at < 0 {
			groups = append(groups, groupView{Name: "image", Code: "image", Label: im.Group})
			at = len(groups) - 1
		}
		groups[at].Choices = append(groups[at].Choices, choiceView{ID: "i-" + im.Code, Value: im.Code, Label: im.Name, Checked: im.Code == chosen})
	}
	return groups
}

func optionChoices(o catalog.Option, currency string, now catalog.Picked, locale string) groupView {
	g := groupView{Name: "option." + o.Code, Code: "option." + o.Code, Label: o.Label, Help: o.Help, Number: o.Counted(), Slider: o.Kind == catalog.Slider, Addon: o.Kind == catalog.Addon || o.Kind == catalog.Once, Single: o.Single(),
		Value: now.Options[o.Code], Minimum: o.Minimum, Maximum: o.Maximum, Step: o.Step}
	if g.Single && g.Value == "" { // bought before there was such an add-on
		g.Value = "0"
	}
	cycle := now.Cycle
	if o.Kind == catalog.Once {
		cycle = catalog.OneTime
	}
	per := perWords[cycle][0]
	for _, x := range o.Choices {
		price, ok := x.Price(currency, cycle)
		note := ""
		if ok && !price.IsZero() {
			note = "+ " + price.Format(locale) + " " + per
		}
		if hour, _ := x.Hours(currency); ok && cycle == catalog.Hourly && !hour.Rate.IsZero() {
			note = "+ " + hour.Words(locale)
		}
		if g.Number {
			g.Note = note
			if note != "" && !g.Single {
				g.Note += " for " + strconv.Itoa(o.Step)
			}
			continue
		}
		g.Choices = append(g.Choices, choiceView{ID: "o-" + o.Code + "-" + x.Code, Value: x.Code, Label: x.Label, Note: note, Checked: x.Code == now.Options[o.Code], Disabled: !ok})
	}
	return g
}

// hourWords are what a part costs by the hour; empty: it does not.
func hourWords(x catalog.Item, locale string) string {
	if x.Hour.Rate.IsZero() {
		return ""
	}
	return x.Hour.Words(locale)
}

// onceLines are add-ons that are charged once.
func onceLines(all []catalog.Item) (lines []lineView) {
	for _, x := range all {
		lines = append(lines, lineView{Label: x.Label + ", once", Amount: x.Amount})
	}
	return lines
}

func viewConfigured(c catalog.Configured, locale string) *configuredView {
	v := &configuredView{Label: c.Label, Chosen: c.Chosen, Setup: c.Setup, Amount: c.Amount, Usual: c.Usual, Per: perWords[c.Picked.Cycle][0]}
	v.Fee, v.Once = c.Setup, onceLines(c.Once)
	for _, x := range c.Once {
		v.Fee.Minor -= x.Amount.Minor
	}
	for _, x := range c.Items {
		v.Lines = append(v.Lines, lineView{Label: x.Label, Amount: x.Amount, Words: hourWords(x, locale)})
	}
	if h := c.Hours(); !h.Rate.IsZero() {
		v.Hours = h.Words(locale)
	}
	if !c.UsualHours.Rate.IsZero() {
		v.UsualHours = c.UsualHours.Words(locale)
	}
	v.Today = c.Amount
	if sum, err := c.Amount.Add(c.Setup); err == nil {
		v.Today = sum
	}
	return v
}
