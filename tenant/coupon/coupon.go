// Package coupon owns codes that take something off what is bought: what a code takes,
// of what, for whom and how often it is used. It owns the table coupons. What a code took
// off is kept with the order and the subscription, by checkout and renewal: changing or
// ending a code changes nothing that was bought with it.
package coupon

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
)

// Kind says what a code takes off.
type Kind string

// The kinds of codes.
const (
	Percent Kind = "percent" // a share of each line
	Amount  Kind = "amount"  // an amount of the order
	Free    Kind = "free"    // all of some invoices
	Longer  Kind = "trial"   // nothing: a trial is longer
)

// State says whether a code counts at all.
type State string

// The states of a code.
const (
	Active State = "active"
	Off    State = "off"
)

// Stacks says with which other codes of an order a code counts.
type Stacks string

// With which other codes a code counts.
const (
	Alone      Stacks = ""
	WithAny    Stacks = "any"
	OtherKinds Stacks = "kinds"
)

// Coupon is a code with its terms.
type Coupon struct {
	Stacks        Stacks
	Most          int // codes the shop lets count on one order; of a lookup
	Code          string
	Kind          Kind
	Ppm           int64            // of a percentage
	Amounts       map[string]int64 // of an amount, in minor units by currency
	Cycles        int              // invoices it counts for; 0: all
	Days          int              // by which a trial is longer
	Setup         bool             // also off fees for setting up
	Plans         []uuid.UUID      // it is for; empty: all
	Countries     []string         // it is for; empty: all
	Accounts      []Named          // it is for; empty: all
	Other         *Terms           // what half of those who use it get instead; nil: nothing else
	Variant       string           // of these terms, for a buyer; empty: there is only one
	NewCustomers  bool             // only for an account's first order
	MaxUses       int              // 0: as often as one likes
	MaxPerAccount int              // 0: as often as one likes
	Uses          int              // by orders that are not cancelled
	StartsAt      time.Time        // zero: it has begun
	EndsAt        time.Time        // the first moment it no longer counts; zero: never
	State         State
	Note          string
	CreatedAt     time.Time
	ChangedAt     time.Time
}

// Discount is what the code takes off in a currency; false when it does not count in it.
// One that makes a trial longer takes nothing off.
func (c Coupon) Discount(currency string) (billing.Discount, bool) {
	d := billing.Discount{Code: c.Code, Ppm: c.Ppm, Cycles: c.Cycles, Setup: c.Setup}
	for _, id := range c.Plans {
		d.Plans = append(d.Plans, id.String())
	}
	switch c.Kind {
	case Percent:
		return d, true
	case Free:
		d.Ppm = billing.PpmWhole
		return d, true
	case Longer:
		return billing.Discount{}, true
	}
	minor := c.Amounts[currency]
	d.Ppm, d.Off = 0, billing.Money{Minor: minor, Currency: currency}
	return d, minor > 0
}

// Together reports whether two codes count on one order: each of them must let the other.
func Together(a, b Coupon) bool {
	lets := func(a, b Coupon) bool {
		return a.Stacks == WithAny || a.Stacks == OtherKinds && a.Kind != b.Kind
	}
	return a.Code != b.Code && lets(a, b) && lets(b, a)
}

// For reports whether the code is for a plan.
func (c Coupon) For(plan uuid.UUID) bool {
	return len(c.Plans) == 0 || slices.Contains(c.Plans, plan)
}

var codes = regexp.MustCompile(`^[A-Z0-9][A-Z0-9_-]{1,31}$`)

// Normal is a code as it is kept: people write theirs in any case and with blanks around
// it. What cannot be a code is empty.
func Normal(typed string) string {
	if len(typed) > 100 {
		return ""
	}
	code := strings.ToUpper(strings.TrimSpace(typed))
	if !codes.MatchString(code) {
		return ""
	}
	return code
}

const columns = `c.code, c.kind, coalesce(c.ppm, 0) AS ppm, c.amounts::text AS amounts, c.cycles, c.setup, c.plans::text AS plans, c.countries::text AS countries, c.new_customers,
	coalesce(c.max_uses, 0) AS max_uses, coalesce(c.max_per_account, 0) AS max_per_account, c.uses, coalesce(c.days, 0) AS days, coalesce(c.accounts::text, '[]') AS accounts, coalesce(c.other::text, 'null') AS other, coalesce(c.stacks, '') AS stacks, c.starts_at, c.ends_at, c.state, c.note, c.created_at, c.changed_at`

type row struct {
	Stacks                       Stacks
	Code                         string
	Kind                         Kind
	Ppm                          int64
	Amounts, Plans, Countries    string
	Accounts, Other              string
	Cycles, Days                 int
	Setup, NewCustomers          bool
	MaxUses, MaxPerAccount, Uses int
	StartsAt, EndsAt             time.Time
	State                        State
	Note                         string
	CreatedAt, ChangedAt         time.Time
	Orders, Before, Most         int    // of the buyer and the shop, of a lookup
	Country                      string // of the buyer, of a lookup
}

func (r row) coupon() (Coupon, error) {
	c := Coupon{
		Stacks: r.Stacks, Most: max(r.Most, 1), Code: r.Code, Kind: r.Kind, Ppm: r.Ppm, Cycles: r.Cycles, Days: r.Days, Setup: r.Setup, NewCustomers: r.NewCustomers, MaxUses: r.MaxUses, MaxPerAccount: r.MaxPerAccount,
		Uses: r.Uses, StartsAt: r.StartsAt, EndsAt: r.EndsAt, State: r.State, Note: r.Note, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt,
	}
	for _, f := range []struct {
		text string
		into any
	}{{r.Amounts, &c.Amounts}, {r.Plans, &c.Plans}, {r.Countries, &c.Countries}, {r.Accounts, &c.Accounts}, {r.Other, &c.Other}} {
		if err := json.Unmarshal([]byte(f.text), f.into); err != nil {
			return c, fmt.Errorf("read coupon %s: %w", r.Code, err)
		}
	}
	return c, nil
}
