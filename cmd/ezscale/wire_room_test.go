package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestATierSaysHowManyServices: orders of one reseller that come at once, at two platforms, get
// no more places than its tier gives; the customer reads nothing of the tier, the reseller and
// staff are told once, the other reseller is not touched, and a smaller tier takes nothing away.
func TestATierSaysHowManyServices(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	by := audit.Origin{Actor: audit.System("test")}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		check(w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			_, err := tx.NewRaw(sql, args...).Exec(ctx)
			return err
		}))
	}
	key, err := secrets.NewKey("k")
	check(err)
	ring, err := secrets.Parse(key)
	check(err)
	book := &wholesale.Desk{Central: w.Central, Mail: mail.NewOutbox(ring), PartnerURL: "https://partners.test"}
	from := tenancytest.Start.UTC().AddDate(0, 0, 1-tenancytest.Start.UTC().Day()).Truncate(24 * time.Hour)
	tier := func(name, services string) {
		t.Helper()
		check(book.SetTier(ctx, wholesale.NewTier{Tier: name, Currency: "EUR", Name: name, Fee: "0", Percent: "0", Services: services, From: from}, by))
	}
	tier("small", "4")
	tier("any", "")
	check(book.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "small", Currency: "EUR", From: from}, by))
	check(book.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "any", Currency: "EUR", From: from}, by))
	for i, sku := range []string{"east", "west"} { // each at a platform of its own, so that no platform's lock puts them in line
		id := uuid.New()
		exec(`INSERT INTO skus (sku, type, name, summary, kind, unit, spec, state, position, changed_at) VALUES (?, 'vps', ?, '', 'service', 'month', '{}', 'active', ?, now())`, sku, sku, i)
		exec(`INSERT INTO platforms (id, name, driver, base_url, sealed_secret, settings, state, health, health_note, created_at, changed_at)
			VALUES (?, ?, 'virtfusion', 'https://x.test', '', '{}', 'on', 'up', '', now(), now())`, id, sku)
		exec(`INSERT INTO offers (id, sku, platform_id, region, region_name, parameters, images, used, state, changed_at) VALUES (?, ?, ?, 'ams', 'Amsterdam', '{}', '[]', 0, 'on', now())`, uuid.New(), sku, id)
	}
	show := func(of tenancy.Tenant, id uuid.UUID, sku, desired string, ended bool) {
		t.Helper()
		at := w.Clock.Now()
		s := tenancy.ServiceShown{ID: id, SKU: sku, Desired: desired, Observed: "active", BeganAt: &at, ChangedAt: at}
		if ended {
			s.EndedAt = &at
		}
		check(w.DB(of).Update(ctx, func(tx *tenancy.Tx) error { return tx.ShowService(ctx, s) }))
	}
	runs := uuid.New()
	show(w.A, runs, "east", "active", false)
	show(w.A, uuid.New(), "", "active", false) // by hand
	show(w.A, uuid.New(), "east", "active", true)
	show(w.A, uuid.New(), "east", "terminated", false)
	show(w.B, uuid.New(), "east", "active", false)

	sup := supply{&platform.Registry{Central: w.Central, Admit: wholesale.AdmitService}, func(tenancy.ID) bool { return false }, book.TellFull, slog.New(slog.DiscardHandler)}
	hold := func(of tenancy.Tenant, key, sku string) error {
		_, err := sup.Hold(ctx, of.ID, checkout.HoldRequest{Key: key, SKU: sku, Region: "ams", Until: w.Clock.Now().Add(time.Hour)})
		return err
	}
	var wg sync.WaitGroup
	errs, skus := make([]error, 12), map[string]string{}
	for i := range errs {
		sku := []string{"east", "west"}[i%2]
		skus[fmt.Sprint("a", i)] = sku
		wg.Go(func() { errs[i] = hold(w.A, fmt.Sprint("a", i), sku) })
	}
	wg.Wait()
	var got []string
	for i, err := range errs {
		if err == nil {
			got = append(got, fmt.Sprint("a", i))
			continue
		}
		says := fault.From(err).Message
		if !fault.Is(err, "platform.full") || !errors.Is(err, wholesale.ErrFull) || !strings.Contains(says, "cannot be delivered at the moment") || strings.ContainsAny(says, "0123456789") || strings.Contains(says, "tier") {
			t.Errorf("refused with %q: %v", says, err)
		}
	}
	if len(got) != 3 {
		t.Fatalf("beside the one that runs, %v got a place; want 3 of them", got)
	}
	use := func(what string, has, most int, full bool) {
		t.Helper()
		u, err := book.UseOf(ctx, w.A.ID)
		if err != nil || u.HasServices != has || u.Services != most || u.Full() != full {
			t.Errorf("%s: %+v, %v", what, u, err)
		}
	}
	use("after the rush", 4, 4, true)
	var letters, told int
	check(w.Owner.QueryRow(ctx, "SELECT (SELECT count(*) FROM central.mails WHERE template = 'wholesale_full'), (SELECT count(*) FROM central.alerts WHERE kind = 'wholesale.full' AND tenant_id = $1)", w.A.ID.Number()).Scan(&letters, &told))
	if letters != 1 || told != 1 {
		t.Errorf("%d letters and %d alerts of nine refusals", letters, told)
	}
	for i := range 6 {
		check(hold(w.B, fmt.Sprint("b", i), "east"))
	}
	check(hold(w.A, got[0], skus[got[0]])) // longer: it counts already
	// What is paid is used, and shown: it counts once.
	show(w.A, uuid.New(), "east", "active", false)
	check(sup.Use(ctx, w.A.ID, got[0]))
	use("one is paid", 4, 4, true)
	check(sup.Free(ctx, w.A.ID, got[1]))
	use("one was cancelled", 3, 4, false)
	check(hold(w.A, "again", "west"))
	tier("small", "2")
	use("a smaller tier", 4, 2, true)
	w.Clock.Advance(time.Minute)
	show(w.A, runs, "east", "active", true)
	if err := hold(w.A, "no", "west"); !fault.Is(err, "platform.full") {
		t.Errorf("three of two, and one more: %v", err)
	}
	tier("small", "")
	check(hold(w.A, "yes", "west"))
}
