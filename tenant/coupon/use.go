package coupon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// field is where faults about a code stand.
const field = "coupon"

// What does not begin yet, was switched off or never was is told apart by nobody: codes
// are guessed.
var (
	errUnknown   = fault.Field(field, "coupon.unknown", "This code is not valid.")
	errExpired   = fault.Field(field, "coupon.expired", "This code has expired.")
	errUsedUp    = fault.Field(field, "coupon.used_up", "This code has been used as often as it may be.")
	errUsed      = fault.Field(field, "coupon.used_before", "You have used this code already.")
	errFirst     = fault.Field(field, "coupon.new_customers", "This code is for a first order.")
	errCountry   = fault.Field(field, "coupon.country", "This code is not for orders from your country.")
	errNotIn     = fault.Field(field, "coupon.currency", "This code does not count in your currency.")
	errNotForYou = fault.Field(field, "coupon.not_for_this", "This code is not for what is in your cart.")
)

// Buyer is who wants to use a code, and for what.
type Buyer struct {
	AccountID uuid.UUID // zero: a stranger, of whom nothing is asked yet
	Country   string    // empty: not known yet
	Currency  string
	Plans     []uuid.UUID
	Visitor   string // under which somebody came before they were known; decides between variants
}

// Find is a code a buyer may use, as far as it is known who they are. Faults, all at the
// field coupon: coupon.unknown, expired, used_up, used_before, new_customers, country,
// currency, not_for_this.
func Find(ctx context.Context, tx *tenancy.Tx, typed string, b Buyer) (Coupon, error) {
	code := Normal(typed)
	if code == "" {
		return Coupon{}, errUnknown
	}
	var r row
	err := tx.NewRaw(`SELECT `+columns+`,
			(SELECT count(*) FROM orders o WHERE o.account_id = ?0 AND o.state <> 'cancelled') AS orders,
			(SELECT count(*) FROM orders o WHERE o.account_id = ?0 AND o.state <> 'cancelled' AND c.code = ANY(string_to_array(o.coupon, ' '))) AS before,
			coalesce((SELECT (value->>'most')::int FROM shop_settings WHERE name = 'coupons'), 1) AS most
		FROM coupons c WHERE c.code = ?1`, b.AccountID, code).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Coupon{}, errUnknown
	}
	if err != nil {
		return Coupon{}, fmt.Errorf("read coupon: %w", err)
	}
	c, err := r.coupon()
	if err != nil {
		return Coupon{}, err
	}
	if err := c.counts(tx.Now()); err != nil {
		return Coupon{}, err
	}
	if c.MaxUses > 0 && c.Uses >= c.MaxUses {
		return Coupon{}, errUsedUp
	}
	c = c.as(c.variantFor(b))
	return c, c.suits(b, r)
}

// counts refuses a code outside its days.
func (c Coupon) counts(now time.Time) error {
	switch {
	case c.State != Active, !c.StartsAt.IsZero() && now.Before(c.StartsAt):
		return errUnknown
	case !c.EndsAt.IsZero() && !now.Before(c.EndsAt):
		return errExpired
	}
	return nil
}

// suits refuses a code that is not for the buyer or for what they buy.
func (c Coupon) suits(b Buyer, r row) error {
	switch _, ok := c.Discount(b.Currency); {
	case len(c.Accounts) > 0 && !slices.ContainsFunc(c.Accounts, func(n Named) bool { return n.ID == b.AccountID }):
		return errUnknown // whose it is not learns nothing of it
	case !ok:
		return errNotIn
	case !slices.ContainsFunc(b.Plans, c.For):
		return errNotForYou
	case b.Country != "" && len(c.Countries) > 0 && !slices.Contains(c.Countries, b.Country):
		return errCountry
	case c.MaxPerAccount > 0 && r.Before >= c.MaxPerAccount:
		return errUsed
	case c.NewCustomers && r.Orders > 0:
		return errFirst
	}
	return nil
}

// Use counts one use of a code by an account's order that is about to be placed, and
// keeps the code from others until the transaction ends: it is used no more often than
// it may be, however many ask at once. It returns the terms as they are by now, of the
// variant that was quoted. Faults
// as of Find.
func Use(ctx context.Context, tx *tenancy.Tx, code, variant string, b Buyer) (Coupon, error) {
	var r row
	err := tx.NewRaw("UPDATE coupons c SET uses = c.uses + 1 WHERE c.code = ? AND (c.max_uses IS NULL OR c.uses < c.max_uses) RETURNING "+columns, code).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		if _, err := Find(ctx, tx, code, b); err != nil {
			return Coupon{}, err
		}
		return Coupon{}, errUsedUp // one was given back between the two
	}
	if err != nil {
		return Coupon{}, fmt.Errorf("use coupon: %w", err)
	}
	c, err := r.coupon()
	if err != nil {
		return Coupon{}, err
	}
	if err := c.counts(tx.Now()); err != nil {
		return Coupon{}, err
	}
	// After the lock: whoever used it before has committed, and is counted.
	if c.MaxPerAccount > 0 || c.NewCustomers || len(c.Countries) > 0 {
		err := tx.NewRaw(`SELECT count(o.id) AS orders, count(o.id) FILTER (WHERE ? = ANY(string_to_array(o.coupon, ' '))) AS before, coalesce(max(a.country), '') AS country
			FROM accounts a LEFT JOIN orders o ON o.account_id = a.id AND o.state <> 'cancelled' WHERE a.id = ?`, code, b.AccountID).Scan(ctx, &r)
		if err != nil {
			return Coupon{}, fmt.Errorf("count the uses of a coupon: %w", err)
		}
		if len(c.Countries) > 0 && !slices.Contains(c.Countries, r.Country) {
			return Coupon{}, errCountry
		}
	}
	b.Country = ""
	c = c.as(variant)
	return c, c.suits(b, r)
}

// GiveBack counts a use off again: the order was not paid.
func GiveBack(ctx context.Context, tx *tenancy.Tx, code string) error {
	if _, err := tx.NewRaw("UPDATE coupons SET uses = uses - 1 WHERE code = ? AND uses > 0", code).Exec(ctx); err != nil {
		return fmt.Errorf("give back a use of coupon %s: %w", code, err)
	}
	return nil
}

// NotTogether refuses a code beside one it does not count with, or as one too many. The
// faults at the field coupon are coupon.alone and coupon.too_many.
func NotTogether(c, other Coupon) error {
	if c.Most < 2 {
		return fault.Field(field, "coupon.too_many", "Only one code counts for an order: "+other.Code+" does.")
	}
	return fault.Field(field, "coupon.alone", "The codes "+other.Code+" and "+c.Code+" do not count together.")
}

// TooMany refuses another code where as many count as may.
func TooMany(c Coupon) error {
	return fault.Field(field, "coupon.too_many", fmt.Sprintf("At most %d codes count for an order.", c.Most))
}

// Is reports whether an error says that a code does not count.
func Is(err error) bool {
	if err == nil {
		return false
	}
	_, ok := fault.From(err).Fields[field]
	return ok
}
