package catalog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// TestAPlanByTheHour: the editor's price an hour is a cycle of the plan beside others, with a most
// a month as hours and as an amount. It stands on the shelf, its meter is replaced when it changes
// and only then, and is gone when it is taken away.
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
		"hour_most.EUR": func(f *catalog.PlanForm) { f.HourCap = map[string]string{"EUR": "0"} },
		"price.EUR.monthly": func(f *catalog.PlanForm) {
			f.Prices = map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "0.00"}}
		},
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
	form.Prices = map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "9.00", catalog.Annual: "90.00"}}
	form.HourCap = map[string]string{"EUR": "11.00"}
	form.Setup = map[string]string{"EUR": "3.00"}
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
	if len(p.Meters) != 1 || p.Meters[0].Feed != catalog.FeedHours || p.Meters[0].StepMinutes != 60 {
		t.Fatalf("%+v", p.Meters)
	}
	price, ok := p.Price("EUR", catalog.Hourly)
	if !ok || price.Amount.Minor != 0 || price.Setup.Minor != 300 || price.Hours == nil || price.Hours.Words("en") != "€0.02 an hour, at most €11.00 a month" {
		t.Errorf("%+v %+v", price, price.Hours)
	}
	if month, ok := p.Price("EUR", catalog.Monthly); !ok || month.ByTheHour() || month.Amount.Minor != 900 {
		t.Errorf("by the month: %+v", month)
	}
	if from, _ := (catalog.Plan{Prices: p.InCurrency("EUR")}).From(); from.Cycle != catalog.Monthly {
		t.Errorf("it costs from %+v", from)
	}
	if price, _ := p.Price("USD", catalog.Hourly); price.Hours == nil || price.Hours.Most.Minor != 1278 {
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
	if form.Hour, form.HourCap, form.HoursMost = catalog.HourForm(p.Meters); form.Hour["USD"] != "0.0213" || form.HoursMost != "600" || form.HourCap["EUR"] != "11.00" || form.HourCap["USD"] != "" {
		t.Errorf("as it is edited: %v %q", form.Hour, form.HoursMost)
	}
	form.Name = "Little"
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	if p := read(); p.Meters[0].ID != first {
		t.Error("another meter took its place without a change")
	}
	form.HourCap = map[string]string{"EUR": "10.00"}
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	if p := read(); len(p.Meters) != 1 || p.Meters[0].ID == first {
		t.Errorf("another most: %+v", p.Meters)
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
	if p := read(); len(p.Meters) != 0 || len(p.InCurrency("EUR")) != 1 {
		t.Errorf("%+v", p.Meters)
	}
}

// TestWhatWasSoldByTheHourBefore: a plan of nothing a month with a meter on every life is sold as
// the cycle, and becomes it when it is saved; a meter on every life beside a price a month stays.
func TestWhatWasSoldByTheHourBefore(t *testing.T) {
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
	form := catalog.PlanForm{ProductID: product, Slug: "small", Name: "Small", Visibility: "public", Prices: map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "0.00"}}}
	form.ID, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	old, err := catalog.SaveMeter(ctx, db, catalog.MeterForm{PlanID: form.ID, Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedLife, Model: "graduated", Tiers: map[string]string{"EUR": "600 | 0.02\n0"}}, by)
	must(err)
	read := func() (p catalog.FullPlan) {
		must(db.View(ctx, func(tx *tenancy.Tx) error {
			p, err = catalog.ByID(ctx, tx, form.ID)
			must(err)
			shelf, err := catalog.Public(ctx, tx, "EUR")
			if prices := shelf[0].Plans[0].Prices; err == nil && (len(prices) != 1 || prices[0].Cycle != p.InCurrency("EUR")[0].Cycle) {
				t.Errorf("the shelf: %+v", prices)
			}
			return err
		}))
		return p
	}
	p := read()
	if price, ok := p.Price("EUR", catalog.Hourly); !ok || price.Hours.Words("en") != "€0.02 an hour, at most €12.00 a month" || p.Shown()[0].Cycle != catalog.Hourly {
		t.Fatalf("%+v", p.Prices)
	}
	if got, err := catalog.Configure(p, nil, "EUR", catalog.Picked{}); err != nil || got.Picked.Cycle != catalog.Hourly || got.Items[0].Hour.Most.Minor != 1200 {
		t.Errorf("%+v, %v", got, err)
	}
	w.Clock.Advance(time.Hour)
	form.Prices = nil
	form.Hour, form.HourCap, form.HoursMost = catalog.HourForm(p.Meters)
	_, err = catalog.SavePlan(ctx, db, nil, form, by)
	must(err)
	p = read()
	if len(p.Prices) != 1 || p.Prices[0].Cycle != catalog.Hourly || len(p.Meters) != 1 || p.Meters[0].Feed != catalog.FeedHours || p.Meters[0].ID == old.ID {
		t.Errorf("saved: %+v %+v", p.Prices, p.Meters)
	}
	must(db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := catalog.MetersOf(ctx, tx, []uuid.UUID{form.ID})
		if had := catalog.SoldAt(all, form.ID, catalog.Monthly, old.CreatedAt); err == nil && (len(had) != 1 || had[0].ID != old.ID) {
			t.Errorf("who has it has %+v", had)
		}
		if had := catalog.SoldAt(all, form.ID, catalog.Monthly, tx.Now()); len(had) != 0 {
			t.Errorf("by the month, hours are %+v", had)
		}
		return err
	}))
}

