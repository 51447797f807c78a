package coupon

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Terms are what a code takes off, of which it may have two sorts.
type Terms struct {
	Ppm     int64            `json:"ppm,omitempty"`
	Amounts map[string]int64 `json:"amounts,omitempty"`
	Cycles  int              `json:"cycles,omitempty"`
	Days    int              `json:"days,omitempty"`
}

// The variants of a code that has two sorts of terms.
const (
	VariantA = "a" // its own terms
	VariantB = "b" // the other ones
)

// Variant is which of two variants of a code somebody gets: for the same code and the same
// person always the same one, and each for about half of all.
func Variant(code, who string) string {
	sum := sha256.Sum256([]byte(code + "\x00" + who))
	if sum[0]&1 == 1 {
		return VariantB
	}
	return VariantA
}

// variantFor is the variant a buyer gets; empty: the code has only one sort of terms.
func (c Coupon) variantFor(b Buyer) string {
	switch {
	case c.Other == nil:
		return ""
	case b.Visitor != "": // somebody who came as a stranger keeps theirs
		return Variant(c.Code, b.Visitor)
	}
	return Variant(c.Code, b.AccountID.String())
}

// as is the code with the terms of a variant.
func (c Coupon) as(variant string) Coupon {
	c.Variant = variant
	if variant == VariantB && c.Other != nil {
		c.Ppm, c.Amounts, c.Cycles, c.Days = c.Other.Ppm, c.Other.Amounts, c.Other.Cycles, c.Other.Days
	}
	return c
}

// Named is an account a code is for.
type Named struct {
	ID  uuid.UUID `json:"id"`
	Who string    `json:"who"` // the address by which it was named
}

// Compared is what one variant of a code did, in one currency.
type Compared struct {
	Variant string
	Uses    int // orders that are not cancelled
	Orders  int // of them, that are paid
	Off     billing.Money
	Total   billing.Money // that the paid orders came to
	Begun   int           // subscriptions that began with it
	Renewed int           // that were renewed at least once
	Kept    int           // of these, that have not ended
}

// Compare is what the variants of a code did.
func Compare(ctx context.Context, tx *tenancy.Tx, code string) ([]Compared, error) {
	var rows []struct {
		Variant, Currency                  string
		Uses, Orders, Begun, Renewed, Kept int
		OffMinor, TotalMinor               int64
	}
	err := tx.NewRaw(`SELECT v.variant, o.currency, count(*) AS uses, count(*) FILTER (WHERE o.state <> 'awaiting_payment') AS orders,
			coalesce(sum(coalesce((o.stack->?0->>'off')::bigint, o.off_minor)) FILTER (WHERE o.state <> 'awaiting_payment'), 0)::bigint AS off_minor, coalesce(sum(o.total_minor) FILTER (WHERE o.state <> 'awaiting_payment'), 0)::bigint AS total_minor,
			coalesce(sum(s.begun), 0)::int AS begun, coalesce(sum(s.renewed), 0)::int AS renewed, coalesce(sum(s.kept), 0)::int AS kept
		FROM orders o CROSS JOIN LATERAL (SELECT coalesce(o.stack->?0->>'variant', CASE WHEN o.stack IS NULL THEN o.variant END) AS variant) v LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE x.anchor_at IS NOT NULL) AS begun, count(*) FILTER (WHERE x.renewals > 0) AS renewed,
			count(*) FILTER (WHERE x.renewals > 0 AND x.state <> 'ended') AS kept FROM subscriptions x WHERE x.order_id = o.id) s ON true
		WHERE ?0 = ANY(string_to_array(o.coupon, ' ')) AND v.variant IS NOT NULL AND o.state <> 'cancelled' GROUP BY 1, 2 ORDER BY 2, 1`, Normal(code)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("compare the variants of a coupon: %w", err)
	}
	all := make([]Compared, len(rows))
	for i, r := range rows {
		all[i] = Compared{Variant: r.Variant, Uses: r.Uses, Orders: r.Orders, Begun: r.Begun, Renewed: r.Renewed, Kept: r.Kept,
			Off: billing.Money{Minor: r.OffMinor, Currency: r.Currency}, Total: billing.Money{Minor: r.TotalMinor, Currency: r.Currency}}
	}
	return all, nil
}
