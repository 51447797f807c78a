package hosting_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// machine is one server of the driver below.
type machine struct {
	Ref       provisioners.Ref
	Key       string
	Name      string
	Ready     int // how often it is looked at before it is installed
	Failed    bool
	Suspended bool
	Off       bool
	Password  string
	Builds    []string
}

// rack is a platform that keeps state and fails wherever it is told to.
type rack struct {
	mu       sync.Mutex
	n        int
	machines map[provisioners.Ref]*machine
	made     int            // how many were ever created
	calls    map[string]int // by method
	fails    func(method string, nth int, after bool) error
	install  int // looks until it is installed
	inside   map[string]bool
	overlap  int // calls about one service at the same time
}

func newRack() *rack {
	return &rack{machines: map[provisioners.Ref]*machine{}, calls: map[string]int{}, inside: map[string]bool{}}
}

// act runs one call: it may fail before anything happened, or after.
func (r *rack) act(method string, do func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[method]++
	n := r.calls[method]
	if r.fails != nil {
		if err := r.fails(method, n, false); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if r.fails != nil {
		return r.fails(method, n, true)
	}
	return nil
}

func (r *rack) enter(what string) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[what] {
		r.overlap++
	}
	r.inside[what] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.inside, what)
	}
}

func (r *rack) byKey(key string) *machine {
	for _, m := range r.machines {
		if m.Key == key {
			return m
		}
	}
	return nil
}

func (r *rack) password() string { r.n++; return fmt.Sprintf("hunter-%d", r.n) }

