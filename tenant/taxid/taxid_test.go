package taxid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/taxid"
	"github.com/ezscale/ezscale/tenant/taxid/vies"
	"github.com/ezscale/ezscale/tenant/taxid/vieslab"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "olga", Name: "Olga"}}

func ring(t testing.TB) *secrets.Keyring {
	t.Helper()
	key, err := secrets.NewKey("k1")
	must(t, err)
	r, err := secrets.Parse(key)
	must(t, err)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A number counts by its form during an outage, is confirmed with a consultation number,
// asked about again after a while and at an order, and once it is refused the team is
// told and VAT is charged; of two shops only the one that is looked after asks.
func TestNumbersAreAskedAboutAndNobodyWaits(t *testing.T) {
	ctx := t.Context()
	w := tenancytest.New(t)
	register := &vieslab.Lab{}
	server := httptest.NewServer(register)
	defer server.Close()
	desk := &taxid.Desk{Register: vies.Client{URL: server.URL, HTTP: server.Client()}, Mail: mail.NewOutbox(ring(t))}
	const number = "FR12345678901"
	id := uuid.New()
	db := w.DB(w.A)
	for _, one := range []*tenancy.DB{db, w.DB(w.B)} {
		b := settings.DefaultBilling()
		b.Company, b.Country, b.TaxID = "Alpha GmbH", "DE", "DE123456789"
		must(t, settings.SaveBilling(ctx, one, b, olga))
		must(t, one.Update(ctx, func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Zoé', 'EUR', ?, ?)`, id, tx.Now(), tx.Now()).Exec(ctx)
			return err
		}))
		must(t, account.SaveBillTo(ctx, one, id, account.BillTo{Kind: "business", TaxID: number, Address: account.Address{Name: "Zoé", Company: "Zoé SARL", Line1: "Rue 1", City: "Paris", Country: "FR"}}, olga))
	}
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', 'rita@example.org', 'rita@example.org', 'Rita', 'owner', ?, ?)`, uuid.New(), tx.Now(), tx.Now()).Exec(ctx)
		return err
	}))
	look := func(of *tenancy.DB) (p account.Party, tax int64) {
		must(t, of.View(ctx, func(tx *tenancy.Tx) (err error) {
			if p, err = account.ForInvoice(ctx, tx, id); err != nil {
				return err
			}
			unit := billing.Money{Minor: 1000, Currency: "EUR"}
			got, err := invoicing.PriceFor(ctx, tx, p.Taxed(tx.Now()), []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: unit}})
			tax = got.Tax.Minor
			return err
		}))
		return p, tax
	}
	due := func() {
		must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(`UPDATE accounts SET tax_check = tax_check || '{"next_at": "2020-01-01T00:00:00Z"}'`).Exec(ctx)
			return err
		}))
	}
	tick := func() { t.Helper(); must(t, desk.Tick(ctx, db, time.Time{})) }
	count := func(what string) (n int) {
		must(t, db.View(ctx, func(tx *tenancy.Tx) error { return tx.NewRaw("SELECT count(*) FROM "+what).Scan(ctx, &n) }))
		return n
	}
	confirmedOnly := func(is bool) {
		must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
			b, err := settings.BillingOf(ctx, tx)
			if err == nil {
				b.TrustNumbers = !is
				err = settings.Put(ctx, tx, "billing", b)
			}
			return err
		}))
	}

	register.Fail("MS_UNAVAILABLE")
	tick()
	p, tax := look(db)
	if k := p.NumberCheck; k.State != billing.NumberPending || !strings.Contains(k.Problem, "MS_UNAVAILABLE") || k.Tries != 1 || k.NextAt == nil || tax != 0 {
		t.Errorf("in an outage: %+v, tax %d", k, tax)
	}
	confirmedOnly(true)
	if _, tax := look(db); tax != 190 {
		t.Errorf("confirmed numbers only, without an answer: tax %d", tax)
	}
	asked := register.Asked()
	tick() // not due yet
	if register.Asked() != asked {
		t.Error("asked again at once")
	}
	register.Fail("")
	register.Know(number, vieslab.Entry{Name: "Zoé SARL", Address: "Rue 1\nParis"})
	due()
	tick()
	p, tax = look(db)
	if k := p.NumberCheck; k.State != billing.NumberConfirmed || k.Request == "" || k.Name != "Zoé SARL" || k.Address != "Rue 1 Paris" || k.Tries != 0 || k.Problem != "" || tax != 0 {
		t.Errorf("confirmed: %+v, tax %d", k, tax)
	}
	confirmedOnly(false)

	// A fresh answer is not asked for again by an order; an old one is.
	again := func() {
		must(t, db.Update(ctx, func(tx *tenancy.Tx) error { return account.AskAboutNumber(ctx, tx, id) }))
	}
	asked = register.Asked()
	again()
	tick()
	if register.Asked() != asked {
		t.Error("an order asked about an answer of today")
	}
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`UPDATE accounts SET tax_check = tax_check || '{"answered_at": "2020-01-01T00:00:00Z"}'`).Exec(ctx)
		return err
	}))
	register.Fail("SERVICE_UNAVAILABLE")
	again()
	tick()
	if p, tax := look(db); p.NumberCheck.State != billing.NumberConfirmed || tax != 0 {
		t.Errorf("an outage took a confirmation away: %+v", p.NumberCheck)
	}
	register.Fail("")
	register.Forget(number)
	for range 2 {
		due()
		tick()
	}
	if p, tax := look(db); p.NumberCheck.State != billing.NumberRefused || tax != 190 {
		t.Errorf("refused: %+v, tax %d", p.NumberCheck, tax)
	}
	if n := count("mails WHERE template = 'number_refused' AND to_address = 'rita@example.org'"); n != 1 {
		t.Errorf("%d letters to the team", n)
	}
	if n := count("audit_entries WHERE action = 'account.tax_number_checked'"); n != 3 {
		t.Errorf("%d entries in the trail, want one an answer", n)
	}
	if n := count("timeline WHERE kind = 'account.tax_number_checked'"); n != 2 {
		t.Errorf("%d rows of the timeline, want one a change", n)
	}
	if p, _ := look(w.DB(w.B)); p.NumberCheck.Number != "" {
		t.Errorf("the other shop was answered: %+v", p.NumberCheck)
	}
	// Without a register nothing is asked, and the agenda is kept.
	must(t, (&taxid.Desk{}).Tick(ctx, w.DB(w.B), time.Time{}))
}

// What is no answer of the register is never a refusal.
func TestWhatIsNoAnswer(t *testing.T) {
	for body, want := range map[string]string{
		`{"valid": true, "requestIdentifier": "W1", "name": "---"}`: "true W1 ",
		`{"valid": false}`: "false  ",
		`{"actionSucceed": false, "errorWrappers": [{"error": "INVALID_INPUT"}]}`:  "false  ",
		`{"actionSucceed": false, "errorWrappers": [{"error": "MS_UNAVAILABLE"}]}`: "no answer",
		`{}`: "no answer", `<html>busy</html>`: "no answer", ``: "no answer", `[]`: "no answer", `{"valid": "yes"}`: "no answer",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		a, err := vies.Client{URL: s.URL, HTTP: s.Client()}.Ask(context.Background(), vies.Question{Number: "FR12345678901", Asker: "DE123456789"})
		s.Close()
		got := "no answer"
		if err == nil {
			got = map[bool]string{true: "true ", false: "false "}[a.Valid] + a.Request + " " + a.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q (%v)", body, got, want, err)
		}
	}
}
