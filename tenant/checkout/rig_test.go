package checkout_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var platformID = uuid.MustParse("00000000-0000-7000-8000-0000000000aa")

// room is a platform's room in memory: as much as there is, held by key.
type room struct {
	mu   sync.Mutex
	free map[string]int // by region
	held map[string]string
	used map[string]bool
}

func (r *room) Hold(_ context.Context, t tenancy.ID, q checkout.HoldRequest) (checkout.Placement, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := t.String() + " " + q.Key
	if _, had := r.held[key]; !had {
		if r.free[q.Region] == 0 {
			return checkout.Placement{}, fault.New(fault.Conflict, "platform.full", "There is no room left in this location at the moment.")
		}
		r.free[q.Region]--
		r.held[key] = q.Region
	}
	return checkout.Placement{PlatformID: platformID, Region: q.Region}, nil
}

func (r *room) Use(_ context.Context, t tenancy.ID, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, had := r.held[t.String()+" "+key]; !had {
		return fault.New(fault.NotFound, "platform.no_hold", "No room is kept for this order.")
	}
	r.used[t.String()+" "+key] = true
	return nil
}

func (r *room) Free(_ context.Context, t tenancy.ID, key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key = t.String() + " " + key
	if region, had := r.held[key]; had && !r.used[key] {
		delete(r.held, key)
		r.free[region]++
	}
	return nil
}

func (r *room) state() (free, held, used int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.free {
		free += n
	}
	return free, len(r.held), len(r.used)
}

type offers []catalog.Offer

func (o offers) Offers(context.Context, tenancy.ID) ([]catalog.Offer, error) { return o, nil }

// rig is a shop of each of two tenants with a customer, and a desk.
type rig struct {
	*tenancytest.World
	desk      *checkout.Desk
	room      *room
	customers map[tenancy.ID]customer
}

type customer struct {
	Person  identity.Person
	Account uuid.UUID
}

func newRig(t testing.TB, w *tenancytest.World) *rig {
	t.Helper()
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	r := &rig{World: w, room: &room{free: map[string]int{"ams": 3, "nyc": 1}, held: map[string]string{}, used: map[string]bool{}}, customers: map[tenancy.ID]customer{}}
	image := []catalog.Image{{Code: "debian-13", Name: "Debian 13", Group: "Debian"}, {Code: "ubuntu-26", Name: "Ubuntu 26.04", Group: "Ubuntu"}}
	r.desk = &checkout.Desk{
		Offers: offers{{SKU: "vps-s", Type: "vps", Name: "VPS S", Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40}, Cost: catalog.Cost{Minor: "300", Currency: "EUR"}, Available: true,
			Regions: []catalog.Region{{Code: "ams", Name: "Amsterdam", Images: image, Available: true}, {Code: "nyc", Name: "New York", Images: image[:1], Available: true}, {Code: "sin", Name: "Singapore", Images: image}}}},
		Supply: r.room, Mail: mail.NewOutbox(ring),
	}
	r.furnish(t, w.A)
	r.furnish(t, w.B)
	return r
}

func (r *rig) furnish(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	ctx := t.Context()
	must(t, r.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000001', 'vps', 'vps', 'Cloud VPS', '', 1, 'public', now(), now())`,
			`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, sku, stock, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'small', 'Small', '', '[]', false, 1, 'public', 'vps-s', NULL, now(), now()),
			 ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'last', 'Last one', '', '[]', false, 2, 'public', 'vps-s', 1, now(), now()),
			 ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'gone', 'Gone', '', '[]', false, 3, 'archived', 'vps-s', NULL, now(), now()),
			 ('00000000-0000-7000-8000-000000000014', '00000000-0000-7000-8000-000000000001', 'advice', 'Advice', '', '[]', false, 4, 'public', NULL, NULL, now(), now())`,
			`INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES
			 ('00000000-0000-7000-8000-000000000011', 'EUR', 'monthly', 999, 500),
			 ('00000000-0000-7000-8000-000000000011', 'EUR', 'annual', 9990, 0),
			 ('00000000-0000-7000-8000-000000000012', 'EUR', 'monthly', 499, 0),
			 ('00000000-0000-7000-8000-000000000013', 'EUR', 'monthly', 1, 0),
			 ('00000000-0000-7000-8000-000000000014', 'EUR', 'one_time', 5000, 0)`,
			`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000001', 'memory', 'More memory', '', 'choice', 'memory_mb', 0, 0, 1,
			  '[{"code":"none","label":"None","amount":0},{"code":"plus4","label":"4 GB more","amount":4096,"prices":{"EUR":{"monthly":300}}},{"code":"usd","label":"Only in dollars","amount":1,"prices":{"USD":{"monthly":1}}}]', 1, 'public', '2020-01-01', '2020-01-01'),
			 ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000001', 'ips', 'More addresses', '', 'quantity', 'ipv4', 0, 4, 2,
			  '[{"code":"each","label":"Two addresses","amount":2,"prices":{"EUR":{"monthly":200,"annual":2000}}}]', 2, 'public', '2020-01-01', '2020-01-01')`,
			`INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, now())`,
			`INSERT INTO shop_settings (name, value, changed_at) VALUES ('billing', '{"company":"Shop Ltd","line1":"Road 1","postcode":"1","city":"Berlin","country":"DE","oss":true,"term_days":7,"invoice_number":"INV-{number:5}","credit_number":"CN-{number:5}"}', now())`,
		} {
			if _, err := tx.NewRaw(q).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
	r.customers[of.ID] = r.customer(t, of, "owner", "buyer@"+of.Slug+".test")
}

// customer adds a person with an account of theirs in Germany.
func (r *rig) customer(t testing.TB, of tenancy.Tenant, role, email string) customer {
	t.Helper()
	var c customer
	must(t, r.DB(of).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		ctx := t.Context()
		c.Person, err = identity.People{World: identity.Customer}.Add(ctx, tx, identity.NewPerson{Email: email, Name: "Bea Buyer", Role: identity.CustomerMember, Verified: true}, "")
		if err != nil {
			return err
		}
		c.Account = uuid.Must(uuid.NewV7())
		_, err = tx.NewRaw(`INSERT INTO accounts (id, name, currency, time_zone, country, kind, billing, created_at, changed_at) VALUES (?, 'Bea', 'EUR', 'UTC', 'DE', 'person',
			'{"name":"Bea Buyer","line1":"Street 2","postcode":"10115","city":"Berlin","country":"DE","email":"bea@x.test"}', ?, ?)`, c.Account, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, ?, ?)", c.Account, c.Person.ID, role, tx.Now()).Exec(ctx)
		return err
	}))
	return c
}

