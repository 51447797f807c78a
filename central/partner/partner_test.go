package partner_test

import (
	"context"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/partner"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var by = audit.Origin{Actor: audit.System("test")}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func outbox(t testing.TB) *mail.Outbox {
	t.Helper()
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	return mail.NewOutbox(ring)
}

// person is somebody of the partner centre.
func person(t testing.TB, w *tenancytest.World, email string) (p identity.Person) {
	t.Helper()
	must(t, w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) (err error) {
		p, err = identity.People{World: identity.Partner}.Add(t.Context(), tx, identity.NewPerson{Email: email, Name: "Nora", Role: identity.PartnerOwner, Verified: true},
			"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
		return err
	}))
	return p
}

func count(t testing.TB, w *tenancytest.World, sql string, args ...any) (n int) {
	t.Helper()
	must(t, w.Owner.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// dying is a mailer that ends the request in the middle, as a crash does.
type dying struct{ partner.Mailer }

func (d *dying) Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error {
	if d.Mailer == nil {
		return context.Canceled
	}
	return d.Mailer.Enqueue(ctx, tx, m)
}

// A request that dies after the shop was made, and the job that finishes it twice, come to
// one shop of one owner, one letter and one alert; it is billed from the end of its trial
// on, by the lowest tier of its currency.
func TestAShopWhoseRequestDiedIsFinishedOnce(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	builder, err := tenancy.NewBuilder(w.DSN)
	must(t, err)
	t.Cleanup(builder.Close)
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: w.DSN, Lanes: tenancytest.Lanes, ConnsPerLane: 2, Clock: w.Clock.Now, Cold: builder})
	must(t, err)
	t.Cleanup(pool.Close)
	book, from := &wholesale.Desk{Central: w.Central}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tier := range []wholesale.NewTier{{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "10"}, {Tier: "start", Currency: "EUR", Name: "Start", Fee: "9", Percent: "0"}, {Tier: "cheap", Currency: "USD", Name: "Cheap", Fee: "1", Percent: "0"}} {
		tier.From = from
		must(t, book.SetTier(ctx, tier, by))
	}
	seed := func(ctx context.Context, _ tenancy.Tenant, tx *tenancy.Tx, o reseller.Owner) error {
		_, err := identity.People{World: identity.Reseller}.Add(ctx, tx, identity.NewPerson{Name: o.Name, Email: o.Email, Role: identity.ResellerOwner, Verified: o.Hash != ""}, o.Hash)
		return err
	}
	box := &dying{}
	d := &partner.Desk{Central: w.Central, Mail: box, Resellers: &reseller.Desk{Central: w.Central, Platform: "localhost", Claimer: pool, Seed: seed}}
	nora := person(t, w, "nora@quist.test")
	asked := partner.Application{Shop: "Quist", Slug: "quist", Currency: "EUR", Country: "SE"}
	if _, err := d.Open(ctx, nora.ID, asked, "form-1", by); err == nil {
		t.Fatal("the request was to die")
	}
	if n := count(t, w, "SELECT count(*) FROM river.river_job WHERE kind = 'partner.open'"); n != 1 {
		t.Fatalf("%d jobs see to it", n)
	}
	box.Mailer = outbox(t)
	for range 2 {
		must(t, d.Finish(ctx, w.Central, partner.OpenJob{Person: nora.ID, Key: "form-1", Asked: asked}))
	}
	shops, err := d.Shops(ctx, nora.ID)
	if err != nil || len(shops) != 1 || shops[0].Host != "quist.localhost" || shops[0].Until().IsZero() {
		t.Fatalf("shops: %+v, %v", shops, err)
	}
	id := shops[0].ID.Number()
	for what, sql := range map[string]string{
		"terms":   "SELECT count(*) FROM central.tenant_terms x JOIN central.tenants t ON t.id = x.tenant_id AND t.trial_ends_at = x.valid_from WHERE x.tenant_id = $1 AND x.tier = 'start' AND x.currency = 'EUR'",
		"profile": "SELECT count(*) FROM central.reseller_profiles WHERE tenant_id = $1 AND billing->>'country' = 'SE'",
		"link":    "SELECT count(*) FROM central.partners WHERE tenant_id = $1",
		"alert":   "SELECT count(*) FROM central.alerts WHERE tenant_id = $1 AND kind = 'reseller.new'",
		"letter":  "SELECT count(*) FROM central.mails m WHERE $1::bigint > 0 AND m.template = 'partner_welcome'",
	} {
		if n := count(t, w, sql, id); n != 1 {
			t.Errorf("%s: %d", what, n)
		}
	}
	// The address is taken now; somebody else's job for it does not fail for ever, and opens nothing.
	olaf := person(t, w, "olaf@quist.test")
	must(t, d.Finish(ctx, w.Central, partner.OpenJob{Person: olaf.ID, Key: "form-2", Asked: asked}))
	if shops, err := d.Shops(ctx, olaf.ID); err != nil || len(shops) != 0 {
		t.Errorf("another's shop: %+v, %v", shops, err)
	}
	if err := d.Check(ctx, &asked); !fault.Is(err, "application.invalid") || fault.From(err).Fields["slug"] != "quist.localhost is taken. Choose another." {
		t.Errorf("a taken address: %v", err)
	}
}

// Who speaks for the reseller is told of its arrears, and nobody else; staff are when one
// begins, not when it ends.
func TestArrearsAreToldToWhomTheyConcern(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	box := outbox(t)
	pia, paul, bea, gone := person(t, w, "pia@alpha.test"), person(t, w, "paul@alpha.test"), person(t, w, "bea@beta.test"), person(t, w, "gone@alpha.test")
	must(t, w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		for _, p := range []identity.Person{pia, paul, gone} {
			must(t, wholesale.Link(ctx, tx, p.ID, w.A.ID))
		}
		_, err := tx.NewRaw("UPDATE people SET disabled_at = ? WHERE id = ?", tx.Now(), gone.ID).Exec(ctx)
		must(t, err)
		return wholesale.Link(ctx, tx, bea.ID, w.B.ID)
	}))
	debtor := reseller.Debtor{ID: w.A.ID, Name: w.A.Name, Due: w.Clock.Now().AddDate(0, 0, -8)}
	tell := func(to tenancy.Restriction) {
		must(t, w.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return partner.TellOfArrears(ctx, tx, box, debtor, to) }))
	}
	tell(tenancy.NoNewSales)
	tell(tenancy.NoNewSales) // the same change told again
	for email, want := range map[string]int{"pia@alpha.test": 1, "paul@alpha.test": 1, "bea@beta.test": 0, "gone@alpha.test": 0} {
		if n := count(t, w, "SELECT count(*) FROM central.mails WHERE template = 'reseller_arrears' AND to_address = $1", email); n != want {
			t.Errorf("%s got %d letters, want %d", email, n, want)
		}
	}
	w.Clock.Set(w.Clock.Now().Add(time.Hour))
	debtor.Due = time.Time{}
	tell(tenancy.Unrestricted)
	if n := count(t, w, "SELECT count(*) FROM central.alerts WHERE kind = 'reseller.arrears' AND tenant_id = $1", w.A.ID.Number()); n != 1 {
		t.Errorf("%d alerts of one that began and ended", n)
	}
	if n := count(t, w, "SELECT count(*) FROM central.mails WHERE template = 'reseller_arrears'"); n != 4 {
		t.Errorf("%d letters of a beginning and an end to two people", n)
	}
}
