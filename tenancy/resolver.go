package tenancy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/jackc/pgx/v5"
)

// DirectoryChannel is where the database tells nodes which tenant changed. The
// payload is "tenant <number>" or "all".
const DirectoryChannel = "ezscale_directory"

// ResolverConfig makes a Resolver. Zero durations mean the usual ones.
type ResolverConfig struct {
	Directory Directory
	// Listen opens the session the notifications arrive on; nil: rely on polling alone.
	Listen        func(ctx context.Context) (*pgx.Conn, error)
	PlatformHosts []string // known and nobody's: console, partner
	Poll          time.Duration
	Resync        time.Duration
	Log           *slog.Logger
}

const (
	pollEvery   = 500 * time.Millisecond
	resyncEvery = 30 * time.Second
	loadTimeout = 10 * time.Second
	manyChanged = 64 // from here one full load is cheaper than so many small ones
)

// Resolver keeps the directory in memory. Look-ups read one immutable map and never
// reach the database: memory is the authority, so that an unknown host costs a map
// look-up and there is nothing a flood of invented names could fill. When Postgres
// is away the last known state keeps serving.
//
// A change arrives by notification within milliseconds, by asking for changes twice
// a second when the notification was lost, and by a full load every half minute
// whatever happens.
type Resolver struct {
	cfg      ResolverConfig
	state    atomic.Pointer[directoryState]
	load     sync.Mutex // one writer of state at a time
	mu       sync.Mutex // guards watchers
	watchers []func(Tenant)
	told     chan string // payloads from the listener
}

// directoryState is immutable once stored.
type directoryState struct {
	hosts map[string]*Tenant
	ids   map[ID]*Tenant
	of    map[ID][]string // the tenant's hosts
	mark  string
	at    time.Time
}

// NewResolver makes a resolver that knows nothing yet; see Refresh and Run.
func NewResolver(cfg ResolverConfig) *Resolver {
	if cfg.Poll <= 0 {
		cfg.Poll = pollEvery
	}
	if cfg.Resync <= 0 {
		cfg.Resync = resyncEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Resolver{cfg: cfg, told: make(chan string, 1024)}
	r.state.Store(&directoryState{})
	return r
}

// Lookup returns the tenant a host serves. host is in NormalizeHost's form. It does
// not allocate and does not wait.
func (r *Resolver) Lookup(host string) (Tenant, bool) {
	t, ok := r.state.Load().hosts[host]
	if !ok {
		return Tenant{}, false
	}
	return *t, true
}

// ByID returns the tenant with this number.
func (r *Resolver) ByID(id ID) (Tenant, bool) {
	t, ok := r.state.Load().ids[id]
	if !ok {
		return Tenant{}, false
	}
	return *t, true
}

// Known reports whether a host is a tenant's or the platform's own.
func (r *Resolver) Known(host string) bool {
	if _, ok := r.state.Load().hosts[host]; ok {
		return true
	}
	return r.IsPlatform(host)
}

// IsPlatform reports whether a host is one of the platform's own.
func (r *Resolver) IsPlatform(host string) bool { return slices.Contains(r.cfg.PlatformHosts, host) }

// Hosts returns the hosts that serve a tenant.
func (r *Resolver) Hosts(id ID) []string { return slices.Clone(r.state.Load().of[id]) }

// Tenants calls yield for every tenant until it returns false, in no order.
func (r *Resolver) Tenants(yield func(Tenant) bool) {
	for _, t := range r.state.Load().ids {
		if !yield(*t) {
			return
		}
	}
}

// Size returns how many tenants and hosts are known.
func (r *Resolver) Size() (tenants, hosts int) {
	s := r.state.Load()
	return len(s.ids), len(s.hosts)
}

// Loaded is when the last full load succeeded; zero before the first.
func (r *Resolver) Loaded() time.Time { return r.state.Load().at }

// Subscribe registers f to be called with each tenant that changed, after look-ups
// see the change. A tenant that is gone arrives with status Dropped. f is called
// from one goroutine at a time and must not wait.
func (r *Resolver) Subscribe(f func(Tenant)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.watchers, f)
}