// Create makes one where the look has found none: two at once would make two.
func (r *rack) Create(ctx context.Context, req provisioners.CreateRequest) (out provisioners.Created, err error) {
	defer r.enter(req.Key)()
	var m *machine
	if err = r.act("find", func() error { m = r.byKey(req.Key); return nil }); err != nil {
		return out, err
	}
	if m == nil {
		err = r.act("make", func() error {
			r.n++
			r.made++
			m = &machine{Ref: provisioners.Ref(fmt.Sprint("m", r.n)), Key: req.Key, Name: req.Name, Ready: r.install}
			r.machines[m.Ref] = m
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	out.Ref, out.Addresses = m.Ref, []string{"203.0.113.10", "2001:db8::10"}
	if err := req.Known(ctx, m.Ref); err != nil {
		return out, fmt.Errorf("rack: %w", err)
	}
	err = r.act("build", func() error {
		if len(m.Builds) == 0 {
			m.Builds, m.Password = []string{req.Image}, r.password()
			out.Credentials = provisioners.Credentials{User: "root", Password: m.Password}
		}
		return nil
	})
	if err != nil {
		out.Credentials = provisioners.Credentials{}
	}
	return out, err
}

func (r *rack) with(method string, ref provisioners.Ref, do func(*machine)) error {
	return r.act(method, func() error {
		m := r.machines[ref]
		if m == nil {
			return provisioners.ErrGone
		}
		do(m)
		return nil
	})
}

func (r *rack) State(_ context.Context, ref provisioners.Ref) (s provisioners.State, err error) {
	err = r.with("state", ref, func(m *machine) {
		s = provisioners.State{Status: provisioners.StatusActive, Power: provisioners.PowerOn, Name: m.Name, Addresses: []string{"203.0.113.10"}}
		if m.Ready > 0 {
			m.Ready--
			s.Status, s.Busy, s.Progress = provisioners.StatusInstalling, true, 40
		}
		if m.Off {
			s.Power = provisioners.PowerOff
		}
		if m.Suspended {
			s.Status, s.Power = provisioners.StatusSuspended, provisioners.PowerOff
		}
		if m.Failed {
			s.Status, s.Problem = provisioners.StatusFailed, "no boot disk"
		}
	})
	if errors.Is(err, provisioners.ErrGone) {
		return provisioners.State{Status: provisioners.StatusGone}, nil
	}
	return s, err
}

func (r *rack) Destroy(_ context.Context, ref provisioners.Ref) error {
	return r.act("destroy", func() error { delete(r.machines, ref); return nil })
}

func (r *rack) Suspend(_ context.Context, ref provisioners.Ref) error {
	return r.with("suspend", ref, func(m *machine) { m.Suspended = true })
}

func (r *rack) Release(_ context.Context, ref provisioners.Ref) error {
	return r.with("release", ref, func(m *machine) { m.Suspended = false })
}

func (r *rack) Power(_ context.Context, ref provisioners.Ref, a provisioners.PowerAction) error {
	return r.with("power", ref, func(m *machine) { m.Off = a == provisioners.Stop || a == provisioners.ForceOff })
}

func (r *rack) Rename(_ context.Context, ref provisioners.Ref, name string) error {
	return r.with("rename", ref, func(m *machine) { m.Name = name })
}

func (r *rack) ResetPassword(_ context.Context, ref provisioners.Ref) (c provisioners.Credentials, err error) {
	err = r.with("password", ref, func(m *machine) {
		m.Password = r.password()
		c = provisioners.Credentials{User: "root", Password: m.Password}
	})
	if err != nil {
		c = provisioners.Credentials{}
	}
	return c, err
}

func (r *rack) Rebuild(_ context.Context, ref provisioners.Ref, q provisioners.RebuildRequest) (c provisioners.Credentials, err error) {
	err = r.with("rebuild", ref, func(m *machine) {
		if m.Builds[len(m.Builds)-1] == q.Image+" "+q.Key {
			return
		}
		m.Builds = append(m.Builds, q.Image+" "+q.Key)
		m.Ready, m.Failed, m.Off, m.Password = r.install, false, false, r.password()
		c = provisioners.Credentials{User: "root", Password: m.Password}
	})
	if err != nil {
		c = provisioners.Credentials{}
	}
	return c, err
}

// floor is a platform's directory with one rack.
type floor struct {
	driver provisioners.Driver
	down   func() error
}

func (f *floor) Open(context.Context, uuid.UUID) (provisioners.Driver, error) {
	if f.down != nil {
		if err := f.down(); err != nil {
			return nil, err
		}
	}
	return f.driver, nil
}

func (f *floor) Delivery(_ context.Context, _ string, _ uuid.UUID, _, image string) (map[string]any, string, error) {
	if image == "nonsense" {
		return nil, "", fault.Field("image", "platform.unknown_image", "This operating system is not offered there. Choose another.")
	}
	return map[string]any{"packageId": 1.0, "hypervisorGroupId": 2.0}, map[string]string{"debian-13": "11", "ubuntu-24.04": "21"}[image], nil
}

// place is a shop with a customer, a rack and a desk.
type place struct {
	*tenancytest.World
	t       *testing.T
	who     tenancy.Tenant
	db      *tenancy.DB
	rack    *rack
	floor   *floor
	desk    *hosting.Desk
	ring    *secrets.Keyring
	account uuid.UUID
	person  uuid.UUID
	plan    uuid.UUID
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *place {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{World: w, t: t, who: who, db: w.DB(who), rack: newRack(), ring: ring, account: uuid.New(), person: uuid.New(), plan: uuid.New()}
	p.floor = &floor{driver: p.rack}
	p.desk = &hosting.Desk{Platforms: p.floor, Keys: ring, Mail: mail.NewOutbox(ring)}
	now := w.Clock.Now()
	product := uuid.New()
	p.run(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES
		(?, 'customer', 'ann@example.org', 'ann@example.org', 'Ann', 'member', ?, ?), (?, 'reseller', 'rita@example.org', 'rita@example.org', 'Rita', 'owner', ?, ?)`,
		p.person, now, now, uuid.New(), now, now)
	p.run("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Ann & Co', 'EUR', ?, ?)", p.account, now, now)
	p.run("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", p.account, p.person, now)
	p.run("INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'vps', 'vps', 'VPS', '', 1, 'public', ?, ?)", product, now, now)
	p.run("INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?, ?, 'small', 'Small', '', '[]', 1, 'public', ?, ?)", p.plan, product, now, now)
	return p
}

func (p *place) run(sql string, args ...any) {
	p.t.Helper()
	err := p.db.Update(p.t.Context(), func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql, args...).Exec(p.t.Context()); return err })
	if err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

func (p *place) update(f func(*tenancy.Tx) error) {
	p.t.Helper()
	if err := p.db.Update(p.t.Context(), f); err != nil {
		p.t.Fatal(err)
	}
}

// subscription is one that waits for its service.
func (p *place) subscription() uuid.UUID {
	p.t.Helper()
	now, quote, order, sub := p.Clock.Now(), uuid.New(), uuid.New(), uuid.New()
	p.run("INSERT INTO quotes (id, kind, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', 'EUR', 0, 0, 0, '{}', ?, ?)", quote, now, now)
	p.run(`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
		SELECT ?, count(*) + 1, ?, ?, ?, 'paid', 'EUR', 0, '', ?, ? FROM orders`, order, quote, p.account, p.person, now, now)
	p.run(`INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, renewals, cancel_reason, cancel_note, created_at, changed_at)
		VALUES (?, ?, ?, ?, 'VPS Small', 'active', 'monthly', 'EUR', 500, '[]', 0, '', '', ?, ?)`, sub, p.account, order, p.plan, now, now)
	return sub
}

func (p *place) order() uuid.UUID {
	p.t.Helper()
	sub := p.subscription()
	var s hosting.Service
	p.update(func(tx *tenancy.Tx) (err error) {
		s, err = hosting.Order(p.t.Context(), tx, hosting.New{
			SubscriptionID: sub, AccountID: p.account, Type: "vps", SKU: "vps-s", Label: "VPS Small", Hostname: "box.example.org",
			PlatformID: uuid.MustParse("00000000-0000-0000-0000-00000000000f"), Region: "fra", Image: "debian-13", Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40, IPv4: 1},
		})
		return err
	})
	return s.ID
}

func (p *place) get(id uuid.UUID) (s hosting.Service) {
	p.t.Helper()
	p.update(func(tx *tenancy.Tx) (err error) { s, err = hosting.Get(p.t.Context(), tx, id); return err })
	return s
}

// died is what a worker dies of in a test.
type died struct{ place string }

// drive runs one worker; it reports where it died, if it did.
func (p *place) drive(id uuid.UUID) (where string, err error) {
	defer func() {
		if r := recover(); r != nil {
			d, ok := r.(died)
			if !ok {
				panic(r)
			}
			where = d.place
		}
	}()
	return "", p.desk.Drive(p.t.Context(), p.db, hosting.DriveJob{ServiceID: id})
}

// settle turns the clock and drives until nothing is to be done about the service.
func (p *place) settle(id uuid.UUID) hosting.Service {
	p.t.Helper()
	for range 400 {
		s := p.get(id)
		idle := s.Operation == "" && (string(s.Desired) == string(s.Observed) || s.Problem != "")
		if idle && s.NextAt.After(p.Clock.Now()) || s.NextAt.IsZero() {
			return s
		}
		if s.NextAt.After(p.Clock.Now()) {
			p.Clock.Set(s.NextAt)
		}
		_, _ = p.drive(id)
	}
	p.t.Fatalf("never settled: %+v", p.get(id))
	return hosting.Service{}
}

func (p *place) scalar(into any, sql string, args ...any) {
	p.t.Helper()
	if err := p.Owner.QueryRow(p.t.Context(), sql, args...).Scan(into); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

// usage is the tenant's usage events, oldest first, as "start vps-s".
func (p *place) usage() (all []string) {
	p.t.Helper()
	p.scalar(&all, "SELECT coalesce(array_agg(kind || ' ' || sku ORDER BY kind), '{}') FROM central.usage_events WHERE tenant_id = $1", p.who.ID.Number())
	return all
}

func (p *place) count(table, where string, args ...any) (n int) {
	p.t.Helper()
	p.scalar(&n, "SELECT count(*) FROM "+p.who.ID.Schema()+"."+table+" WHERE "+where, args...)
	return n
}

func (p *place) caller() hosting.Caller {
	return hosting.Caller{Person: p.person, Origin: audit.Origin{Actor: audit.Actor{Kind: "customer", ID: p.person.String(), Name: "Ann"}}}
}

// whole checks what must hold of a running service, however it came about.
func (p *place) whole(id uuid.UUID) {
	p.t.Helper()
	s := p.get(id)
	if s.Desired != hosting.WantActive || s.Observed != hosting.SeenActive || s.Operation != "" || s.Problem != "" {
		p.t.Errorf("the service is %s, %s, %s %s, %q", s.Desired, s.Observed, s.Operation, s.Step, s.Problem)
	}
	if len(p.rack.machines) != 1 || p.rack.made != 1 {
		p.t.Errorf("there are %d machines, and %d were made", len(p.rack.machines), p.rack.made)
	}
	if u := p.usage(); len(u) != 1 || u[0] != "start vps-s" {
		p.t.Errorf("the usage is %q", u)
	}
	if n := p.count("timeline", "kind = 'service.active'"); n != 1 {
		p.t.Errorf("told %d times that it is ready", n)
	}
	if n := p.count("mails", "template = 'service_ready'"); n != 1 {
		p.t.Errorf("%d mails say that it is ready", n)
	}
	m := p.rack.machines[s.Ref]
	if m == nil {
		p.t.Errorf("no machine is called %s", s.Ref)
		return
	}
	c, err := p.desk.Reveal(p.t.Context(), p.db, id, p.caller())
	if err != nil || c.Password != m.Password || c.User != "root" || c.Password == "" {
		p.t.Errorf("revealed %+v, %v; the machine has %s", c, err, m.Password)
	}
	var shown, began string
	p.scalar(&shown, "SELECT desired || ' ' || observed || ' ' || ref FROM central.services WHERE service_id = $1", id)
	if shown != "active active "+string(s.Ref) {
		p.t.Errorf("the platform sees %q", shown)
	}
	p.scalar(&began, "SELECT (s.began_at = u.at)::text FROM central.services s, central.usage_events u WHERE s.service_id = $1 AND u.subject = 'service/' || $1::text", id)
	if began != "true" {
		p.t.Errorf("what is shown and what is billed began at the same time: %s", began)
	}
}

func retryLater(after time.Duration, err error) error {
	return &provisioners.RetryError{After: after, Err: err}
}
