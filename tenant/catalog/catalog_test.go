package catalog_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// stock fills a tenant's shelf: two public products, one hidden; plans in all states.
func stock(t *testing.T, db *tenancy.DB, prefix string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000001', ?0 || '-vps', 'vps', 'VPS', 'Servers', 2, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000002', ?0 || '-web', 'web_hosting', 'Web', 'Sites', 1, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000003', ?0 || '-old', 'vps', 'Old', 'Gone', 0, 'hidden', now(), now())`,
			`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'small', 'Small', '', '[{"label":"Memory","value":"2 GB"},{"label":"CPU","value":"1"}]', false, 2, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'tiny', 'Tiny', '', '[]', true, 1, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'dead', 'Dead', '', '[]', false, 0, 'archived', now(), now())`,
			`INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES
			 ('00000000-0000-7000-8000-000000000011', 'EUR', 'annual', 9990, 0),
			 ('00000000-0000-7000-8000-000000000011', 'EUR', 'monthly', 999, 500),
			 ('00000000-0000-7000-8000-000000000011', 'USD', 'monthly', 1099, 0),
			 ('00000000-0000-7000-8000-000000000012', 'EUR', 'hourly', 1, 0),
			 ('00000000-0000-7000-8000-000000000013', 'EUR', 'monthly', 1, 0)`,
		} {
			if _, err := tx.NewRaw(q, prefix).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublicIsWhatAnyoneMaySee(t *testing.T) {
	w := tenancytest.New(t)
	a, b := w.DB(w.A), w.DB(w.B)
	stock(t, a, "a")
	stock(t, b, "b")
	err := a.View(t.Context(), func(tx *tenancy.Tx) error {
		shelf, err := catalog.Public(t.Context(), tx, "EUR")
		if err != nil {
			return err
		}
		if len(shelf) != 2 || shelf[0].Slug != "a-web" || shelf[1].Slug != "a-vps" {
			t.Fatalf("the shelf is %+v", shelf)
		}
		if len(shelf[0].Plans) != 0 {
			t.Errorf("a product without plans has %+v", shelf[0].Plans)
		}
		vps := shelf[1]
		if len(vps.Plans) != 2 || vps.Plans[0].Slug != "tiny" || vps.Plans[1].Slug != "small" {
			t.Fatalf("the plans are %+v", vps.Plans)
		}
		small := vps.Plans[1]
		if len(small.Prices) != 2 || small.Prices[0].Cycle != catalog.Monthly || small.Prices[0].Amount != (billing.Money{Minor: 999, Currency: "EUR"}) || small.Prices[0].Setup.Minor != 500 {
			t.Errorf("the prices are %+v", small.Prices)
		}
		if len(small.Facts) != 2 || small.Facts[0] != (catalog.Fact{Label: "Memory", Value: "2 GB"}) {
			t.Errorf("the facts are %+v", small.Facts)
		}
		if from, ok := vps.From(); !ok || from.Cycle != catalog.Monthly || from.Amount.Minor != 999 {
			t.Errorf("it is sold from %+v, %v", from, ok)
		}
		if vps.ChangedAt.IsZero() {
			t.Error("the product does not know when it changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublicProduct(t *testing.T) {
	w := tenancytest.New(t)
	stock(t, w.DB(w.A), "a")
	stock(t, w.DB(w.B), "b")
	for _, test := range []struct {
		name, slug string
		there      bool
	}{
		{"its own", "a-vps", true},
		{"another tenant's", "b-vps", false},
		{"a hidden one", "a-old", false},
		{"none", "", false},
		{"SQL for a name", "a-vps' OR '1'='1", false},
		{"a NUL", "a\x00", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := w.DB(w.A).View(t.Context(), func(tx *tenancy.Tx) error {
				p, err := catalog.PublicProduct(t.Context(), tx, "USD", test.slug)
				if err == nil && (p.Slug != test.slug || len(p.Plans) != 2 || len(p.Plans[0].Prices) != 0) {
					t.Errorf("got %+v", p)
				}
				return err
			})
			if test.there && err != nil || !test.there && !fault.Is(err, "product.not_found") {
				t.Errorf("got %v", err)
			}
		})
	}
}
