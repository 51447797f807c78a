package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/web"
)

// wholesale is one size in one place.
type wholesale struct{}

func (wholesale) Offers(context.Context, tenancy.ID) ([]catalog.Offer, error) {
	return []catalog.Offer{{SKU: "vps-s", Type: "vps", Name: "VPS S", Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40}, Cost: catalog.Cost{Minor: "300", Currency: "EUR"}, Available: true,
		Regions: []catalog.Region{{Code: "ams", Name: "Amsterdam", Images: []catalog.Image{{Code: "debian-13", Name: "Debian 13", Group: "Debian"}}, Available: true}}}}, nil
}

// endless has room for everything.
type endless struct{ platform uuid.UUID }

func (r endless) Hold(_ context.Context, _ tenancy.ID, q checkout.HoldRequest) (checkout.Placement, error) {
	return checkout.Placement{PlatformID: r.platform, Region: q.Region}, nil
}
func (endless) Use(context.Context, tenancy.ID, string) error  { return nil }
func (endless) Free(context.Context, tenancy.ID, string) error { return nil }

// sellingOf sells what wholesale offers.
func sellingOf(box *mail.Outbox) *web.Selling {
	offers := catalog.Remember(wholesale{}, time.Minute, time.Now)
	return &web.Selling{Offers: offers, Checkout: &checkout.Desk{Offers: offers, Supply: endless{uuid.New()}, Mail: box}}
}

// furnishShelf gives the tenant's running product an extra, and names the parts of the
// catalog and the order it came from.
func (e *estate) furnishShelf(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	ctx, extra, change := t.Context(), uuid.New(), uuid.New()
	code := "CODE-" + strings.ToUpper(of.Slug)
	var shelf, size, order uuid.UUID
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		if err := tx.NewRaw("SELECT p.id, l.id, o.id FROM products p JOIN plans l ON l.product_id = p.id, orders o WHERE p.slug = 'running' AND o.number = 90001").Scan(ctx, &shelf, &size, &order); err != nil {
			return err
		}
		if err := exec(ctx, tx, `INSERT INTO coupons (code, kind, amounts, cycles, setup, plans, countries, new_customers, max_uses, uses, state, note, created_at, changed_at)
			VALUES (?, 'amount', '{"EUR":500}', 3, false, '[]', '[]', false, 10, 0, 'active', '', now(), now())`, code); err != nil {
			return err
		}
		if err := exec(ctx, tx, `INSERT INTO price_changes (id, plan_id, from_at, prices, running, notice_days, state, created_at)
			VALUES (?, ?, '2090-01-01', '[{"currency":"EUR","cycle":"monthly","was":1000,"minor":1200}]', true, 30, 'cancelled', now())`, change, size); err != nil {
			return err
		}
		return exec(ctx, tx, `INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at) VALUES
			(?, ?, 'ips', 'More addresses', '', 'quantity', 'ipv4', 0, 4, 2, '[{"code":"each","label":"Two addresses","amount":2,"prices":{"EUR":{"monthly":200}}}]', 1, 'public', now(), now())`, extra, shelf)
	}))
	things := e.things[of.ID]
	things[":order"], things[":shelf"], things[":size"], things[":extra"] = order.String(), shelf.String(), size.String(), extra.String()
	things[":coupon"], things[":pricechange"] = code, change.String()
}
