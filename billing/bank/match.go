package bank

import (
	"slices"
	"strings"
	"unicode"

	"github.com/ezscale/ezscale/billing"
)

// Due is an invoice on which something is owed.
type Due struct {
	Number string
	Name   string // of the customer
	Amount billing.Money
	Over   bool // it was cancelled, and asked for the amount: what comes for it is something else
}

// Sureness is how certain a suggestion is.
type Sureness int

// From nothing to certain.
const (
	Nothing Sureness = iota
	Perhaps
	Certain
)

// Suggestion is which invoices a booking seems to pay.
type Suggestion struct {
	Due  []int // positions in what was given, in the order they are paid
	Sure Sureness
	Why  string
}

// letters are what two ways of writing a number have in common.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
}

// Matcher suggests invoices for bookings. It is made once of all that is owed.
type Matcher struct {
	due  []Due
	keys []string
}

// NewMatcher looks at what is owed.
func NewMatcher(due []Due) *Matcher {
	m := &Matcher{due: due, keys: make([]string, len(due))}
	for i, d := range due {
		m.keys[i] = letters(d.Number)
	}
	return m
}

// shortest is the least a number must have to be found in a text.
const shortest = 4

// Suggest says which invoices a booking seems to pay. It is certain when the numbers that
// are written there come to what was paid, to the cent; a number with another amount, that
// of an invoice that is over, or the only invoice over an amount, is a hint.
func (m *Matcher) Suggest(b Booking) Suggestion {
	if b.Amount.Minor <= 0 {
		return Suggestion{}
	}
	named := m.named(b)
	var sum int64
	for _, i := range named {
		sum += m.due[i].Amount.Minor
	}
	switch {
	case slices.ContainsFunc(named, func(i int) bool { return m.due[i].Over }):
		return Suggestion{named, Perhaps, "It was cancelled: what comes for it becomes the customer's credit."}
	case len(named) > 0 && sum == b.Amount.Minor:
		return Suggestion{named, Certain, "Number and amount fit."}
	case len(named) == 1 && sum > b.Amount.Minor:
		return Suggestion{named, Perhaps, "The number fits; it is a part of what is owed."}
	case len(named) == 1:
		return Suggestion{named, Perhaps, "The number fits; it is more than is owed."}
	case len(named) > 1:
		for _, i := range named { // one of them alone, such as a number within a longer text
			if m.due[i].Amount == b.Amount {
				return Suggestion{[]int{i}, Perhaps, "Several numbers are written there; the amount of one fits."}
			}
		}
		return Suggestion{named, Perhaps, "Several numbers are written there; the amount is another."}
	}
	return m.byAmount(b)
}

// named are the invoices whose numbers stand in what was written, without those whose
// number is only the beginning of another's.
func (m *Matcher) named(b Booking) []int {
	written := []string{letters(b.Text), letters(b.Reference)}
	var found []int
	for i, key := range m.keys {
		if len(key) < shortest || m.due[i].Amount.Currency != b.Amount.Currency {
			continue
		}
		if slices.ContainsFunc(written, func(w string) bool { return contains(w, key) }) {
			found = append(found, i)
		}
	}
	return slices.DeleteFunc(found, func(i int) bool {
		return slices.ContainsFunc(found, func(j int) bool {
			return i != j && len(m.keys[j]) > len(m.keys[i]) && strings.Contains(m.keys[j], m.keys[i])
		})
	})
}

// contains finds a number that no other digit goes before or after.
func contains(text, key string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], key)
		if i < 0 {
			return false
		}
		i += at
		before, after := i > 0 && digit(text[i-1]), i+len(key) < len(text) && digit(text[i+len(key)])
		if (!before || !digit(key[0])) && (!after || !digit(key[len(key)-1])) {
			return true
		}
		at = i + 1
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// byAmount is the only invoice over an amount, surer by the customer's name.
func (m *Matcher) byAmount(b Booking) Suggestion {
	var same, known []int
	party := letters(b.Party)
	for i, d := range m.due {
		if d.Over || d.Amount != b.Amount {
			continue
		}
		same = append(same, i)
		if name := letters(d.Name); len(name) >= shortest && party != "" && (strings.Contains(party, name) || len(party) >= shortest && strings.Contains(name, party)) {
			known = append(known, i)
		}
	}
	switch {
	case len(known) == 1:
		return Suggestion{known, Perhaps, "Name and amount fit; no number is written there."}
	case len(same) == 1:
		return Suggestion{same, Perhaps, "The only open invoice over this amount; no number is written there."}
	}
	return Suggestion{}
}

// Share says how much of a booking each of some invoices gets: what it owes, in their
// order, and the last one the rest, also when that is more. An invoice that would get
// nothing is not paid.
func Share(amount billing.Money, due []billing.Money) []billing.Money {
	left, shares := amount.Minor, make([]billing.Money, len(due))
	for i, d := range due {
		get := min(max(d.Minor, 0), left)
		if i == len(due)-1 {
			get = left
		}
		shares[i] = billing.Money{Minor: get, Currency: amount.Currency}
		left -= get
	}
	return shares
}
