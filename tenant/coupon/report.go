package coupon

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Reported is a code with what it has done.
type Reported struct {
	Coupon
	Paid []Sum // of orders that are paid, one a currency
}

// Sum is what a code did in one currency.
type Sum struct {
	Orders int
	Off    billing.Money // that it took off
	Total  billing.Money // that the orders came to
}

// maxList bounds the list.
const maxList = 500

// List is the shop's codes with what they have done, those that count first and the
// newest first, in two statements.
func List(ctx context.Context, tx *tenancy.Tx) ([]Reported, error) {
	var rows []row
	if err := tx.NewRaw("SELECT "+columns+" FROM coupons c ORDER BY c.state, c.created_at DESC, c.code LIMIT ?", maxList).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("list coupons: %w", err)
	}
	sums, err := sumsOf(ctx, tx, "")
	if err != nil {
		return nil, err
	}
	all := make([]Reported, len(rows))
	for i, r := range rows {
		c, err := r.coupon()
		if err != nil {
			return nil, err
		}
		all[i] = Reported{Coupon: c, Paid: sums[c.Code]}
	}
	return all, nil
}

// Get is one code with what it has done. The fault is coupon.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, code string) (Reported, error) {
	var r row
	err := tx.NewRaw("SELECT "+columns+" FROM coupons c WHERE c.code = ?", Normal(code)).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Reported{}, errNone
	}
	if err != nil {
		return Reported{}, fmt.Errorf("read coupon: %w", err)
	}
	c, err := r.coupon()
	if err != nil {
		return Reported{}, err
	}
	sums, err := sumsOf(ctx, tx, c.Code)
	return Reported{Coupon: c, Paid: sums[c.Code]}, err
}

// sumsOf adds up the paid orders of a code, or of all of them.
func sumsOf(ctx context.Context, tx *tenancy.Tx, code string) (map[string][]Sum, error) {
	var rows []struct {
		Coupon, Currency     string
		Orders               int
		OffMinor, TotalMinor int64
	}
	err := tx.NewRaw(`SELECT x.code AS coupon, currency, count(*) AS orders, coalesce(sum(coalesce((stack->x.code->>'off')::bigint, off_minor)), 0)::bigint AS off_minor, sum(total_minor)::bigint AS total_minor
		FROM orders, unnest(string_to_array(coupon, ' ')) AS x(code) WHERE coupon IS NOT NULL AND (? = '' OR x.code = ?) AND state IN ('paid', 'fulfilled') GROUP BY 1, 2 ORDER BY 1, 2`, code, code).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("add up what coupons took off: %w", err)
	}
	all := map[string][]Sum{}
	for _, r := range rows {
		all[r.Coupon] = append(all[r.Coupon], Sum{Orders: r.Orders, Off: billing.Money{Minor: r.OffMinor, Currency: r.Currency}, Total: billing.Money{Minor: r.TotalMinor, Currency: r.Currency}})
	}
	return all, nil
}