func small(change ...func(*catalog.Picked)) catalog.Picked {
	p := catalog.Picked{Product: "vps", Plan: "small", Cycle: billing.Monthly, Region: "ams", Image: "debian-13", Options: map[string]string{"memory": "plus4", "ips": "2"}}
	for _, f := range change {
		f(&p)
	}
	return p
}

func plan(slug string) catalog.Picked { return catalog.Picked{Product: "vps", Plan: slug} }

func (r *rig) quote(t testing.TB, of tenancy.Tenant, items ...catalog.Picked) checkout.Quote {
	t.Helper()
	q, err := r.desk.Quote(t.Context(), r.DB(of), checkout.Ask{AccountID: r.customers[of.ID].Account, Items: items})
	must(t, err)
	return q
}

func (r *rig) accept(of tenancy.Tenant, quote uuid.UUID) checkout.PlaceRequest {
	c := r.customers[of.ID]
	return checkout.PlaceRequest{QuoteID: quote, AccountID: c.Account, PersonID: c.Person.ID, By: audit.Origin{Actor: audit.Actor{Kind: "customer", ID: c.Person.ID.String(), Name: c.Person.Name}, IP: "192.0.2.1", Country: "FR"}}
}

func (r *rig) order(t testing.TB, of tenancy.Tenant, items ...catalog.Picked) checkout.Order {
	t.Helper()
	o, err := r.desk.Place(t.Context(), r.DB(of), r.accept(of, r.quote(t, of, items...).ID))
	must(t, err)
	return o
}

// pay settles an order's invoice in the books, as a payment does.
func (r *rig) pay(t testing.TB, of tenancy.Tenant, o checkout.Order) {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	must(t, r.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'transfer', ?, ?, 0, 'succeeded', '', '', true, ?, ?)`, id, id.String(), *o.InvoiceID, o.AccountID, o.Currency, o.Total.Minor, tx.Now(), tx.Now()).Exec(t.Context())
		if err != nil {
			return err
		}
		return invoicing.Applied(t.Context(), tx, invoicing.Application{InvoiceID: *o.InvoiceID, PaymentID: id, Gateway: "transfer", Amount: o.Total, At: tx.Now()})
	}))
}

func (r *rig) exec(t testing.TB, of tenancy.Tenant, q string, args ...any) {
	t.Helper()
	must(t, r.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(q, args...).Exec(t.Context())
		return err
	}))
}

// listen has an endpoint of the tenant's hear of everything from now on.
func (r *rig) listen(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	r.exec(t, of, `INSERT INTO webhook_endpoints (id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
		VALUES (?, 'https://example.com', '[]', '', 'active', '', now(), now())`, uuid.New())
}

// heard is what endpoints of the tenant were told, in order, as "type state".
func (r *rig) heard(t testing.TB, of tenancy.Tenant) (all []string) {
	t.Helper()
	must(t, r.DB(of).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT type || coalesce(' ' || (body::json->'data'->>'state'), '') FROM webhook_deliveries ORDER BY id").Scan(t.Context(), &all)
	}))
	return all
}

// count is a number out of a tenant's schema.
func (r *rig) count(t testing.TB, of tenancy.Tenant, q string, args ...any) (n int) {
	t.Helper()
	must(t, r.DB(of).View(t.Context(), func(tx *tenancy.Tx) error { return tx.NewRaw(q, args...).Scan(t.Context(), &n) }))
	return n
}

// due is when the tenant stands on the agenda for its orders; zero: not at all.
func (r *rig) due(t testing.TB, of tenancy.Tenant) time.Time {
	t.Helper()
	var at *time.Time
	must(t, r.Owner.QueryRow(t.Context(), "SELECT max(due_at) FROM central.agenda WHERE tenant_id = $1 AND kind = 'orders'", of.ID.Number()).Scan(&at))
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, what string, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func euros(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
