package taxservice_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "olga", Name: "Olga"}}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const calculated = "POST /v1/tax/calculations"

// rig is two Canadian shops, of which the first asks a simulated Stripe.
type rig struct {
	*tenancytest.World
	t     *testing.T
	lab   *stripelab.Lab
	desk  *taxservice.Desk
	asked map[string]int
}

func newRig(t *testing.T, set taxservice.Setting) *rig {
	t.Helper()
	r := &rig{World: tenancytest.New(t), t: t, lab: stripelab.New(stripelab.Options{}), asked: map[string]int{}}
	r.lab.AddAccount("sk_test_one", "pk_test_one")
	server := httptest.NewServer(r.lab.Handler())
	t.Cleanup(server.Close)
	r.desk = &taxservice.Desk{
		Open: func(context.Context, *tenancy.DB) (taxservice.Service, error) {
			return stripe.New(stripe.Config{SecretKey: "sk_test_one", PublishableKey: "pk_test_one", APIURL: server.URL})
		},
		Asked: func(outcome string) { r.asked[outcome]++ },
	}
	for _, db := range []*tenancy.DB{r.DB(r.A), r.DB(r.B)} {
		b := settings.DefaultBilling()
		b.Company, b.Country, b.TaxID = "Alpha Inc.", "CA", "123456789RT0001"
		must(t, settings.SaveBilling(t.Context(), db, b, olga))
	}
	must(t, taxservice.Save(t.Context(), r.DB(r.A), set, olga))
	return r
}

func (r *rig) exec(of tenancy.Tenant, q string, args ...any) {
	r.t.Helper()
	must(r.t, r.DB(of).Update(r.t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(q, args...).Exec(r.t.Context())
		return err
	}))
}

// buyer is a customer of both shops.
func (r *rig) buyer(country, region, postcode string) uuid.UUID {
	r.t.Helper()
	id := uuid.New()
	address, err := json.Marshal(account.Address{Name: "Ida", Line1: "Way 1", City: "Town", Region: region, Postcode: postcode, Country: country, Email: "ida@example.com"})
	must(r.t, err)
	for _, of := range []tenancy.Tenant{r.A, r.B} {
		r.exec(of, `INSERT INTO accounts (id, name, currency, created_at, changed_at, country, kind, billing) VALUES (?, 'Ida', 'EUR', now(), now(), ?, 'person', ?::jsonb)`, id, country, string(address))
	}
	return id
}

func line() []billing.Line {
	return []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 10_000, Currency: "EUR"}}}
}

// open is what would have to be asked for a sale to the buyer.
func (r *rig) open(of tenancy.Tenant, buyer uuid.UUID) (p invoicing.Priced) {
	r.t.Helper()
	must(r.t, r.DB(of).View(r.t.Context(), func(tx *tenancy.Tx) error {
		who, err := account.ForInvoice(r.t.Context(), tx, buyer)
		if err != nil {
			return err
		}
		p, err = invoicing.PriceFor(r.t.Context(), tx, who.Taxed(tx.Now()), line())
		return err
	}))
	return p
}

// issue makes an invoice and reads how its rate came about.
func (r *rig) issue(of tenancy.Tenant, buyer uuid.UUID) (inv invoicing.Invoice, note string, how []billing.TaxAsked) {
	r.t.Helper()
	must(r.t, r.DB(of).Update(r.t.Context(), func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(r.t.Context(), tx, invoicing.Draft{Key: uuid.NewString(), AccountID: buyer, Currency: "EUR", Lines: line()})
		return err
	}))
	must(r.t, r.DB(of).View(r.t.Context(), func(tx *tenancy.Tx) error {
		doc, evidence, err := invoicing.StoredWithEvidence(r.t.Context(), tx, inv.ID)
		if err == nil {
			note, how = doc.Taxes[0].Note, evidence.Tax
		}
		return err
	}))
	return inv, note, how
}

