package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/coupon"
)

// holdKey names the room kept for one thing of a quote.
func holdKey(quote uuid.UUID, index int) string { return fmt.Sprintf("quote/%s/%d", quote, index) }

// hold keeps room for everything a platform delivers, or for nothing.
func (d *Desk) hold(ctx context.Context, t tenancy.ID, q quoteRow, until time.Time) ([]Placement, error) {
	places := make([]Placement, len(q.items))
	for i, x := range q.items {
		if x.SKU == "" {
			continue
		}
		var err error
		places[i], err = d.Supply.Hold(ctx, t, HoldRequest{Key: holdKey(q.ID, i), SKU: x.SKU, Region: x.Picked.Region, Until: until})
		if err != nil {
			return nil, errors.Join(err, d.free(context.WithoutCancel(ctx), t, q.ID, i))
		}
	}
	return places, nil
}

// free gives back the room of the first n things of a quote.
func (d *Desk) free(ctx context.Context, t tenancy.ID, quote uuid.UUID, n int) error {
	var failed error
	for i := range n {
		if err := d.Supply.Free(ctx, t, holdKey(quote, i)); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// quoteRow is a quote with all that decides whether it may be placed.
type quoteRow struct {
	ID         uuid.UUID
	AccountID  *uuid.UUID
	Currency   string
	TotalMinor int64
	Body       []byte
	ExpiresAt  time.Time
	AcceptedAt *time.Time
	OrderID    *uuid.UUID
	Role       *string // of the person in the account
	Name       string
	Email      string
	Unpaid     int
	Gateways   bool
	Large      *int64
	Agreed     string // its account's prices; see agreed.Column

	items    []Item
	coupon   string
	variants map[string]string // of codes that have two
	buyer    coupon.Buyer      // of the code
	now      time.Time
}

// readQuote reads a quote and refuses what can be seen at once.
func readQuote(ctx context.Context, tx *tenancy.Tx, r PlaceRequest, mayTest bool, lock string) (quoteRow, error) {
	var q quoteRow
	err := tx.NewRaw(`SELECT q.id, q.account_id, q.currency, q.total_minor, q.body, q.expires_at, q.accepted_at, o.id AS order_id, m.role, p.name, p.email,
			(SELECT count(*) FROM orders u JOIN invoices i ON i.id = u.invoice_id AND i.state <> 'paid' -- its job may be to come
				WHERE u.account_id = q.account_id AND u.state = 'awaiting_payment') AS unpaid,
			EXISTS (SELECT FROM gateways WHERE state = 'on' AND (code <> 'sandbox' OR ?)) AS gateways,
			(SELECT (s.value->>'large_order')::bigint FROM shop_settings s WHERE s.name = 'selling') AS large,
			`+agreed.Column("q.account_id")+` AS agreed
		FROM quotes q JOIN people p ON p.id = ? AND p.world = 'customer' AND p.disabled_at IS NULL
		LEFT JOIN orders o ON o.quote_id = q.id LEFT JOIN memberships m ON m.account_id = q.account_id AND m.person_id = p.id
		WHERE q.id = ? AND q.kind = 'checkout'`+lock, mayTest, r.PersonID, r.QuoteID).Scan(ctx, &q)
	if tenancy.IsNoRows(err) || err == nil && (q.AccountID == nil || *q.AccountID != r.AccountID || q.Role == nil) {
		return q, fault.New(fault.NotFound, "checkout.quote_unknown", "There is no such offer. Please go back to your cart.")
	}
	if err != nil {
		return q, fmt.Errorf("read the quote: %w", err)
	}
	q.now = tx.Now()
	var b body
	if err := json.Unmarshal(q.Body, &b); err != nil {
		return q, fmt.Errorf("read the quote: %w", err)
	}
	q.items, q.coupon, q.variants = b.Items, b.Coupon, b.Variants
	if b.Variant != "" {
		q.variants = map[string]string{b.Coupon: b.Variant}
	}
	q.buyer = coupon.Buyer{AccountID: *q.AccountID, Country: b.Country, Currency: q.Currency}
	if q.AcceptedAt != nil && q.OrderID == nil { // it was accepted while we waited for the lock
		if err := tx.NewRaw("SELECT id FROM orders WHERE quote_id = ?", q.ID).Scan(ctx, &q.OrderID); err != nil {
			return q, fmt.Errorf("read the quote's order: %w", err)
		}
	}
	if q.OrderID != nil {
		return q, nil
	}
	return q, q.check()
}

func (q quoteRow) check() error {
	switch {
	case !slices.Contains([]string{"owner", "admin", "billing"}, *q.Role):
		return fault.New(fault.Forbidden, "checkout.not_allowed", "Your role in this account does not include ordering. Ask its owner.")
	case !q.now.Before(q.ExpiresAt):
		return fault.New(fault.Gone, "checkout.quote_expired", "This offer has expired. We have made you a new one: please look at it and order again.")
	case q.TotalMinor > 0 && !q.Gateways:
		return fault.New(fault.Conflict, "checkout.no_gateway", "This shop cannot take payments at the moment. Please write to us.")
	case q.Unpaid >= maxUnpaid:
		return fault.New(fault.Conflict, "checkout.too_many_unpaid", "Several of your orders still wait for their payment. Please pay or cancel one of them first.")
	}
	return nil
}
