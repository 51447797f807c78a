package wholesale_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// ranHere is what tenants say ran.
type ranHere map[tenancy.ID][]wholesale.Ran

func (r ranHere) Ran(_ context.Context, id tenancy.ID, from, to time.Time) (some []wholesale.Ran, _ error) {
	for _, x := range r[id] {
		if x.BeganAt.Before(to) && (x.EndedAt.IsZero() || x.EndedAt.After(from)) {
			some = append(some, x)
		}
	}
	return some, nil
}

// serve tells of a service in all three places.
func serve(t testing.TB, w *tenancytest.World, ran ranHere, who tenancy.Tenant, nth int, sku, from, to string) uuid.UUID {
	t.Helper()
	id := uuid.NewSHA1(uuid.Nil, []byte(fmt.Sprint(who.ID, nth)))
	subject := "service/" + id.String()
	x := wholesale.Ran{ID: id, SKU: sku, BeganAt: on(t, from)}
	use(t, w, who, "start", subject, sku, 1, from+" 00:00")
	s := tenancy.ServiceShown{ID: id, SKU: sku, Desired: "active", Observed: "active", BeganAt: &x.BeganAt, ChangedAt: x.BeganAt}
	if to != "" {
		x.EndedAt = on(t, to)
		s.EndedAt = &x.EndedAt
		use(t, w, who, "stop", subject, sku, 1, to+" 00:00")
	}
	must(t, w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error { return tx.ShowService(t.Context(), s) }))
	ran[who.ID] = append(ran[who.ID], x)
	return id
}

func TestTheAuditFindsWhatIsInjectedAndNothingElse(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d, ran := book(t, w), ranHere{}
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: "EUR", Price: "4.50", From: on(t, "2026-09-11")}, anna))
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-05")}, anna)) // a trial before
	for nth, who := range []tenancy.Tenant{w.A, w.B} {
		serve(t, w, ran, who, 10*nth, "vps-s", "2026-08-01", "")
		serve(t, w, ran, who, 10*nth+1, "vps-m", "2026-09-03", "2026-09-20")
		serve(t, w, ran, who, 10*nth+2, "vps-s", "2026-08-01", "2026-08-30")
	}
	sep := month(t, "2026-09")
	if _, err := d.Audit(ctx, sep, ran); !fault.Is(err, "wholesale.not_billed") {
		t.Fatalf("before the run: %v", err)
	}
	w.Clock.Set(on(t, "2026-10-02"))
	mustRun(t, d, "2026-09")
	clean, err := d.Audit(ctx, sep, ran)
	if err != nil || len(clean.Differences) > 0 || clean.Tenants != 2 || clean.Services != 4 || clean.Pending != 0 {
		t.Fatalf("clean: %+v, %v", clean, err)
	}
	for _, test := range []struct {
		name, kind string
		break_     func()
	}{
		{"a service nobody bills", "unbilled", func() {
			ran[w.A.ID] = append(ran[w.A.ID], wholesale.Ran{ID: uuid.New(), SKU: "vps-s", BeganAt: on(t, "2026-09-02")})
		}},
		{"a service that is billed and is not", "overbilled", func() { ran[w.B.ID] = ran[w.B.ID][1:] }},
		{"one that ended sooner", "times", func() { ran[w.A.ID][0].EndedAt = on(t, "2026-09-09") }},
		{"one that is another", "sku", func() { ran[w.A.ID][0].SKU = "vps-m" }},
		{"a line of another amount", "amount", func() {
			ownerExec(t, w, "UPDATE central.wholesale_lines SET net_minor = net_minor + 1 WHERE kind = 'service' AND sku = 'vps-m'")
		}},
		{"evidence that is gone", "amount", func() {
			ownerExec(t, w, "DELETE FROM central.wholesale_evidence WHERE subject LIKE 'service/%' AND to_at = '2026-09-20'")
		}},
		{"a projection that is stale", "projection", func() { ownerExec(t, w, "UPDATE central.services SET ended_at = NULL WHERE ended_at = '2026-09-20'") }},
	} {
		saved := ranHere{w.A.ID: slices.Clone(ran[w.A.ID]), w.B.ID: slices.Clone(ran[w.B.ID])}
		test.break_()
		got, err := d.Audit(ctx, sep, ran)
		if err != nil || !slices.ContainsFunc(got.Differences, func(x wholesale.Difference) bool { return x.Kind == test.kind }) {
			t.Errorf("%s is not found as %s: %+v, %v", test.name, test.kind, got.Differences, err)
		}
		ran = saved
	}
}

func ownerExec(t testing.TB, w *tenancytest.World, sql string) {
	t.Helper()
	_, err := w.Owner.Exec(t.Context(), sql)
	must(t, err)
}

// What was told late is pending until the next run adjusts it, and then agrees.
func TestTheAuditWaitsForAdjustments(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d, ran := book(t, w), ranHere{}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	serve(t, w, ran, w.A, 0, "vps-s", "2026-08-01", "")
	w.Clock.Set(on(t, "2026-10-02"))
	mustRun(t, d, "2026-09")
	serve(t, w, ran, w.A, 1, "vps-s", "2026-09-10", "2026-09-12")
	got, err := d.Audit(ctx, month(t, "2026-09"), ran)
	if err != nil || len(got.Differences) > 0 || got.Pending != 1 {
		t.Errorf("before: %+v, %v", got, err)
	}
	w.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, d, "2026-10")
	for _, m := range []string{"2026-09", "2026-10"} {
		got, err := d.Audit(ctx, month(t, m), ran)
		if err != nil || len(got.Differences) > 0 || got.Pending != 0 {
			t.Errorf("%s after: %+v, %v", m, got, err)
		}
	}
}

// Each reseller is told of each invoice once, and cards are charged once.
func TestAnnounce(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d, box := book(t, w), outbox(t)
	d.Mail, d.PartnerURL = box, "https://partners.example"
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	}
	ownerExec(t, w, fmt.Sprintf(`INSERT INTO central.reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at)
		VALUES (%d, '{"name": "Ada", "email": "books@alpha.test"}', '', 'cus_1', 'pm_1', 'Visa', now())`, w.A.ID.Number()))
	w.Clock.Set(on(t, "2026-10-01").Add(5 * time.Hour))
	must(t, d.Due(ctx)) // too soon after the month's end
	if n := count(t, w, "SELECT count(*) FROM wholesale_runs WHERE period = '2026-09'"); n != 0 {
		t.Error("billed before what happened last could arrive")
	}
	w.Clock.Set(on(t, "2026-10-01").Add(7 * time.Hour))
	for range 2 {
		must(t, d.Due(ctx))
		must(t, d.Announce(ctx, "2026-09"))
	}
	if n := count(t, w, "SELECT count(*) FROM mails WHERE template = 'wholesale_invoice'"); n != 2 {
		t.Errorf("%d mails", n)
	}
	if n := count(t, w, "SELECT count(*) FROM mails WHERE to_address LIKE '%books@alpha.test%'"); n != 1 {
		t.Errorf("%d mails to the reseller's book keeper", n)
	}
	var jobs int64
	must(t, w.Owner.QueryRow(ctx, "SELECT count(*) FROM river.river_job WHERE kind = 'wholesale.charge'").Scan(&jobs))
	if jobs != 1 {
		t.Errorf("%d charges", jobs)
	}
	w.Clock.Set(on(t, "2026-12-03"))
	must(t, d.Due(ctx)) // two months at once
	if n := count(t, w, "SELECT count(*) FROM wholesale_invoices"); n != 6 {
		t.Errorf("%d invoices", n)
	}
}
