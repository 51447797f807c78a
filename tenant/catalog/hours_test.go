package catalog_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// TestAPlanByTheHour: the editor's price an hour is a meter with a most a month, which stands
// on the shelf, is replaced when it changes and only then, and is gone when it is taken away.
func TestAPlanByTheHour(t *testing.T) {
	w := tenancytest.New(t)
	ctx, db, by := t.Context(), w.DB(w.A), audit.Origin{Actor: audit.System("test")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	product, err := catalog.SaveProduct(ctx, db, catalog.ProductForm{Slug: "cloud", Name: "Cloud", Type: string(catalog.Generic), Visibility: "public"}, by)
	must(err)
	form := catalog.PlanForm{ProductID: product, Slug: "small", Name: "Small", Visibility: "public", Hour: map[string]string{"EUR": "0.02", "USD": "0.0213"}, HoursMost: "600"}
	for field, bad := range map[string]func(*catalog.PlanForm){
		"hour.EUR":   func(f *catalog.PlanForm) { f.Hour = map[string]string{"EUR": "-1"} },
		"hour.USD":   func(f *catalog.PlanForm) { f.Hour = map[string]string{"USD": "x"} },
		"hours_most": func(f *catalog.PlanForm) { f.HoursMost = "9999" },
		"prices":     func(f *catalog.PlanForm) { f.Hour = nil },
	} {
		f := form
		bad(&f)
		if _, err := catalog.SavePlan(ctx, db, nil, f, by); fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	both := form
	both.Prices = map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "5.00"}}
	if _, err := catalog.SavePlan(ctx, db, nil, both, by); fault.From(err).Fields["hour.EUR"] == "" {
		t.Errorf("by the hour and by the month: %v", err)
	}
	id, err := catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	read := func() (p catalog.FullPlan) {
		must(db.View(ctx, func(tx *tenancy.Tx) (err error) {
			p, err = catalog.ByID(ctx, tx, id)
			return err
		}))
		return p
	}
	p := read()
	if len(p.Meters) != 1 || p.Meters[0].Feed != catalog.FeedLife || p.Meters[0].StepMinutes != 60 {
		t.Fatalf("%+v", p.Meters)
	}
	price, ok := p.Price("EUR", catalog.Monthly)
	if !ok || price.Amount.Minor != 0 || price.Hours == nil || price.Hours.Words("en") != "€0.02 an hour, at most €12.00 a month" {
		t.Errorf("%+v %+v", price, price.Hours)
	}
	if price, _ := p.Price("USD", catalog.Monthly); price.Hours == nil || price.Hours.Most.Minor != 1278 {
		t.Errorf("in dollars: %+v", price.Hours)
	}
	must(db.View(ctx, func(tx *tenancy.Tx) error {
		shelf, err := catalog.Public(ctx, tx, "EUR")
		if err == nil && (len(shelf) != 1 || shelf[0].Plans[0].Prices[0].Hours == nil || shelf[0].Plans[0].Prices[0].Hours.Rate.Decimal() != "0.02") {
			t.Errorf("the shelf: %+v", shelf)
		}
		return err
	}))
	first := p.Meters[0].ID
	form.ID = id
	if form.Hour, form.HoursMost = catalog.HourForm(p.Meters); form.Hour["USD"] != "0.0213" || form.HoursMost != "600" {
		t.Errorf("as it is edited: %v %q", form.Hour, form.HoursMost)
	}
	form.Name = "Little"
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	if p := read(); p.Meters[0].ID != first {
		t.Error("another meter took its place without a change")
	}
	form.Hour = map[string]string{"EUR": "0.03"}
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	if p := read(); len(p.Meters) != 1 || p.Meters[0].ID == first {
		t.Errorf("%+v", p.Meters)
	}
	form.Hour, form.Prices = nil, map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "5.00"}}
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	if p := read(); len(p.Meters) != 0 {
		t.Errorf("%+v", p.Meters)
	}
}

// A product with plans by the month and by the hour costs from the lowest a month.
func TestFromIsAMonthBeforeAnHour(t *testing.T) {
	month := func(minor int64) catalog.Plan {
		return catalog.Plan{Prices: []catalog.Price{{Cycle: catalog.Monthly, Amount: billing.Money{Minor: minor, Currency: "EUR"}}}}
	}
	hour := month(0)
	hour.Prices[0].Hours = &catalog.HourPrice{}
	for what, c := range map[string]struct {
		plans []catalog.Plan
		minor int64
	}{
		"the hour last":  {[]catalog.Plan{month(1900), month(900), hour}, 900},
		"the hour first": {[]catalog.Plan{hour, month(1900)}, 1900},
		"only hours":     {[]catalog.Plan{hour, hour}, 0},
		"for nothing":    {[]catalog.Plan{month(900), month(0)}, 0},
	} {
		if got, ok := (catalog.Product{Plans: c.plans}).From(); !ok || got.Amount.Minor != c.minor || got.ByTheHour() != (what == "only hours") {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
