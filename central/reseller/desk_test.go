package reseller_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

var anna = audit.Origin{Actor: audit.Actor{Kind: "staff", ID: "s1", Name: "Anna"}, IP: "192.0.2.1", RequestID: "r1"}

// desk is a desk whose seed writes a mail into the new tenant's schema, with spares ahead.
func desk(t testing.TB, w *tenancytest.World, spares int) *reseller.Desk {
	t.Helper()
	b, err := tenancy.NewBuilder(w.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := (tenancy.Stock{Builder: b}).Fill(t.Context(), spares); err != nil {
		t.Fatal(err)
	}
	return &reseller.Desk{
		Central: w.Central, Platform: "localhost", Claimer: w.Pool, Hold: 24 * time.Hour,
		Seed: func(ctx context.Context, _ tenancy.Tenant, tx *tenancy.Tx, o reseller.Owner) error {
			_, err := tx.NewRaw(`INSERT INTO mails (id, key, template, to_address, subject, state, created_at)
				VALUES ('00000000-0000-0000-0000-000000000001', 'invite', 'invite', ?, ?, 'queued', ?)`, o.Email, o.Name, tx.Now()).Exec(ctx)
			return err
		},
	}
}

func form(key, slug string) reseller.NewReseller {
	return reseller.NewReseller{Key: key, Name: "Comet Hosting", Slug: slug, OwnerName: "Cleo", OwnerEmail: "cleo@comet.test", TrialDays: 14}
}

func trail(t testing.TB, w *tenancytest.World, id tenancy.ID) string {
	t.Helper()
	var said []string
	err := w.Central.View(t.Context(), func(tx *tenancy.CentralTx) error {
		entries, err := audit.List(t.Context(), tx, audit.Filter{TargetKind: "tenant", TargetID: id.String()})
		for _, e := range entries {
			said = append([]string{e.Action + " by " + e.Actor.Name}, said...)
		}
		if err != nil {
			return err
		}
		report, err := audit.Verify(t.Context(), tx)
		if err == nil && !report.Holds() {
			t.Errorf("the trail does not verify: %+v", report)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(said, ", ")
}

func TestCreate(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 2)
	r, err := d.Create(ctx, form("f1", ""), anna)
	if err != nil {
		t.Fatal(err)
	}
	if r.Slug != "comet-hosting" || r.Status != tenancy.Trial || !r.TrialEndsAt.Equal(tenancytest.Start.Add(14*24*time.Hour)) || r.OwnerEmail != "cleo@comet.test" {
		t.Errorf("%+v", r)
	}
	again, err := d.Create(ctx, form("f1", ""), anna)
	if err != nil || again.ID != r.ID {
		t.Errorf("the form sent twice: %v, %v", again.ID, err)
	}
	if got := trail(t, w, r.ID); got != "tenant.created by Anna" {
		t.Errorf("trail: %s", got)
	}
	entries, err := reseller.NewDirectory(w.Central, "localhost").Tenant(ctx, r.ID)
	if err != nil || len(entries) != 1 || entries[0].Host != "comet-hosting.localhost" {
		t.Fatalf("hosts: %v, %v", entries, err)
	}
	var seeded string
	err = w.DB(entries[0].Tenant).View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT to_address FROM mails").Scan(ctx, &seeded)
	})
	if err != nil || seeded != "cleo@comet.test" {
		t.Errorf("seeded %q, %v", seeded, err)
	}
	for _, neighbour := range []tenancy.Tenant{w.A, w.B, w.C} {
		var n int
		err := w.DB(neighbour).View(ctx, func(tx *tenancy.Tx) error { return tx.NewRaw("SELECT count(*) FROM mails").Scan(ctx, &n) })
		if err != nil || n != 0 {
			t.Errorf("%s has %d mails, %v", neighbour.Slug, n, err)
		}
	}
	_, err = d.Create(ctx, form("f2", "comet-hosting"), anna)
	f := fault.From(err)
	if f.Code != "reseller.slug_taken" || !strings.Contains(f.Fields["slug"], "belongs to Comet Hosting since 15 Oct 2026") {
		t.Errorf("the slug again: %+v", f)
	}
}

func TestCreateRefusesJunkAtItsField(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 0)
	for _, test := range []struct {
		name, field string
		spoil       func(*reseller.NewReseller)
	}{
		{"no name", "name", func(n *reseller.NewReseller) { n.Name = " \x00 " }},
		{"a name of a megabyte", "name", func(n *reseller.NewReseller) { n.Name = strings.Repeat("x", 1<<20) }},
		{"a reserved slug", "slug", func(n *reseller.NewReseller) { n.Slug = "console" }},
		{"a slug that begins with a hyphen", "slug", func(n *reseller.NewReseller) { n.Slug = "-a" }},
		{"SQL for a slug", "slug", func(n *reseller.NewReseller) { n.Slug = "a'; DROP TABLE tenants; --" }},
		{"no owner", "owner_name", func(n *reseller.NewReseller) { n.OwnerName = "" }},
		{"half an address", "owner_email", func(n *reseller.NewReseller) { n.OwnerEmail = "cleo@" }},
		{"an address with a NUL", "owner_email", func(n *reseller.NewReseller) { n.OwnerEmail = "\x00" }},
		{"a currency of invention", "currency", func(n *reseller.NewReseller) { n.Currency = "ZZX" }},
		{"a time zone of invention", "time_zone", func(n *reseller.NewReseller) { n.TimeZone = "../../etc/passwd" }},
		{"a language of invention", "locale", func(n *reseller.NewReseller) { n.Locale = "klingon-very-much-so" }},
		{"a trial of a century", "trial_days", func(n *reseller.NewReseller) { n.TrialDays = 36500 }},
		{"no key", "", func(n *reseller.NewReseller) { n.Key = "" }},
	} {
		n := form("junk", "comet")
		test.spoil(&n)
		_, err := d.Create(ctx, n, anna)
		f := fault.From(err)
		if f.Code != "reseller.invalid" || f.Fields[test.field] == "" || len(f.Fields) != 1 {
			t.Errorf("%s: %v %v", test.name, err, f.Fields)
		}
	}
}

