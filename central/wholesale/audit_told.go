package wholesale

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// What each telling says of a month, as words that can be compared.

// times is when a subject ran and was which SKU at last, in words that compare.
type times map[string]string

// whatRan is when services ran, and had what they have besides, in the part of the month that
// is billed.
func whatRan(all []Ran, m Month, since time.Time) times {
	from := m.From
	if since.After(from) {
		from = since
	}
	said := times{}
	in := func(a, b time.Time) (time.Time, time.Time, bool) {
		a, b = a.UTC(), b.UTC()
		if b.IsZero() || b.After(m.To) {
			b = m.To
		}
		if a.Before(from) {
			a = from
		}
		return a, b, a.Before(b)
	}
	for _, r := range all {
		subject := "service/" + r.ID.String()
		if a, b, ok := in(r.BeganAt, r.EndedAt); ok {
			said[subject] = spell(a, b, r.SKU)
		}
		stays := map[string][]ruleStay{}
		for _, x := range r.Addons {
			if a, b, ok := in(x.From, x.To); ok && !x.From.IsZero() {
				stays[x.Code] = append(stays[x.Code], ruleStay{billing.Stay{From: a, To: b, Quantity: x.N}, x.SKU})
			}
		}
		for code, all := range stays {
			said[subject+"/addon/"+code] = spellAll(all, true)
		}
	}
	return said
}

// ruleStay is a stay with what it was of.
type ruleStay struct {
	billing.Stay
	sku string
}

// spellAll says the stays of one subject. Those that follow one another are one, and of an
// add-on only while it is so many of the same: what a service was before it was changed,
// its own shop does not know any more.
func spellAll(stays []ruleStay, addon bool) string {
	slices.SortFunc(stays, func(x, y ruleStay) int { return x.From.Compare(y.From) })
	var parts []string
	for i := 0; i < len(stays); {
		j := i
		for j+1 < len(stays) && stays[j+1].From.Equal(stays[j].To) && (!addon || stays[j+1].sku == stays[j].sku && stays[j+1].Quantity == stays[j].Quantity) {
			j++
		}
		what := stays[j].sku
		if addon {
			what = fmt.Sprintf("%d of %s", stays[j].Quantity, what)
		}
		parts = append(parts, spell(stays[i].From.UTC(), stays[j].To.UTC(), what))
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func spell(a, b time.Time, sku string) string {
	return a.Format(time.RFC3339Nano) + " to " + b.Format(time.RFC3339Nano) + " as " + sku
}

// whatRule is when the ledger says they did; stays that follow one another are one.
func whatRule(lines []billing.UsageLine) times {
	all := map[string][]ruleStay{}
	for _, l := range lines {
		if l.Kind != "service" {
			continue
		}
		for _, s := range l.Stays {
			all[s.Subject] = append(all[s.Subject], ruleStay{s, l.SKU})
		}
	}
	said := times{}
	for subject, stays := range all {
		said[subject] = spellAll(stays, strings.Contains(subject, "/addon/"))
	}
	return said
}

func stayKey(subject, sku string, from, to time.Time, price string) string {
	return fmt.Sprintf("%s %s from %s to %s at %s", subject, sku, from.UTC().Format(time.RFC3339Nano), to.UTC().Format(time.RFC3339Nano), price)
}

// keysOf are the keys of both, in order.
func keysOf(x, y times) []string {
	var all []string
	for k := range x {
		all = append(all, k)
	}
	for k := range y {
		if _, ok := x[k]; !ok {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}
