package platform_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

var anna = audit.Origin{Actor: audit.Actor{Kind: "staff", ID: "s1", Name: "Anna"}, IP: "192.0.2.1", RequestID: "r1"}

// rig is a registry with a simulated VirtFusion and a price book.
type rig struct {
	*tenancytest.World
	*platform.Registry
	lab      *lab.Lab
	url, key string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	w := tenancytest.New(t)
	exec(t, w, `INSERT INTO skus (sku, type, name, summary, kind, unit, spec, state, position, changed_at) VALUES
		('vps-s', 'vps', 'VPS S', '', 'service', 'month', '{"cpu": 1, "memory_mb": 2048, "disk_gb": 40}', 'active', 1, now())`)
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(lab.Options{Clock: w.Clock.Now})
	l.AddToken("good")
	s := httptest.NewServer(l.Handler())
	t.Cleanup(s.Close)
	r := &platform.Registry{Central: w.Central, Keys: ring, Client: http.DefaultClient, PlainHTTP: true,
		Drivers: map[string]platform.Factory{"virtfusion": func(c platform.Connection) (provisioners.Driver, error) {
			return virtfusion.New(virtfusion.Config(c))
		}}}
	return &rig{w, r, l, s.URL, key}
}

func (r *rig) form() platform.Form {
	return platform.Form{Name: "Amsterdam", Driver: "virtfusion", BaseURL: r.url + "/", Token: "good"}
}