// What was answered decides the invoice and stands with it, with each of its taxes named; a
// country that is not asked about, and the other shop, go by their own tables.
func TestAnswersDecideInvoices(t *testing.T) {
	r := newRig(t, taxservice.Setting{On: true, Countries: "CA us", Days: 7})
	db := r.DB(r.A)
	bc, texan, german := r.buyer("CA", "British Columbia", "V6B 1A1"), r.buyer("US", "TX", "77002-1234"), r.buyer("DE", "", "10115")
	for _, who := range []uuid.UUID{bc, texan, german} {
		p := r.open(r.A, who)
		if want := map[bool]int{true: 0, false: 1}[who == german]; len(p.Open) != want {
			t.Errorf("to be asked: %+v", p.Open)
		}
		must(t, r.desk.Ask(t.Context(), db, p.Open))
		must(t, r.desk.Ask(t.Context(), db, p.Open)) // it is known
	}
	if n := r.lab.Calls(calculated); n != 2 || r.asked["answered"] != 2 {
		t.Errorf("asked %d times, %v", n, r.asked)
	}
	inv, note, how := r.issue(r.A, bc)
	if inv.Tax.Minor != 1200 || note != "GST Canada 5 % and PST British Columbia 7 %." || len(how) != 1 || !how[0].Used || !strings.HasPrefix(how[0].Reference, "taxcalc_") || len(how[0].Parts) != 2 || how[0].At == nil {
		t.Errorf("%v %q %+v", inv.Tax, note, how)
	}
	if inv, note, _ := r.issue(r.A, texan); inv.Tax.Minor != 825 || note != "Sales tax Texas 6.25 %, Sales tax Houston 1 % and Sales tax Houston MTA 1 %." {
		t.Errorf("%v %q", inv.Tax, note)
	}
	if inv, _, how := r.issue(r.A, german); inv.Tax.Minor != 0 || how != nil {
		t.Errorf("%v %+v", inv.Tax, how)
	}
	if inv, _, how := r.issue(r.B, bc); inv.Tax.Minor != 0 || how != nil {
		t.Errorf("the other shop: %v %+v", inv.Tax, how)
	}
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		books, err := invoicing.Books(t.Context(), tx)
		if err != nil || len(books.Problems) > 0 {
			t.Errorf("%+v %v", books, err)
		}
		lines, err := taxservice.Lately(t.Context(), tx, taxservice.Setting{Days: 7}, 10)
		if err != nil || len(lines) != 2 || lines[0].State != billing.AnswerFresh || lines[0].Words()+lines[1].Words() == "" {
			t.Errorf("%+v %v", lines, err)
		}
		return nil
	}))
}

// Nobody waits for a service that is down, invoices go by the shop's own table meanwhile, and
// what counted once is used on only where the shop said so.
func TestOutagesBlockNothing(t *testing.T) {
	r := newRig(t, taxservice.Setting{On: true, Days: 7})
	db := r.DB(r.A)
	must(t, invoicing.SetRate(t.Context(), db, invoicing.NewRate{RatePlace: invoicing.RatePlace{Country: "CA"}, Name: "GST", Percent: "5", From: tenancytest.Start.AddDate(-1, 0, 0)}, olga))
	bc, ontario := r.buyer("CA", "BC", ""), r.buyer("CA", "ON", "")
	must(t, r.desk.Ask(t.Context(), db, r.open(r.A, bc).Open))
	r.lab.SetFaults(stripelab.Faults{Down: true})
	must(t, r.desk.Ask(t.Context(), db, r.open(r.A, ontario).Open))
	calls := r.lab.Calls(calculated)
	if p := r.open(r.A, ontario); len(p.Open) != 0 {
		t.Errorf("asked again at once: %+v", p.Open)
	}
	yukon := r.open(r.A, r.buyer("CA", "YT", ""))
	must(t, r.desk.Ask(t.Context(), db, yukon.Open)) // another place: the service is down all the same
	if len(yukon.Open) != 1 || r.lab.Calls(calculated) != calls || r.asked["unavailable"] != 1 {
		t.Errorf("%+v, asked %d times, %v", yukon.Open, r.lab.Calls(calculated)-calls, r.asked)
	}
	if inv, _, how := r.issue(r.A, ontario); inv.Tax.Minor != 500 || len(how) != 1 || how[0].Used || how[0].Why != string(billing.AnswerMissing) {
		t.Errorf("by the table: %v %+v", inv.Tax, how)
	}
	r.Clock.Advance(8 * 24 * time.Hour)
	must(t, r.desk.Ask(t.Context(), db, r.open(r.A, bc).Open))
	if inv, _, how := r.issue(r.A, bc); inv.Tax.Minor != 500 || how[0].Why != string(billing.AnswerStale) || how[0].Used {
		t.Errorf("too old: %v %+v", inv.Tax, how)
	}
	must(t, taxservice.Save(t.Context(), db, taxservice.Setting{On: true, Days: 7, Last: true}, olga))
	if inv, _, how := r.issue(r.A, bc); inv.Tax.Minor != 1200 || how[0].Why != string(billing.AnswerOld) || !how[0].Used {
		t.Errorf("the last one: %v %+v", inv.Tax, how)
	}
	// It is back: what was asked in vain is asked again after a while.
	r.lab.SetFaults(stripelab.Faults{})
	r.Clock.Advance(10 * time.Minute)
	must(t, r.desk.Ask(t.Context(), db, r.open(r.A, ontario).Open))
	if inv, _, how := r.issue(r.A, ontario); inv.Tax.Minor != 1300 || !how[0].Used || how[0].Why != "" {
		t.Errorf("back: %v %+v", inv.Tax, how)
	}
	// Where Stripe knows of no registration the table decides, and the invoice says so.
	r.lab.SetTax("sk_test_one", true, "US-TX")
	quebec := r.buyer("CA", "QC", "")
	must(t, r.desk.Ask(t.Context(), db, r.open(r.A, quebec).Open))
	if inv, _, how := r.issue(r.A, quebec); inv.Tax.Minor != 500 || how[0].Used || how[0].Why != string(billing.AnswerNothing) || how[0].Reference == "" {
		t.Errorf("not registered: %v %+v", inv.Tax, how)
	}
}

