package catalog_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// A slider begins where it was said, an add-on with none; each has prices of its own by
// currency and cycle, and a plan has those that are for it.
func TestSlidersAndAddons(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	by := audit.Origin{Actor: audit.System("test")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, product, small, large := w.DB(w.A), uuid.New(), uuid.New(), uuid.New()
	exec := func(tx *tenancy.Tx, q string, args ...any) {
		if _, err := tx.NewRaw(q, args...).Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	must(db.Update(ctx, func(tx *tenancy.Tx) error {
		exec(tx, `INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'p', 'generic', 'P', '', 1, 'public', now(), now())`, product)
		for id, slug := range map[uuid.UUID]string{small: "s", large: "l"} {
			exec(tx, `INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at) VALUES (?, ?, ?, ?, '', '[]', false, 1, 'public', now(), now())`, id, product, slug, slug)
			exec(tx, `INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?0, 'EUR', 'monthly', 1000, 0), (?0, 'EUR', 'annual', 10000, 0), (?0, 'USD', 'monthly', 1100, 0)`, id)
		}
		return nil
	}))
	slider := catalog.OptionForm{ProductID: product, Code: "memory", Label: "Memory", Kind: catalog.Slider, Resource: "memory_mb", Minimum: "2", Maximum: "16", Step: "2", Start: "4", Currency: "EUR",
		Choices: "2 GB | 2048 | 3.00, 30.00 annual, 3.50 USD", Position: "1", Visibility: "public"}
	addon := catalog.OptionForm{ProductID: product, Code: "licence", Label: "Licence", Kind: catalog.Addon, Minimum: "0", Maximum: "1", Step: "1", Currency: "EUR", Choices: "one | 0 | 5.00", Plans: []string{large.String()}, Position: "2", Visibility: "public"}
	for field, bad := range map[string]func(*catalog.OptionForm){
		"start":    func(f *catalog.OptionForm) { f.Start = "5" },
		"step":     func(f *catalog.OptionForm) { f.Step = "0" },
		"maximum":  func(f *catalog.OptionForm) { f.Maximum = "1" },
		"choices":  func(f *catalog.OptionForm) { f.Choices = "2 GB | 2048 | 3.00 weekly" },
		"plans":    func(f *catalog.OptionForm) { f.Plans = []string{"x"} },
		"minimum":  func(f *catalog.OptionForm) { f.Kind, f.Minimum = catalog.Addon, "2" },
		"resource": func(f *catalog.OptionForm) { f.Kind, f.Minimum = catalog.Once, "0" },
		"kind":     func(f *catalog.OptionForm) { f.Kind = "dial" },
	} {
		f := slider
		bad(&f)
		if err := catalog.SaveOption(ctx, db, nil, f, by); fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	once := catalog.OptionForm{ProductID: product, Code: "move", Label: "We move you", Kind: catalog.Once, Minimum: "0", Maximum: "3", Step: "1", Currency: "EUR", Choices: "a site | 0 | 49.00, 55.00 USD", Plans: []string{large.String()}, Position: "3", Visibility: "public"}
	weekly := once
	weekly.Choices = "a site | 0 | 49.00 annual"
	if err := catalog.SaveOption(ctx, db, nil, weekly, by); fault.From(err).Fields["choices"] == "" {
		t.Errorf("what is charged once has no cycle: %v", err)
	}
	made := addon
	made.Code, made.Choices = "panel", "one | 0 | 5.00 | panel"
	offers := []catalog.Offer{{SKU: "panel", Type: catalog.AddonType, Available: true, Cost: catalog.Cost{Minor: "350", Currency: "EUR"}}, {SKU: "vps", Type: catalog.VPS, Available: true}}
	for what, refused := range map[string]error{"unknown": catalog.SaveOption(ctx, db, nil, made, by), "of another kind": catalog.SaveOption(ctx, db, offers, func() catalog.OptionForm { f := made; f.Choices = "one | 0 | 5.00 | vps"; return f }(), by),
		"charged once": catalog.SaveOption(ctx, db, offers, func() catalog.OptionForm { f := once; f.Choices = "a | 0 | 5.00 | panel"; return f }(), by)} {
		if fault.From(refused).Fields["choices"] == "" {
			t.Errorf("a wholesale add-on that is %s: %v", what, refused)
		}
	}
	platforms := addon // more of what a platform delivers is paid for there
	platforms.Code, platforms.Resource, platforms.Choices = "ip", "ipv4", "one | 1 | 5.00"
	must(db.Update(ctx, func(tx *tenancy.Tx) error {
		exec(tx, "UPDATE plans SET sku = 'vps' WHERE id = ?", large)
		return nil
	}))
	for words, refused := range map[string]error{"such as panel.": catalog.SaveOption(ctx, db, offers, platforms, by), "no wholesale add-on": catalog.SaveOption(ctx, db, nil, platforms, by)} {
		if says := fault.From(refused).Fields["choices"]; !strings.Contains(says, words) || !strings.Contains(says, "IPv4 addresses") {
			t.Errorf("more of what a platform delivers: %v", refused)
		}
	}
	platforms.Plans = []string{small.String()} // this one the team delivers
	must(catalog.SaveOption(ctx, db, nil, platforms, by))
	sold := catalog.PlanForm{ID: small, Slug: "s", Name: "s", Position: "1", Visibility: "public", SKU: "vps", Prices: map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "10.00", catalog.Annual: "100.00"}, "USD": {catalog.Monthly: "11.00"}}}
	_, err := catalog.SavePlan(ctx, db, offers, sold, by) // now the platform is to deliver it
	if says := fault.From(err).Fields["sku"]; !strings.Contains(says, platforms.Label) || !strings.Contains(says, "one is made of no wholesale add-on") {
		t.Errorf("a plan of a platform with an option that nobody pays it for: %v", err)
	}
	sold.Visibility = "archived" // nobody buys it
	_, err = catalog.SavePlan(ctx, db, offers, sold, by)
	must(err)
	sold.Visibility = "public"
	if _, err = catalog.SavePlan(ctx, db, offers, sold, by); fault.From(err).Fields["sku"] == "" {
		t.Errorf("it comes back to the shelf: %v", err)
	}
	sold.Position, sold.SKU = "1", ""
	_, err = catalog.SavePlan(ctx, db, offers, sold, by)
	must(err)
	other := sold // of the other plan the option is no part, which a platform delivers already
	other.ID, other.Slug, other.Name, other.SKU = large, "l", "l", "vps"
	_, err = catalog.SavePlan(ctx, db, offers, other, by)
	must(err)
	must(db.Update(ctx, func(tx *tenancy.Tx) error {
		exec(tx, "UPDATE options SET plans = NULL WHERE code = 'ip'")
		return tx.NewRaw("SELECT id FROM options WHERE code = 'ip'").Scan(ctx, &platforms.ID)
	}))
	platforms.Plans, platforms.Choices = nil, "one | 1 | 6.00" // what was sold without one stays as it was
	must(catalog.SaveOption(ctx, db, nil, platforms, by))
	sold.SKU = "vps" // and with it other plans
	_, err = catalog.SavePlan(ctx, db, offers, sold, by)
	must(err)
	platforms.Choices = "one | 2 | 6.00"
	if err := catalog.SaveOption(ctx, db, nil, platforms, by); fault.From(err).Fields["choices"] == "" {
		t.Errorf("more of it than before: %v", err)
	}
	platforms.Choices = "one | 2 | 6.00 | panel"
	must(catalog.SaveOption(ctx, db, offers, platforms, by))
	must(db.Update(ctx, func(tx *tenancy.Tx) error {
		exec(tx, "DELETE FROM options WHERE code = 'ip'")
		exec(tx, "UPDATE plans SET sku = NULL")
		return nil
	}))
	if labels, left := made.ReadMargins(offers, 0); len(left) != 1 || labels[0] != "one" || left[0].Cost.Minor != 350 || left[0].Left.Minor != 500-350-left[0].Fee.Minor {
		t.Errorf("what is left: %v %+v", labels, left)
	}
	must(catalog.SaveOption(ctx, db, nil, once, by))
	must(catalog.SaveOption(ctx, db, nil, slider, by))
	must(catalog.SaveOption(ctx, db, nil, addon, by))
	read := func(id uuid.UUID) (p catalog.FullPlan) {
		must(db.View(ctx, func(tx *tenancy.Tx) (err error) {
			p, err = catalog.ByID(ctx, tx, id)
			return err
		}))
		return p
	}
	if p := read(small); len(p.Options) != 1 || catalog.Lines(p.Options[0].Choices, "EUR") != slider.Choices {
		t.Fatalf("%+v", p.Options)
	}
	for _, test := range []struct {
		plan     uuid.UUID
		cycle    catalog.Cycle
		currency string
		options  map[string]string
		want     int64 // 0: refused
	}{
		{small, catalog.Monthly, "EUR", nil, 1600},
		{small, catalog.Annual, "EUR", map[string]string{"memory": "6"}, 19000},
		{small, catalog.Monthly, "USD", map[string]string{"memory": "16"}, 3900},
		{small, catalog.Monthly, "EUR", map[string]string{"memory": "5"}, 0},
		{small, catalog.Monthly, "EUR", map[string]string{"licence": "1"}, 1600},
		{large, catalog.Monthly, "EUR", map[string]string{"licence": "1"}, 2100},
		{large, catalog.Annual, "EUR", map[string]string{"licence": "1", "memory": "2"}, 19000},
		{large, catalog.Monthly, "EUR", map[string]string{"licence": "2"}, 0},
		{large, catalog.Monthly, "USD", map[string]string{"licence": "1"}, 0},
	} {
		c, err := catalog.Configure(read(test.plan), nil, test.currency, catalog.Picked{Cycle: test.cycle, Options: test.options})
		if (err == nil) != (test.want > 0) || c.Amount.Minor != test.want {
			t.Errorf("%s %s %v: %v %v, want %d", test.cycle, test.currency, test.options, c.Amount, err, test.want)
		}
	}
	moved, err := catalog.Configure(read(large), nil, "USD", catalog.Picked{Options: map[string]string{"move": "2"}})
	if err != nil || moved.Setup.Minor != 11000 || len(moved.Once) != 1 || moved.Once[0].Label != "We move you: 2" || catalog.Lines(read(large).Options[1].Choices, "EUR") != "one | 0 | 5.00" || catalog.Lines(read(large).Options[2].Choices, "EUR") != once.Choices {
		t.Errorf("%v %+v %+v", err, moved, read(large).Options)
	}
	c, err := catalog.Configure(read(large), nil, "EUR", catalog.Picked{Options: map[string]string{"licence": "1"}})
	if err != nil || c.Items[2].Label != "Licence" || c.Chosen[1] != (catalog.Fact{Label: "Licence", Value: "added"}) {
		t.Errorf("%v %+v %+v", err, c.Items, c.Chosen)
	}
}