// TestTwoWantOneSlug: one wins, the other is told at the field.
func TestTwoWantOneSlug(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 3)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { _, errs[i] = d.Create(ctx, form(fmt.Sprint("form ", i), "contested"), anna) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !fault.Is(err, "reseller.slug_taken") || fault.From(err).Fields["slug"] == "":
			t.Errorf("the loser reads %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestTheTrailIsCompletedAfterAnInterruption(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 1)
	if _, err := d.CompleteTrail(ctx); err != nil {
		t.Fatal(err)
	}
	// The claim as Create makes it, and then the process is gone.
	got, err := w.Pool.Claim(ctx, tenancy.Claim{Key: "staff:s1:f9", Slug: "orphan", Name: "Orphan", OwnerEmail: "o@o.test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Minute)
	for range 2 {
		if _, err := d.CompleteTrail(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if s := trail(t, w, got.ID); s != "tenant.created by (interrupted)" {
		t.Errorf("trail: %s", s)
	}
}

func TestLife(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 1)
	r, err := d.Create(ctx, form("f1", "comet"), anna)
	if err != nil {
		t.Fatal(err)
	}
	why := reseller.Suspension{Reason: "unpaid", Note: "Back soon."}
	status := func() tenancy.Status {
		got, err := d.Get(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	for _, step := range []struct {
		name string
		do   func() error
		code string
		then tenancy.Status
	}{
		{"suspending wants a reason", func() error { return d.Suspend(ctx, r.ID, reseller.Suspension{}, anna) }, "suspension.invalid", tenancy.Trial},
		{"suspended", func() error { return d.Suspend(ctx, r.ID, why, anna) }, "", tenancy.Suspended},
		{"twice is said", func() error { return d.Suspend(ctx, r.ID, why, anna) }, "tenant.unchanged", tenancy.Suspended},
		{"maintenance while suspended", func() error { return d.StartMaintenance(ctx, r.ID, reseller.Suspension{}, anna) }, "", tenancy.Maintenance},
		{"returns to the suspension", func() error { return d.StopMaintenance(ctx, r.ID, anna) }, "", tenancy.Suspended},
		{"there is none to stop", func() error { return d.StopMaintenance(ctx, r.ID, anna) }, "tenant.not_in_maintenance", tenancy.Suspended},
		{"resumed into its trial", func() error { return d.Resume(ctx, r.ID, anna) }, "", tenancy.Trial},
		{"the clock ends the trial", func() error {
			w.Clock.Advance(15 * 24 * time.Hour)
			if n, err := d.EndDueTrials(ctx); err != nil || n != 1 {
				return fmt.Errorf("%d, %w", n, err)
			}
			return nil
		}, "", tenancy.TrialEnded},
		{"and not again", func() error {
			if n, err := d.EndDueTrials(ctx); n != 0 {
				return errors.Join(errors.New("ended again"), err)
			}
			return nil
		}, "", tenancy.TrialEnded},
		{"activated", func() error { return d.Activate(ctx, r.ID, anna) }, "", tenancy.Active},
		{"archiving wants the slug", func() error { return d.Archive(ctx, r.ID, "commet", "", anna) }, "tenant.not_confirmed", tenancy.Active},
		{"not dropped before", func() error { return d.Drop(ctx, r.ID, "comet", anna) }, "tenant.not_archived", tenancy.Active},
		{"archived", func() error { return d.Archive(ctx, r.ID, "comet", "closed", anna) }, "", tenancy.Archived},
		{"held", func() error { return d.Drop(ctx, r.ID, "comet", anna) }, "tenant.on_hold", tenancy.Archived},
		{"taken back", func() error { return d.Resume(ctx, r.ID, anna) }, "", tenancy.Active},
		{"archived again", func() error { return d.Archive(ctx, r.ID, "comet", "", anna) }, "", tenancy.Archived},
		{"dropping wants the slug", func() error { w.Clock.Advance(25 * time.Hour); return d.Drop(ctx, r.ID, "", anna) }, "tenant.not_confirmed", tenancy.Archived},
		{"not while a server runs", func() error {
			_, err := w.Owner.Exec(ctx, `INSERT INTO central.services (tenant_id, service_id, sku, label, platform_id, region, ref, desired, observed, problem, address, began_at, changed_at)
				VALUES ($1, gen_random_uuid(), 'vps-1', '', gen_random_uuid(), 'ams', '1', 'active', 'active', '', '', now(), now())`, r.ID.Number())
			if err != nil {
				return err
			}
			return d.Drop(ctx, r.ID, "comet", anna)
		}, "tenant.services_run", tenancy.Archived},
		{"asked for", func() error {
			if _, err := w.Owner.Exec(ctx, "UPDATE central.services SET ended_at = now() WHERE tenant_id = $1", r.ID.Number()); err != nil {
				return err
			}
			return d.Drop(ctx, r.ID, "comet", anna)
		}, "", tenancy.Archived},
		{"no way back now", func() error { return d.Resume(ctx, r.ID, anna) }, "tenant.dropping", tenancy.Archived},
		{"nor asked twice", func() error { return d.Drop(ctx, r.ID, "comet", anna) }, "tenant.dropping", tenancy.Archived},
		{"carried out, and once more after a crash", func() error {
			for range 2 {
				if err := d.CarryOut(ctx, reseller.DropJob{Tenant: r.ID}, dropper{w}); err != nil {
					return err
				}
			}
			return nil
		}, "", tenancy.Dropped},
		{"gone", func() error { return d.Rename(ctx, r.ID, "Comet", anna) }, "tenant.dropped", tenancy.Dropped},
		{"and cannot be archived", func() error { return d.Archive(ctx, r.ID, "comet", "", anna) }, "tenant.dropped", tenancy.Dropped},
	} {
		err := step.do()
		if step.code == "" && err != nil || step.code != "" && !fault.Is(err, step.code) {
			t.Fatalf("%s: %v, want %q", step.name, err, step.code)
		}
		if got := status(); got != step.then {
			t.Fatalf("%s: is %s, want %s", step.name, got, step.then)
		}
	}
	want := "tenant.created by Anna, tenant.suspended by Anna, tenant.maintenance_started by Anna, tenant.maintenance_stopped by Anna, " +
		"tenant.resumed by Anna, tenant.trial_ended by scheduler, tenant.activated by Anna, tenant.archived by Anna, tenant.resumed by Anna, " +
		"tenant.archived by Anna, tenant.drop_requested by Anna, tenant.dropped by reseller desk"
	if got := trail(t, w, r.ID); got != want {
		t.Errorf("trail: %s", got)
	}
	for _, neighbour := range []tenancy.Tenant{w.A, w.B, w.C} {
		if got, err := d.Get(ctx, neighbour.ID); err != nil || got.Status != tenancy.Active {
			t.Errorf("%s: %s, %v", neighbour.Slug, got.Status, err)
		}
	}
}

type dropper struct{ w *tenancytest.World }

func (d dropper) Drop(ctx context.Context, id tenancy.ID, now time.Time) error {
	return tenancy.Drop(ctx, d.w.Owner, id, tenancy.DropOptions{Now: now, Export: func(context.Context) error { return nil }})
}

func TestSettle(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 0)
	for range 2 { // the second time changes nothing
		if err := d.Rename(ctx, w.A.ID, " Alpha  Cloud ", anna); err != nil {
			t.Fatal(err)
		}
		if err := d.SetPolicy(ctx, w.A.ID, reseller.Policy{RequireTOTP: true}, anna); err != nil {
			t.Fatal(err)
		}
	}
	a, err := d.Get(ctx, w.A.ID)
	if err != nil || a.Name != "Alpha Cloud" || !a.RequireTOTP {
		t.Errorf("%+v, %v", a, err)
	}
	if got := trail(t, w, w.A.ID); got != "tenant.renamed by Anna, tenant.policy_changed by Anna" {
		t.Errorf("trail: %s", got)
	}
	if b, err := d.Get(ctx, w.B.ID); err != nil || b.RequireTOTP || b.Name != "beta" {
		t.Errorf("the neighbour: %+v, %v", b, err)
	}
	nobody, _ := tenancy.NumberedID(4_000_000)
	if err := d.Rename(ctx, nobody, "x", anna); !fault.Is(err, "tenant.unknown") {
		t.Errorf("nobody: %v", err)
	}
}

func TestListAndFigures(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := desk(t, w, 0)
	addDomain(t, w, w.B, "www.beta.test")
	addDomain(t, w, w.C, "all%_sure.gamma.test")
	addDomain(t, w, w.C, "www.gamma.test")
	exec(t, w.Owner, "UPDATE central.domains SET state = 'failing' WHERE host = 'www.beta.test'")
	exec(t, w.Owner, "UPDATE central.tenants SET status = 'suspended' WHERE id = $1", w.C.ID.Number())
	for _, test := range []struct {
		name   string
		filter reseller.Filter
		want   string
		total  int
	}{
		{"by name", reseller.Filter{Sort: "name"}, "alpha beta gamma", 3},
		{"backwards, a page of two", reseller.Filter{Sort: "slug", Desc: true, Limit: 2}, "gamma beta", 3},
		{"the second page", reseller.Filter{Sort: "slug", Desc: true, Limit: 2, Offset: 2}, "alpha", 3},
		{"found by its domain", reseller.Filter{Text: "WWW.beta"}, "beta", 1},
		{"found by its number", reseller.Filter{Text: w.A.ID.String()}, "alpha", 1},
		{"found by the owner", reseller.Filter{Text: "owner@gamma"}, "gamma", 1},
		{"a percent sign is one", reseller.Filter{Text: "l%_s"}, "gamma", 1},
		{"and no wildcard", reseller.Filter{Text: "%"}, "gamma", 1},
		{"by status", reseller.Filter{Status: tenancy.Suspended}, "gamma", 1},
		{"a status of invention", reseller.Filter{Status: "\x00'"}, "", 0},
		{"junk", reseller.Filter{Text: "\xff\x00\\", Sort: "; DROP", Offset: -5, Limit: 1 << 30}, "", 0},
		{"most domains first", reseller.Filter{Sort: "domains", Text: "a", Desc: true, Limit: 2}, "gamma beta", 3},
		{"behind", reseller.Filter{Behind: 1}, "", 0},
	} {
		rows, total, err := d.List(ctx, test.filter)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.Slug)
			if r.Slug == "beta" && (r.Domains != 1 || r.FailingDomains != 1) {
				t.Errorf("%s: beta has %d domains, %d failing", test.name, r.Domains, r.FailingDomains)
			}
		}
		if strings.Join(got, " ") != test.want || total != test.total {
			t.Errorf("%s: %v of %d, want %s of %d", test.name, got, total, test.want, test.total)
		}
	}
	f, err := d.Figures(ctx, w.B.ID)
	if err != nil || len(f.Domains) != 1 || !f.Domains[0].Failing() || f.Tables < 10 || f.SizeBytes < 8192*10 || f.Lane != w.B.ID.Lane(tenancytest.Lanes) {
		t.Errorf("figures: %+v, %v", f, err)
	}
}