// The job asks about what renews soon, once, and not about what renews later.
func TestAskedBeforeRenewals(t *testing.T) {
	r := newRig(t, taxservice.Setting{On: true, Days: 7})
	db := r.DB(r.A)
	product, plan, quote, order := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	for i, region := range []string{"BC", "BC", "ON", "QC"} {
		who := r.buyer("CA", region, "")
		if i == 0 {
			for _, q := range []string{
				`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?0, 'vps', 'vps', 'VPS', '', 1, 'public', now(), now())`,
				`INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?1, ?0, 's', 'S', '', '[]', 1, 'public', now(), now())`,
				`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?4, 'customer', 'x@example.com', 'x@example.com', 'X', '', now(), now())`,
				`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?2, 'checkout', ?4, 'EUR', 1, 0, 1, '{}', now(), now())`,
				`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?3, 1, ?2, ?4, ?4, 'paid', 'EUR', 1, '', now(), now())`,
			} {
				r.exec(r.A, q, product, plan, quote, order, who)
			}
		}
		ahead := 24 * time.Hour
		if region == "QC" {
			ahead = 9 * 24 * time.Hour
		}
		r.exec(r.A, `INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, renewals, cancel_reason, cancel_note, renews_at, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'VPS', 'active', 'monthly', 'EUR', 1, '[]', 0, '', '', ?, now(), now())`, uuid.New(), who, order, plan, tenancytest.Start.Add(ahead))
	}
	tick := func(want int) {
		t.Helper()
		must(t, r.desk.Tick(t.Context(), db, time.Time{}))
		if n := r.lab.Calls(calculated); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	tick(2)
	tick(2)
	r.Clock.Advance(6*24*time.Hour + 13*time.Hour) // half a day before they are too old
	tick(4)
	r.Clock.Advance(36 * time.Hour)
	tick(5)
	must(t, taxservice.Save(t.Context(), db, taxservice.Setting{Days: 7}, olga))
	r.Clock.Advance(20 * 24 * time.Hour)
	tick(5)
}

// Who may be asked, and what the settings refuse.
func TestSettingATaxService(t *testing.T) {
	r := newRig(t, taxservice.Setting{On: true, Days: 7})
	db := r.DB(r.A)
	for _, bad := range []taxservice.Setting{{Days: 0}, {Days: 31}, {Days: 7, Countries: "CA XX"}, {Days: 7, Codes: map[string]string{"standard": "TX CD"}}, {Days: 7, Codes: map[string]string{"cars": "txcd_1"}}} {
		if err := taxservice.Save(t.Context(), db, bad, olga); !fault.Is(err, "tax_service.invalid") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	must(t, r.desk.CheckService(t.Context(), db, olga))
	r.lab.SetTax("sk_test_one", false)
	if err := r.desk.CheckService(t.Context(), db, olga); !fault.Is(err, "tax_service.not_ready") {
		t.Error(err)
	}
	r.lab.SetFaults(stripelab.Faults{Down: true})
	if err := r.desk.CheckService(t.Context(), db, olga); !fault.Is(err, "tax_service.unavailable") {
		t.Error(err)
	}
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		s, err := taxservice.Of(t.Context(), tx)
		if err != nil || s.Problem == "" || s.CheckedAt.IsZero() || !s.On {
			t.Errorf("%+v %v", s, err)
		}
		return nil
	}))
	sandbox := r.B
	sandbox.Sandbox = true
	if err := r.desk.CheckService(t.Context(), r.DB(sandbox), olga); !fault.Is(err, "tax_service.none") {
		t.Errorf("a sandbox asks: %v", err)
	}
}