// Refresh loads the whole directory.
func (r *Resolver) Refresh(ctx context.Context) error {
	r.load.Lock()
	defer r.load.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	snap, err := r.cfg.Directory.Load(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	old, next := r.state.Load(), newState(len(snap.Entries))
	next.mark, next.at = snap.Mark, wallClock()
	next.add(snap.Entries)
	changed := changes(old, next)
	if len(changed) == 0 && leadAlike(old, next) { // what requests read stays where it is in memory
		same := *old
		same.mark, same.at = next.mark, next.at
		next = &same
	}
	r.state.Store(next)
	for _, id := range changed {
		r.tellOf(id, old, next)
	}
	return nil
}

// changes are the tenants about which two states disagree.
func changes(old, now *directoryState) (ids []ID) {
	for id := range now.ids {
		if differs(id, old, now) {
			ids = append(ids, id)
		}
	}
	for id := range old.ids {
		if _, still := now.ids[id]; !still {
			ids = append(ids, id)
		}
	}
	return ids
}

// leadAlike reports whether every host leads to the same tenant in both.
func leadAlike(a, b *directoryState) bool {
	for host, t := range b.hosts {
		if was, ok := a.hosts[host]; !ok || was.ID != t.ID {
			return false
		}
	}
	return len(a.hosts) == len(b.hosts)
}

// RefreshTenant loads what the directory says about some tenants now. Who has just
// changed a tenant calls it to see the change on this node at once.
func (r *Resolver) RefreshTenant(ctx context.Context, ids ...ID) error {
	r.load.Lock()
	defer r.load.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	return r.refreshTenants(ctx, ids, r.state.Load().mark)
}

// refreshTenants loads some tenants anew. The maps are copied only when something is
// different: what a notification brought comes once more with the next poll.
func (r *Resolver) refreshTenants(ctx context.Context, ids []ID, mark string) error {
	old, fresh := r.state.Load(), newState(0)
	for _, id := range ids {
		entries, err := r.cfg.Directory.Tenant(ctx, id)
		if err != nil {
			return fmt.Errorf("load tenant %s: %w", id, err)
		}
		fresh.add(entries)
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id ID) bool { return !differs(id, old, fresh) })
	next := *old
	next.mark = mark
	if len(ids) > 0 {
		next.hosts, next.ids, next.of = clone(old.hosts), clone(old.ids), clone(old.of)
		for _, id := range ids {
			next.remove(id)
		}
		for _, id := range ids { // after all removals: a host may have moved from one to the other
			next.take(id, fresh)
		}
	}
	r.state.Store(&next)
	for _, id := range ids {
		r.tellOf(id, old, &next)
	}
	return nil
}

func newState(size int) *directoryState {
	return &directoryState{hosts: make(map[string]*Tenant, size), ids: map[ID]*Tenant{}, of: map[ID][]string{}}
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// differs reports whether two states disagree about a tenant.
func differs(id ID, a, b *directoryState) bool {
	x, inA := a.ids[id]
	y, inB := b.ids[id]
	return inA != inB || inA && (!sameTenant(x, y) || !slices.Equal(a.of[id], b.of[id]))
}

func (s *directoryState) remove(id ID) {
	for _, h := range s.of[id] {
		if t := s.hosts[h]; t != nil && t.ID == id {
			delete(s.hosts, h)
		}
	}
	delete(s.ids, id)
	delete(s.of, id)
}

func (s *directoryState) take(id ID, from *directoryState) {
	t, ok := from.ids[id]
	if !ok {
		return
	}
	s.ids[id], s.of[id] = t, from.of[id]
	for _, h := range from.of[id] {
		s.hosts[h] = t
	}
}

// add puts entries into a state that is not stored yet; a tenant is kept once.
func (s *directoryState) add(entries []Entry) {
	for i := range entries {
		e := &entries[i]
		t, ok := s.ids[e.Tenant.ID]
		if !ok {
			copied := kept(e.Tenant) // not &e.Tenant: that would keep the whole slice alive
			t = &copied
			s.ids[t.ID] = t
		}
		host := e.Host
		if host == t.PrimaryHost {
			host = t.PrimaryHost // one text in memory, read once for both
		}
		s.hosts[host] = t
		s.of[t.ID] = append(s.of[t.ID], host)
	}
	for i := range entries {
		slices.Sort(s.of[entries[i].Tenant.ID])
	}
}

// kept is a tenant for the memory of the directory. What thousands have alike is there
// once: a request of any of them finds it near the processor.
func kept(t Tenant) Tenant {
	t.Status, t.Restriction = alike(t.Status), alike(t.Restriction)
	t.Theme, t.Locale, t.Currency, t.TimeZone = alike(t.Theme), alike(t.Locale), alike(t.Currency), alike(t.TimeZone)
	return t
}

func alike[S ~string](s S) S { return unique.Make(s).Value() }

// sameTenant compares what the directory knows; clocks are not the directory's.
func sameTenant(a, b *Tenant) bool {
	x, y := *a, *b
	x.Clock, y.Clock = nil, nil
	return x.ID == y.ID && x.Slug == y.Slug && x.Name == y.Name && x.Status == y.Status && x.StatusNote == y.StatusNote &&
		x.Sandbox == y.Sandbox && x.PrimaryHost == y.PrimaryHost && x.Theme == y.Theme && x.BrandVersion == y.BrandVersion &&
		x.ContentVersion == y.ContentVersion && x.SchemaVersion == y.SchemaVersion && x.Locale == y.Locale &&
		x.Currency == y.Currency && x.TimeZone == y.TimeZone && x.RequireTOTP == y.RequireTOTP && x.Restriction == y.Restriction
}

// tellOf tells the watchers of a tenant about which two states disagree.
func (r *Resolver) tellOf(id ID, old, now *directoryState) {
	if t, ok := now.ids[id]; ok {
		r.tell(*t)
		return
	}
	t := *old.ids[id]
	t.Status = Dropped
	r.tell(t)
}

func (r *Resolver) tell(t Tenant) {
	r.mu.Lock()
	watchers := r.watchers
	r.mu.Unlock()
	for _, f := range watchers {
		f(t)
	}
}