// A product with plans by the month and by the hour costs from the lowest a month.
func TestFromIsAMonthBeforeAnHour(t *testing.T) {
	month := func(minor int64) catalog.Plan {
		return catalog.Plan{Prices: []catalog.Price{{Cycle: catalog.Monthly, Amount: billing.Money{Minor: minor, Currency: "EUR"}}}}
	}
	hour := month(0)
	hour.Prices[0].Cycle, hour.Prices[0].Hours = catalog.Hourly, &catalog.HourPrice{}
	both := month(900)
	both.Prices = append(slices.Clone(hour.Prices), both.Prices...)
	for what, c := range map[string]struct {
		plans []catalog.Plan
		minor int64
	}{
		"the hour last":  {[]catalog.Plan{month(1900), month(900), hour}, 900},
		"the hour first": {[]catalog.Plan{hour, month(1900)}, 1900},
		"both in one":    {[]catalog.Plan{both, month(1900)}, 900},
		"only hours":     {[]catalog.Plan{hour, hour}, 0},
		"for nothing":    {[]catalog.Plan{month(900), month(0)}, 0},
	} {
		if got, ok := (catalog.Product{Plans: c.plans}).From(); !ok || got.Amount.Minor != c.minor || got.ByTheHour() != (what == "only hours") {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// TestAnOptionByTheHour: what an hour of a choice costs is entered beside its month, comes back as it
// was entered, and is refused where it is no price; without it an hour is a share of the month.
func TestAnOptionByTheHour(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	product, err := catalog.SaveProduct(t.Context(), db, catalog.ProductForm{Slug: "desks", Name: "Desks", Type: "cloud_desktop", Visibility: "public"}, audit.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	f := catalog.OptionForm{ProductID: product, Code: "backups", Label: "Backups", Kind: "choice", Step: "1", Visibility: "public", Currency: "EUR"}
	for _, choices := range []string{"x | 0 | soon hourly", "x | 0 | 0 hourly", "x | 0 | 99999999999 hourly"} {
		f.Choices = choices
		if err := catalog.SaveOption(t.Context(), db, nil, f, audit.Origin{}); fault.From(err).Fields["choices"] == "" {
			t.Errorf("%q: %v", choices, err)
		}
	}
	f.Choices = "None | 0\nDaily | 0 | 3.00, 30.00 annual, 0.005 hourly, 4.00 USD, 0.006 USD hourly\nWeekly | 0 | 1.00\nAs it runs | 0 | 0.002 hourly"
	if err := catalog.SaveOption(t.Context(), db, nil, f, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	var o catalog.Option
	err = db.View(t.Context(), func(tx *tenancy.Tx) error {
		var id uuid.UUID
		if err := tx.NewRaw("SELECT id FROM options").Scan(t.Context(), &id); err != nil {
			return err
		}
		o, _, err = catalog.OptionByID(t.Context(), tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := o.Choices
	if got, want := catalog.Lines(all, "EUR"), "None | 0\nDaily | 0 | 3.00, 30.00 annual, 0.005 hourly, 4.00 USD, 0.006 USD hourly\nWeekly | 0 | 1.00\nAs it runs | 0 | 0.002 hourly"; got != want {
		t.Errorf("it comes back as\n%s", got)
	}
	for i, want := range []string{"", "€0.005 an hour, at most €3.00 a month", "€0.00139 an hour, at most €1.00 a month", "€0.002 an hour"} {
		h, ok := all[i].Hours("EUR")
		if !ok || want == "" != h.Rate.IsZero() || want != "" && h.Words("en") != want {
			t.Errorf("%s: %q", all[i].Label, h.Words("en"))
		}
	}
	if _, ok := all[3].Price("EUR", catalog.Monthly); ok {
		t.Error("what is sold by the hour alone has a price a month")
	}
	if _, ok := all[2].Hours("USD"); ok {
		t.Error("it is sold in a currency that it has no price in")
	}
}
