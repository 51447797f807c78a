package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// memory is a directory in memory; the one over the central schema is tested beside it.
type memory struct {
	mu      sync.Mutex
	entries []tenancy.Entry
	down    bool
}

var errDown = errors.New("down")

func (m *memory) Load(context.Context) (tenancy.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return tenancy.Snapshot{}, errDown
	}
	return tenancy.Snapshot{Entries: append([]tenancy.Entry(nil), m.entries...), Mark: "1"}, nil
}

func (m *memory) Tenant(_ context.Context, id tenancy.ID) (found []tenancy.Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	for _, e := range m.entries {
		if e.Tenant.ID == id {
			found = append(found, e)
		}
	}
	return found, nil
}

func (m *memory) Changes(_ context.Context, mark string) ([]tenancy.ID, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, "", errDown
	}
	return nil, mark, nil
}

func (m *memory) set(entries ...tenancy.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = entries
}

func entry(t testing.TB, n int64, host string) tenancy.Entry {
	t.Helper()
	id, err := tenancy.NumberedID(n)
	if err != nil {
		t.Fatal(err)
	}
	return tenancy.Entry{Host: host, Kind: tenancy.OwnHost, Tenant: tenancy.Tenant{
		ID: id, Slug: fmt.Sprintf("shop-%d", n), Name: fmt.Sprintf("Shop number %d", n), Status: tenancy.Active,
		PrimaryHost: host, Theme: "base", Locale: "en", Currency: "EUR", TimeZone: "Europe/Berlin",
	}}
}

func TestResolverAnswersFromMemory(t *testing.T) {
	ctx := t.Context()
	a, b := entry(t, 1, "alpha.test"), entry(t, 2, "beta.test")
	dir := &memory{}
	dir.set(a, b)
	r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: dir, PlatformHosts: []string{"console.test"}})
	var heard []string
	r.Subscribe(func(t tenancy.Tenant) { heard = append(heard, t.ID.String()+" "+string(t.Status)) })
	expect := func(want ...string) {
		t.Helper()
		if fmt.Sprint(heard) != fmt.Sprint(want) {
			t.Errorf("subscribers heard %v, want %v", heard, want)
		}
		heard = nil
	}
	if _, ok := r.Lookup("alpha.test"); ok {
		t.Error("an empty resolver knows a host")
	}
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	heard = nil
	if got, ok := r.Lookup("alpha.test"); !ok || got.ID != a.Tenant.ID {
		t.Errorf("alpha.test is %v, %v", got, ok)
	}
	if got, ok := r.ByID(b.Tenant.ID); !ok || got.Slug != "shop-2" {
		t.Errorf("tenant 2 is %v, %v", got, ok)
	}
	if _, ok := r.Lookup("console.test"); ok || !r.Known("console.test") || r.Known("gamma.test") {
		t.Error("the platform's host must be known and nobody's; an unknown host neither")
	}

	// A host moves from one tenant to the other; both are named, in the wrong order.
	moved := b
	moved.Host = "shop.alpha.test"
	dir.set(a, b, moved)
	if err := r.RefreshTenant(ctx, b.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	expect("2 active")
	moved.Tenant = a.Tenant
	dir.set(a, b, moved)
	if err := r.RefreshTenant(ctx, a.Tenant.ID, b.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Lookup("shop.alpha.test"); got.ID != a.Tenant.ID {
		t.Errorf("the moved host is %v's", got.ID)
	}
	expect("1 active", "2 active")

	if err := r.RefreshTenant(ctx, a.Tenant.ID, b.Tenant.ID); err != nil {
		t.Fatal(err)
	}
	expect() // nothing changed, nobody is woken

	dir.set(a, moved)
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	expect("2 dropped")
	if r.Known("beta.test") {
		t.Error("the host of a tenant that is gone is still known")
	}

	dir.down = true
	if err := r.Refresh(ctx); !errors.Is(err, errDown) {
		t.Error(err)
	}
	if _, ok := r.Lookup("alpha.test"); !ok {
		t.Error("a failed refresh forgot what was known")
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	dir := &memory{}
	dir.set(entry(t, 1, "alpha.test"))
	r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: dir})
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(1000, func() {
		if got, ok := r.Lookup("alpha.test"); !ok || got.ID.Number() != 1 {
			panic("lost")
		}
		r.Known("nobody.test")
	})
	if n != 0 {
		t.Errorf("%v allocations a look-up", n)
	}
}

func TestTenThousandTenantsFitInMemory(t *testing.T) {
	dir := &memory{}
	before := heapInUse()
	entries := make([]tenancy.Entry, 0, 20_000)
	for n := range int64(10_000) {
		own := entry(t, n+1, fmt.Sprintf("shop-%d.platform.test", n+1))
		domain := own
		domain.Host = fmt.Sprintf("www.shop-number-%d.example", n+1)
		entries = append(entries, own, domain)
	}
	dir.set(entries...)
	r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: dir})
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir.set() // what remains is the resolver's
	clear(entries)
	if tenants, hosts := r.Size(); tenants != 10_000 || hosts != 20_000 {
		t.Errorf("%d tenants, %d hosts", tenants, hosts)
	}
	grown := heapInUse() - before
	t.Logf("10,000 tenants with two hosts each: %.1f MB", float64(grown)/1e6)
	if grown > 30e6 {
		t.Errorf("the directory keeps %d bytes", grown)
	}
	runtime.KeepAlive(r)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

// TestRunComesBackWithTheDirectory: a directory that is away when Run starts and
// again later never ends it.
func TestRunComesBackWithTheDirectory(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	dir := &memory{down: true}
	dir.set(entry(t, 1, "alpha.test"))
	r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: dir, Poll: time.Millisecond, Resync: 5 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	power := func(down bool) {
		dir.mu.Lock()
		defer dir.mu.Unlock()
		dir.down = down
	}
	power(false)
	eventually(t, "the directory is loaded", func() bool { return r.Known("alpha.test") })
	power(true)
	time.Sleep(20 * time.Millisecond)
	if !r.Known("alpha.test") {
		t.Error("forgotten while the directory was away")
	}
	dir.set(entry(t, 1, "alpha.test"), entry(t, 2, "beta.test"))
	power(false)
	eventually(t, "the second tenant is seen", func() bool { return r.Known("beta.test") })
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
