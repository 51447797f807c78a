package settings_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/settings"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func TestSave(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}
	f := settings.Form{Name: "  Alpha  Cloud ", Place: place.Place{Locale: "de-at", Currency: "chf", TimeZone: "Europe/Vienna"}}
	if err := settings.Save(ctx, w.DB(w.A), f, by); err != nil {
		t.Fatal(err)
	}
	read := func(id tenancy.ID) string {
		var said string
		err := w.Owner.QueryRow(ctx, "SELECT concat_ws(' ', name, locale, currency, time_zone) FROM central.tenants WHERE id = $1", id.Number()).Scan(&said)
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	if got := read(w.A.ID); got != "Alpha Cloud de-AT CHF Europe/Vienna" {
		t.Error(got)
	}
	if got := read(w.B.ID); got != "beta en EUR UTC" {
		t.Errorf("the neighbour: %s", got)
	}
	err := w.DB(w.A).View(ctx, func(tx *tenancy.Tx) error {
		entries, err := audit.List(ctx, tx, audit.Filter{})
		if len(entries) != 1 || entries[0].Action != "settings.changed" || len(entries[0].Detail) != 4 {
			t.Errorf("trail: %+v", entries)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := settings.Save(ctx, w.DB(w.B), settings.Of(w.B), by); err != nil {
		t.Error(err)
	}
	for field, spoil := range map[string]func(*settings.Form){
		"name":      func(f *settings.Form) { f.Name = strings.Repeat("x", 101) },
		"locale":    func(f *settings.Form) { f.Locale = "\xff\xfe<script>" },
		"currency":  func(f *settings.Form) { f.Currency = "EURO" },
		"time_zone": func(f *settings.Form) { f.TimeZone = "Local" },
	} {
		f := settings.Of(w.A)
		spoil(&f)
		if got := fault.From(settings.Save(ctx, w.DB(w.A), f, by)); got.Fields[field] == "" || len(got.Fields) != 1 {
			t.Errorf("%s: %+v", field, got)
		}
	}
}
