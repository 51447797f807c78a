package twinhouse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/cmd/ezscale/twinhouse"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/twin"
)

func TestATwinHasTheShopAndNothingThatIsSecret(t *testing.T) {
	e := open(t, 5)
	made, tenant := e.twin(e.A, twins.Options{Seed: 1})
	if made.State != twins.Ready || !tenant.Sandbox || tenant.ID == e.A.ID || !made.NowAt.Equal(e.Clock.Now()) {
		t.Fatalf("%+v of tenant %+v", made, tenant)
	}
	in := tenant.ID.Schema()
	if n := scan[int](e, "SELECT count(*) FROM "+in+".subscriptions"); n != 5 {
		t.Errorf("%d subscriptions, want 5", n)
	}
	for table, want := range map[string]int{"logins": 0, "single_use_links": 1, "api_tokens": 0, "webhook_endpoints": 0, "recovery_codes": 0, "audit_entries": 0, "sandbox_servers": 5} {
		if n := scan[int](e, "SELECT count(*) FROM "+in+"."+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
	for what, query := range map[string]string{
		"a password":        "SELECT count(*) FROM %s.people WHERE password_hash IS NOT NULL OR totp_secret IS NOT NULL",
		"a customer's name": "SELECT count(*) FROM %s.people WHERE world = 'customer' AND (name LIKE 'Real%%' OR email LIKE 'real%%')",
		"an address":        "SELECT count(*) FROM %s.accounts WHERE billing::text LIKE '%%Real%%' OR name LIKE 'Real%%'",
		"a real server":     "SELECT count(*) FROM %s.services WHERE ref LIKE 'vf-%%' OR platform_id = '00000000-0000-7000-8000-0000000000cc' OR sealed_credentials IS NOT NULL OR ssh_keys::text LIKE '%%ssh%%' OR name LIKE '%%Real%%'",
		"a real card":       "SELECT count(*) FROM %s.payment_methods WHERE gateway <> 'sandbox' OR ref LIKE 'pm_%%' OR label LIKE 'Visa%%'",
		"a gateway's keys":  "SELECT count(*) FROM %s.gateways WHERE sealed_settings IS NOT NULL OR code <> 'sandbox' AND state = 'on'",
		"a visitor's place": "SELECT count(*) FROM %s.orders WHERE ip <> ''",
	} {
		if n := scan[int](e, fmt.Sprintf(query, in)); n != 0 {
			t.Errorf("%d rows of the twin hold %s", n, what)
		}
	}
	if team := scan[string](e, "SELECT email FROM "+in+".people WHERE world = 'reseller'"); team != "team@alpha.test" {
		t.Errorf("the team is %q", team)
	}
	kept, other := e.twin(e.A, twins.Options{Seed: 1, Names: true})
	if n := scan[int](e, "SELECT count(*) FROM "+other.ID.Schema()+".people WHERE name LIKE 'Real Person%' AND password_hash IS NULL"); n != 5 {
		t.Errorf("with names: %d of 5 people have theirs (%s)", n, kept.Problem)
	}
}

func TestATwinLivesByItsOwnClockAndTouchesNobodyElse(t *testing.T) {
	e := open(t, 6)
	made, tenant := e.twin(e.A, twins.Options{Seed: 3})
	before := map[tenancy.ID]string{}
	picture := func(id tenancy.ID) string {
		s := id.Schema()
		return scan[string](e, "SELECT concat_ws('|', (SELECT string_agg(x::text, ';' ORDER BY x::text) FROM "+s+".subscriptions x), (SELECT count(*) FROM "+s+".invoices), (SELECT count(*) FROM "+s+".payments), (SELECT string_agg(x::text, ';' ORDER BY x::text) FROM "+s+".services x), (SELECT count(*) FROM "+s+".mails), (SELECT count(*) FROM "+s+".timeline))")
	}
	for _, who := range []tenancy.Tenant{e.A, e.B} {
		before[who.ID] = picture(who.ID)
	}
	lived := e.advance(made.ID, 65*24*time.Hour)
	if want := made.NowAt.Add(65 * 24 * time.Hour); !lived.NowAt.Equal(want) || !lived.GoalAt.IsZero() || lived.Failures != 0 {
		t.Fatalf("the clock stands at %s, want %s; %d failures: %s", lived.NowAt, want, lived.Failures, lived.Problem)
	}
	r, err := twin.Read(t.Context(), e.house.Pool.Bind(tenant), made.BeganAt)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sum.Invoices < 12 || r.Sum.Invoiced.Minor != int64(r.Sum.Invoices)*999 || r.Sum.Received.Minor == 0 || r.Running != 6 {
		t.Errorf("%+v", r)
	}
	for _, who := range []tenancy.Tenant{e.A, e.B} {
		if now := picture(who.ID); now != before[who.ID] {
			t.Errorf("tenant %s has changed", who.ID)
		}
	}
	if n := scan[int](e, "SELECT count(*) FROM river.river_job WHERE (metadata->>'tenant')::bigint = $1 AND (queue <> $2 OR state NOT IN ('pending'))", tenant.ID.Number(), "twin-"+tenant.ID.String()); n != 0 {
		t.Errorf("%d of the twin's jobs are where a worker would take them", n)
	}
	if n := scan[int](e, "SELECT count(*) FROM river.river_job WHERE (metadata->>'tenant')::bigint IN ($1, $2)", e.A.ID.Number(), e.B.ID.Number()); n != 0 {
		t.Errorf("%d jobs were made for the shops", n)
	}
	if n := scan[int](e, "SELECT count(*) FROM "+tenant.ID.Schema()+".mails WHERE state = 'queued'"); n != 0 {
		t.Errorf("%d mails wait", n)
	}
	if n := scan[int](e, "SELECT count(*) FROM "+tenant.ID.Schema()+".mails WHERE state = 'sent' AND sealed_body IS NOT NULL"); n < 12 {
		t.Errorf("%d mails can be read in the trap", n)
	}
	for _, table := range []string{"services", "tenant_figures", "alerts"} {
		if n := scan[int](e, "SELECT count(*) FROM central."+table+" WHERE tenant_id = $1", tenant.ID.Number()); n != 0 {
			t.Errorf("the platform sees %d %s of a twin", n, table)
		}
	}
	// The program's own clock has nothing to do with it.
	var inTx time.Time
	must(t, e.house.Pool.Bind(tenant).View(t.Context(), func(tx *tenancy.Tx) error { inTx = tx.Now(); return nil }))
	if !inTx.Equal(lived.NowAt) {
		t.Errorf("a transaction's time is %s, the clock's %s", inTx, lived.NowAt)
	}
}

func TestNoLaneReachesATwinAndItsOriginal(t *testing.T) {
	e := open(t, 1)
	_, tenant := e.twin(e.A, twins.Options{Seed: 1})
	err := e.house.Pool.Bind(tenant).View(t.Context(), func(tx *tenancy.Tx) error {
		var n int
		return tx.NewRaw("SELECT count(*) FROM "+e.A.ID.Schema()+".subscriptions").Scan(t.Context(), &n)
	})
	if !tenancy.IsDenied(err) {
		t.Errorf("the twin reads its original: %v", err)
	}
	err = e.house.Pool.Bind(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		var n int
		return tx.NewRaw("SELECT count(*) FROM "+tenant.ID.Schema()+".subscriptions").Scan(t.Context(), &n)
	})
	if !tenancy.IsDenied(err) {
		t.Errorf("the original reads its twin: %v", err)
	}
	if _, err := e.house.Pool.Copy(t.Context(), e.A, e.B, twin.Making{}.Shape, func(*tenancy.Tx) error { return nil }); err == nil {
		t.Error("a shop that is no sandbox was made a copy")
	}
	if _, err := e.house.Pool.Claim(t.Context(), tenancy.Claim{Key: "twin:" + e.A.Slug, Slug: "forged", Name: "Forged", OwnerEmail: "x@example.com"}, nil); err == nil {
		t.Error("a twin was claimed that nobody asked for")
	}
}

func TestHowManyTwinsAndWhose(t *testing.T) {
	e := open(t, 1)
	desk, ctx := e.house.Desk, t.Context()
	first, tenant := e.twin(e.A, twins.Options{Seed: 1})
	if _, err := desk.Of(ctx, e.B.ID, first.ID); !fault.Is(err, "twin.unknown") {
		t.Errorf("another shop sees it: %v", err)
	}
	for name, do := range map[string]func() error{
		"advance": func() error { return desk.Advance(ctx, e.B.ID, first.ID, first.NowAt.Add(time.Hour), e.by) },
		"drop":    func() error { return desk.Drop(ctx, e.B.ID, first.ID, e.by) },
		"stop":    func() error { return desk.Halt(ctx, e.B.ID, first.ID, e.by) },
	} {
		if err := do(); !fault.Is(err, "twin.unknown") {
			t.Errorf("another shop may %s: %v", name, err)
		}
	}
	if again, err := desk.Ask(ctx, e.A.ID, "x", twins.Options{}, first.ID, e.by); err != nil || again.ID != first.ID {
		t.Errorf("the same request again: %s %v", again.ID, err)
	}
	for name, o := range map[string]twins.Options{"a share": {Short: 101}, "less than none": {Expired: -1}, "a raise": {Raise: -95}, "days": {Days: 999}} {
		if _, err := desk.Ask(ctx, e.A.ID, "x", o, newID(), e.by); !fault.Is(err, "twin.invalid") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := desk.Ask(ctx, tenant.ID, "x", twins.Options{}, newID(), e.by); !fault.Is(err, "twin.of_a_twin") {
		t.Errorf("a twin of a twin: %v", err)
	}
	for range twins.Limit - 1 {
		_, err := desk.Ask(ctx, e.A.ID, "more", twins.Options{}, newID(), e.by)
		must(t, err)
	}
	if _, err := desk.Ask(ctx, e.A.ID, "one too many", twins.Options{}, newID(), e.by); !fault.Is(err, "twin.limit") {
		t.Errorf("one too many: %v", err)
	}
	if err := desk.Advance(ctx, e.A.ID, first.ID, first.NowAt.AddDate(9, 0, 0), e.by); !fault.Is(err, "twin.too_far") {
		t.Errorf("nine years: %v", err)
	}

	must(t, desk.Drop(ctx, e.A.ID, first.ID, e.by))
	e.work(first.ID)
	gone, _ := e.get(first.ID)
	if left := scan[int](e, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", tenant.ID.Schema()); gone.State != twins.Dropped || left != 0 {
		t.Errorf("it is %s, and %d schemas are left", gone.State, left)
	}
	if n := scan[int](e, "SELECT count(*) FROM central.usage_events WHERE tenant_id = $1", tenant.ID.Number()); n != 0 {
		t.Errorf("%d events of it are left", n)
	}
}

func TestATwinIsDroppedWhenItsTimeIsOver(t *testing.T) {
	e := open(t, 1)
	made, _ := e.twin(e.A, twins.Options{Seed: 1, Days: 3})
	e.Clock.Advance(3 * 24 * time.Hour)
	all, err := e.house.Desk.Unfinished(t.Context())
	if err != nil || len(all) != 1 || all[0].State != twins.Dropping {
		t.Fatalf("%+v, %v", all, err)
	}
	e.work(made.ID)
	if gone, _ := e.get(made.ID); gone.State != twins.Dropped {
		t.Errorf("it is %s", gone.State)
	}
}

// figures are what a twin's time came to, in one line.
func (e *estate) figures(made twins.Twin) string {
	e.t.Helper()
	_, tenant := e.get(made.ID)
	r, err := twin.Read(context.Background(), e.house.Pool.Bind(tenant), made.BeganAt)
	must(e.t, err)
	months := make([]string, len(r.Months))
	for i, m := range r.Months {
		months[i] = fmt.Sprintf("%d %d %d %d %d %d %d", m.Invoices, m.Invoiced.Minor, m.Received.Minor, m.Refunded.Minor, m.Declined, m.Suspended, m.Ended)
	}
	in := tenant.ID.Schema()
	return fmt.Sprintf("%s; running %d, open %d, services %s, mails %d", strings.Join(months, ", "), r.Running, r.Open.Minor,
		scan[string](e, "SELECT string_agg(id || observed || desired, ' ' ORDER BY id) FROM "+in+".services"), scan[int](e, "SELECT count(*) FROM "+in+".mails"))
}

// A worker that dies anywhere on the way changes nothing of how it ends.
func TestWhoeverIsKilledOnTheWayChangesNothing(t *testing.T) {
	e := open(t, 12)
	o := twins.Options{Seed: 11, Short: 30, Expired: 8}
	calm, _ := e.twin(e.A, o)
	killed, _ := e.twin(e.A, o)
	e.advance(calm.ID, 70*24*time.Hour)
	must(t, e.house.Desk.Advance(t.Context(), e.A.ID, killed.ID, killed.NowAt.Add(70*24*time.Hour), e.by))
	deaths := 0
	for try := 1; ; try++ {
		ctx, die := context.WithTimeout(t.Context(), time.Duration(30+25*try)*time.Millisecond)
		err := e.house.Work(ctx, e.Central, twins.WorkJob{Twin: killed.ID})
		die()
		if x, _ := e.get(killed.ID); !x.Advancing() {
			break
		}
		if deaths++; deaths > 200 {
			t.Fatalf("it comes to no end: %v", err)
		}
	}
	// Who died at the last moment left a service leased, which is nobody else's before the
	// twin's clock has passed that.
	for _, x := range []twins.Twin{calm, killed} {
		e.advance(x.ID, 5*time.Minute)
	}
	want, got := e.figures(calm), e.figures(killed)
	if deaths < 5 || got != want {
		t.Errorf("after %d deaths:\n got %s\nwant %s", deaths, got, want)
	}
	if !strings.Contains(want, "suspended") && !strings.Contains(want, "terminated") {
		t.Errorf("nobody failed to pay, so little was tried: %s", want)
	}
}

// What is done for many at once comes to what is done one by one.
func TestManyAtOnceComeToTheSameAsOneByOne(t *testing.T) {
	e := open(t, 30)
	o := twins.Options{Seed: 5, Short: 20, Expired: 5}
	together, _ := e.twin(e.A, o)
	alone, _ := e.twin(e.A, o)
	e.advance(together.ID, 45*24*time.Hour)
	e.house.Workers = twinhouse.Works(e.ring, true)
	e.advance(alone.ID, 45*24*time.Hour)
	if got, want := e.figures(together), e.figures(alone); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for _, x := range []twins.Twin{together, alone} {
		_, tenant := e.get(x.ID)
		must(t, e.house.Pool.Bind(tenant).View(t.Context(), func(tx *tenancy.Tx) error {
			report, err := invoicing.Books(t.Context(), tx)
			if err == nil && !report.Holds() {
				t.Errorf("the books of %s: %+v", tenant.Slug, report)
			}
			return err
		}))
	}
}