func (r *rig) connect(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := r.Connect(t.Context(), r.form(), anna)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (r *rig) mapped(t testing.TB, id uuid.UUID) platform.Mapped {
	t.Helper()
	_, err := r.Map(t.Context(), id, platform.MapForm{SKU: "vps-s", Region: "ams", RegionName: "Amsterdam",
		Parameters: map[string]string{"packageId": "1", "hypervisorGroupId": "1"}}, anna)
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.OffersOf(t.Context(), id)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

func (r *rig) trail(t testing.TB) string {
	t.Helper()
	var said []string
	err := r.World.Central.View(t.Context(), func(tx *tenancy.CentralTx) error {
		entries, err := audit.List(t.Context(), tx, audit.Filter{TargetKind: "platform"})
		for _, e := range entries {
			said = append([]string{e.Action}, said...)
			if strings.Contains(fmt.Sprint(e.Detail), "good") {
				t.Errorf("the trail tells the token: %s", e.Detail)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(said, " ")
}

func (r *rig) alerts(t testing.TB) (all []string) {
	t.Helper()
	err := r.World.Central.View(t.Context(), func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT kind FROM alerts ORDER BY at, key").Scan(t.Context(), &all)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestConnect(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for _, test := range []struct {
		name, field, code string
		spoil             func(*platform.Form)
	}{
		{"no name", "name", "platform.invalid", func(f *platform.Form) { f.Name = " \x00" }},
		{"a driver of invention", "driver", "platform.invalid", func(f *platform.Form) { f.Driver = "abacus" }},
		{"half an address", "base_url", "platform.invalid", func(f *platform.Form) { f.BaseURL = "cp.example.com" }},
		{"an address with a user", "base_url", "platform.invalid", func(f *platform.Form) { f.BaseURL = "https://a:b@cp.example.com" }},
		{"no token", "token", "platform.invalid", func(f *platform.Form) { f.Token = "" }},
		{"a token of two lines", "token", "platform.invalid", func(f *platform.Form) { f.Token = "good\nX-Evil: 1" }},
		{"settings that are none", "settings", "platform.invalid", func(f *platform.Form) { f.Settings = "[1]" }},
		{"settings the driver refuses", "settings", "platform.bad_settings", func(f *platform.Form) { f.Settings = `{"delete_delay_minutes": -1}` }},
		{"a wrong token", "token", "platform.token_refused", func(f *platform.Form) { f.Token = "bad" }},
		{"nobody there", "base_url", "platform.unreachable", func(f *platform.Form) { f.BaseURL = "http://127.0.0.1:1" }},
		{"another system there", "base_url", "platform.unreachable", func(f *platform.Form) { f.BaseURL = r.url + "/elsewhere" }},
	} {
		f := r.form()
		test.spoil(&f)
		_, err := r.Connect(ctx, f, anna)
		if got := fault.From(err); got.Code != test.code || got.Fields[test.field] == "" {
			t.Errorf("%s: %v %v", test.name, err, got.Fields)
		}
	}
	guarded := &platform.Registry{Central: r.World.Central, Keys: r.Keys, Drivers: r.Drivers, Client: egress.Client(egress.Options{}), PlainHTTP: true}
	f := r.form()
	f.BaseURL = strings.Replace(r.url, "http:", "https:", 1)
	if _, err := guarded.Connect(ctx, f, anna); !fault.Is(err, "platform.forbidden_address") {
		t.Errorf("our own machine: %v", err)
	}
	if all, _ := r.List(ctx); len(all) != 0 {
		t.Fatalf("%d were taken in", len(all))
	}
	id := r.connect(t)
	if _, err := r.Connect(ctx, r.form(), anna); !fault.Is(err, "platform.name_taken") {
		t.Errorf("twice: %v", err)
	}
	var sealed string
	if err := r.World.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT encode(sealed_secret, 'escape') || settings::text || health_note FROM platforms WHERE id = ?", id).Scan(ctx, &sealed)
	}); err != nil || strings.Contains(sealed, "good") {
		t.Errorf("the token stands in the row, or %v", err)
	}
	if d, err := r.Open(ctx, id); err != nil {
		t.Error(err)
	} else if again, _ := r.Open(ctx, id); again != d {
		t.Error("the driver was made twice")
	}
	if _, err := r.Open(ctx, uuid.New()); !fault.Is(err, "platform.unknown") {
		t.Errorf("nobody's: %v", err)
	}
	if got := r.trail(t); got != "platform.connected" {
		t.Errorf("trail: %s", got)
	}
}

func TestChangeKeepsTheTokenAtItsAddress(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	before, _ := r.Open(ctx, id)
	f := r.form()
	f.Name, f.Token = "AMS", ""
	r.Clock.Advance(time.Second)
	if err := r.Change(ctx, id, f, anna); err != nil {
		t.Fatal(err)
	}
	if after, err := r.Open(ctx, id); err != nil || after == before {
		t.Errorf("the driver is the one from before: %v", err)
	}
	f.BaseURL = strings.Replace(r.url, "127.0.0.1", "localhost", 1)
	if err := r.Change(ctx, id, f, anna); !fault.Is(err, "platform.token_needed") {
		t.Errorf("another address without the token: %v", err)
	}
	f.Token = "wrong"
	if err := r.Change(ctx, id, f, anna); !fault.Is(err, "platform.token_refused") {
		t.Errorf("a wrong token: %v", err)
	}
	for _, to := range []platform.State{platform.Draining, platform.Draining, platform.Off, "gone"} {
		if err := r.SetState(ctx, id, to, anna); (err != nil) != (to == "gone") {
			t.Errorf("%s: %v", to, err)
		}
	}
	if _, err := r.Open(ctx, id); err == nil {
		t.Error("one that is off was opened")
	}
	if got := r.trail(t); got != "platform.connected platform.changed platform.state_changed platform.state_changed" {
		t.Errorf("trail: %s", got)
	}
}

func TestMap(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	m := r.mapped(t, id)
	if m.Capacity == nil || *m.Capacity == 0 || m.Free() != *m.Capacity || len(m.Images) < 5 || !m.On() || m.CheckedAt.IsZero() {
		t.Errorf("%+v", m)
	}
	again := r.mapped(t, id) // twice is the same offer
	if again.ID != m.ID {
		t.Error("mapped twice, it is two offers")
	}
	bad := platform.MapForm{SKU: "nothing", Region: "Ams 1", RegionName: "", Parameters: map[string]string{"packageId": "x"}, More: "no"}
	_, err := r.Map(ctx, id, bad, anna)
	if f := fault.From(err); f.Code != "offer.invalid" || len(f.Fields) != 5 {
		t.Errorf("%v %v", err, fault.From(err).Fields)
	}
	bad = platform.MapForm{SKU: "nothing", Region: "ams", RegionName: "Amsterdam", Parameters: map[string]string{"packageId": "1", "hypervisorGroupId": "1"}}
	if _, err := r.Map(ctx, id, bad, anna); !fault.Is(err, "offer.unknown_sku") {
		t.Error(err)
	}
	r.lab.Break(lab.Fault{Status: 503})
	if _, err := r.Map(ctx, id, bad, anna); !fault.Is(err, "platform.not_asked") {
		t.Errorf("while it is down: %v", err)
	}
	r.lab.Mend()
	if err := r.SetOfferState(ctx, uuid.New(), m.ID, false, anna); !fault.Is(err, "offer.unknown") {
		t.Errorf("of another platform: %v", err)
	}
	for range 2 {
		if err := r.SetOfferState(ctx, id, m.ID, false, anna); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := r.Offers(ctx, r.A.ID); err != nil || len(all) != 0 {
		t.Errorf("offers after it was turned off: %+v, %v", all, err)
	}
}

func TestADownPlatformIsToldOnce(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	health := func() platform.Health {
		r.Clock.Advance(time.Minute)
		if err := r.CheckAll(ctx); err != nil {
			t.Fatal(err)
		}
		p, err := r.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return p.Health
	}
	var seen []string
	say := func(h platform.Health) { seen = append(seen, string(h)) }
	say(health())
	r.lab.Break(lab.Fault{Status: 502})
	say(health())
	say(health())
	say(health())
	r.lab.Mend()
	say(health())
	r.lab.Break(lab.Fault{Status: 502, Times: 1})
	say(health())
	say(health())
	r.lab.RemoveToken("good")
	say(health())
	if got := strings.Join(seen, " "); got != "up up down down up up up down" {
		t.Errorf("health: %s", got)
	}
	if got := strings.Join(r.alerts(t), " "); got != "platform.down platform.up platform.down" {
		t.Errorf("alerts: %s", got)
	}
	if ok, note, err := r.Test(ctx, id); ok || note == "" || err != nil {
		t.Errorf("tested by hand: %t %q %v", ok, note, err)
	}
}

func TestCapacityFollowsThePlatform(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	m := r.mapped(t, id)
	r.lab.AddStray("somebody's")
	if err := r.CapacityAll(ctx); err != nil {
		t.Fatal(err)
	}
	now, err := r.Offer(ctx, id, m.ID)
	if err != nil || now.Free() != m.Free()-1 {
		t.Errorf("%d free, was %d, %v", now.Free(), m.Free(), err)
	}
	r.lab.SetRoom(1, 0)
	if err := r.RefreshCapacity(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Hold(ctx, r.A.ID, platform.HoldRequest{Key: "x", SKU: "vps-s", Region: "ams", Until: r.Clock.Now().Add(time.Hour)}); !fault.Is(err, "platform.full") {
		t.Errorf("a full one: %v", err)
	}
	r.lab.Break(lab.Fault{Status: 500})
	if err := r.CapacityAll(ctx); err != nil {
		t.Errorf("an outage is no error of ours: %v", err)
	}
}

// show writes a tenant's service as the door does.
func (r *rig) show(t testing.TB, who tenancy.Tenant, id, platformID uuid.UUID, ref, desired, observed string, ended bool) {
	t.Helper()
	s := tenancy.ServiceShown{ID: id, SKU: "vps-s", Label: "VPS S", PlatformID: platformID, Region: "ams", Ref: ref, Desired: desired, Observed: observed, ChangedAt: r.Clock.Now()}
	if ended {
		at := r.Clock.Now()
		s.EndedAt = &at
	}
	err := r.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error { return tx.ShowService(t.Context(), s) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestReconcile(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	d, err := r.Open(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	make := func(who tenancy.Tenant) (uuid.UUID, string) {
		service := uuid.New()
		c, err := d.Create(ctx, provisioners.CreateRequest{Key: platform.Key(who.ID, service), Name: "x", Image: "11", Parameters: map[string]any{"packageId": 1.0, "hypervisorGroupId": 1.0}})
		if err != nil {
			t.Fatal(err)
		}
		return service, string(c.Ref)
	}
	well, wellRef := make(r.A)
	r.show(t, r.A, well, id, wellRef, "active", "active", false)
	zombie, zombieRef := make(r.B)
	r.show(t, r.B, zombie, id, zombieRef, "terminated", "gone", true)
	lost, _ := make(r.B)
	r.show(t, r.B, lost, id, "", "active", "installing", false)
	r.show(t, r.A, uuid.New(), id, "999", "active", "active", false)
	drifted, driftRef := make(r.A)
	r.show(t, r.A, drifted, id, driftRef, "suspended", "suspended", false)
	r.show(t, r.A, uuid.New(), uuid.New(), "1000", "active", "active", false) // another platform's
	stray := provisioners.Ref(strconv.FormatInt(r.lab.AddStray("stray"), 10))

	rep, err := r.Reconcile(ctx, id)
	if err != nil || len(rep.Findings) != 0 || rep.Young != 5 {
		t.Fatalf("at once: %+v, %v", rep, err)
	}
	r.Clock.Advance(time.Hour)
	rep, err = r.Reconcile(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range rep.Findings {
		got = append(got, string(f.Kind))
	}
	if strings.Join(got, " ") != "missing zombie unbilled unbilled drift" || rep.Running != 5 || rep.Known != 3 {
		t.Fatalf("%v: %+v", got, rep)
	}
	if err := r.ReconcileAll(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.ReconcileAll(ctx); err != nil {
		t.Fatal(err)
	}
	if got := r.alerts(t); len(got) != 1 || got[0] != "platform.drift" {
		t.Errorf("alerts: %v", got)
	}
	var nudged []uuid.UUID
	nudge := func(_ context.Context, _ tenancy.ID, service uuid.UUID) error {
		nudged = append(nudged, service)
		return nil
	}
	for _, f := range rep.Findings {
		q := platform.RepairRequest{Kind: f.Kind, Ref: f.Ref, Repair: f.Repairs()[0]}
		if f.Kind == platform.Drift || f.Kind == platform.Missing {
			wrong := q
			wrong.Repair = platform.Remove
			if err := r.Mend(ctx, id, wrong, nudge, anna); !fault.Is(err, "platform.wrong_repair") {
				t.Errorf("removing what is only %s: %v", f.Kind, err)
			}
		}
		if err := r.Mend(ctx, id, q, nudge, anna); err != nil {
			t.Errorf("%s: %v", f.Kind, err)
		}
	}
	if len(nudged) != 3 {
		t.Errorf("nudged: %v", nudged)
	}
	if err := r.Mend(ctx, id, platform.RepairRequest{Kind: platform.Unbilled, Ref: stray, Repair: platform.Remove}, nudge, anna); !fault.Is(err, "platform.nothing_to_repair") {
		t.Errorf("twice: %v", err)
	}
	if err := r.Mend(ctx, id, platform.RepairRequest{Kind: platform.Unbilled, Ref: provisioners.Ref(wellRef), Repair: platform.Remove}, nudge, anna); !fault.Is(err, "platform.nothing_to_repair") {
		t.Errorf("what is well: %v", err)
	}
	if n := len(r.lab.Servers()); n != 3 {
		t.Errorf("%d servers left, want 3", n)
	}
}

func TestServicesOfAllTenants(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	one := uuid.New()
	r.show(t, r.A, one, id, "1", "active", "active", false)
	r.show(t, r.B, uuid.New(), id, "2", "suspended", "suspended", false)
	r.show(t, r.B, uuid.New(), id, "3", "terminated", "gone", true)
	for _, test := range []struct {
		name   string
		filter platform.ServiceFilter
		want   int
	}{
		{"all", platform.ServiceFilter{}, 2}, {"one reseller's", platform.ServiceFilter{Tenant: r.B.ID}, 1}, {"running", platform.ServiceFilter{State: "running"}, 1},
		{"ended", platform.ServiceFilter{State: "ended"}, 1}, {"by id", platform.ServiceFilter{Text: one.String()}, 1}, {"by reseller", platform.ServiceFilter{Text: r.A.Name}, 1},
		{"junk", platform.ServiceFilter{Text: "%_\\\x00\xff", State: "'", Sort: "; DROP", Offset: -1, Limit: 1 << 30}, 0}, {"sorted", platform.ServiceFilter{Sort: "reseller", Desc: true}, 2},
		{"another platform", platform.ServiceFilter{Platform: uuid.New()}, 0},
	} {
		rows, total, err := r.Services(ctx, test.filter)
		if err != nil || len(rows) != test.want || total != test.want {
			t.Errorf("%s: %d of %d, want %d, %v", test.name, len(rows), total, test.want, err)
		}
	}
	if s, err := r.Service(ctx, r.A.ID, one); err != nil || s.Platform != "Amsterdam" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := r.Service(ctx, r.B.ID, one); !fault.Is(err, "service.unknown") {
		t.Errorf("as another tenant's: %v", err)
	}
}

func TestRewrap(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	id := r.connect(t)
	fresh, err := secrets.NewKey("k2")
	if err != nil {
		t.Fatal(err)
	}
	both, err := secrets.Parse(fresh + "," + r.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} {
		var n int
		err := r.World.Central.Update(ctx, func(tx *tenancy.CentralTx) (err error) {
			n, err = platform.Rewrap(ctx, tx, both, 10)
			return err
		})
		if err != nil || n != want {
			t.Fatalf("%d sealed again, want %d, %v", n, want, err)
		}
	}
	only, err := secrets.Parse(fresh)
	if err != nil {
		t.Fatal(err)
	}
	after := &platform.Registry{Central: r.World.Central, Keys: only, Client: r.Client, Drivers: r.Drivers}
	if d, err := after.Open(ctx, id); err != nil {
		t.Error(err)
	} else if _, err := d.(provisioners.Checker).Check(ctx); err != nil {
		t.Errorf("with the token sealed again: %v", err)
	}
}
