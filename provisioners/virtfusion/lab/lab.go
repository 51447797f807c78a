// Package lab is a VirtFusion for tests and the demo: a stateful HTTP server that speaks
// the global API as the OpenAPI document and docs/provisioning.md say, with servers that
// take their time to install, and with faults that can be switched on. It delivers nothing.
package lab

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Options make a lab. Zero values mean the usual.
type Options struct {
	Clock        func() time.Time // nil: the machine's
	InstallDelay time.Duration    // from the build call until the server is complete; 0: at once
	TaskDelay    time.Duration    // how long other tasks (power, password) keep it busy; 0: not at all
	DeleteDelay  time.Duration    // when a delete names no delay; 0: at once
	PerMinute    int              // calls a token may make; 0: any number
	Groups       []Group          // nil: three, in Amsterdam, Frankfurt and New York
	// File keeps the lab's state over restarts; empty: it lives in memory.
	File string
	Log  *slog.Logger
}

// Lab is one simulated VirtFusion. It is safe for concurrent use.
type Lab struct {
	o  Options
	mu sync.Mutex
	world
	tokens map[string]*token
	faults []*Fault
	calls  []Call
	mux    *http.ServeMux
	ofUser *http.ServeMux
}

type token struct {
	permissions []string // empty: all
	window      time.Time
	used        int
}

// Call is one request the lab answered.
type Call struct {
	Method string
	Path   string
	Status int // 0: it was not answered
}

// New makes a lab with two groups in two places, four packages and the usual operating
// systems, and reads what its file kept. It has no token yet.
func New(o Options) *Lab {
	if o.Clock == nil {
		o.Clock = time.Now //nolint:forbidigo // where nobody passes one in
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := seed()
	if o.Groups != nil {
		w.Groups = o.Groups
	}
	l := &Lab{o: o, world: w, tokens: map[string]*token{}, mux: http.NewServeMux(), ofUser: http.NewServeMux()}
	l.load()
	l.routes()
	return l
}

// Permissions of a token, as the lab knows them.
const (
	PermServers  = "servers"
	PermUsers    = "users"
	PermPackages = "packages"
	PermGroups   = "hypervisor groups"
	PermMedia    = "media"
	PermKeys     = "ssh keys"
)

// SetInstallDelay changes how long installations take from now on.
func (l *Lab) SetInstallDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.InstallDelay = d
}

// AddToken lets a token in; without permissions it may do everything.
func (l *Lab) AddToken(value string, permissions ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[value] = &token{permissions: permissions}
}

// RemoveToken locks a token out.
func (l *Lab) RemoveToken(value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tokens, value)
}

// Servers are all that are there, by id.
func (l *Lab) Servers() []Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tidy()
	all := make([]Server, 0, len(l.world.Servers))
	for _, s := range l.world.Servers {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Server) int { return int(a.ID - b.ID) })
	return all
}

// DeleteBehind removes a server as somebody at VirtFusion's own panel would. It reports
// false when there is none.
func (l *Lab) DeleteBehind(id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.world.Servers[id]
	delete(l.world.Servers, id)
	l.save()
	return ok
}

// AddStray puts a server there that nobody ordered from us, and returns its id.
func (l *Lab) AddStray(name string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.Packages[0]
	s := &Server{ID: l.id(), UUID: l.uuid(), UserID: 0, GroupID: l.Groups[0].ID, Hypervisor: l.Groups[0].Hypervisors[0].ID, PackageID: p.ID, Name: name,
		MemoryMB: p.MemoryMB, Cores: p.Cores, DiskGB: p.DiskGB, TrafficGB: p.TrafficGB, Template: 11, CreatedAt: l.now(), BuildAt: l.now(), ReadyAt: l.now()}
	l.world.Servers[s.ID] = s
	l.save()
	return s.ID
}

// FailBuild makes the installation of a server end badly.
func (l *Lab) FailBuild(id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.world.Servers[id]
	if ok {
		s.Failed = true
		l.save()
	}
	return ok
}

// SetRoom changes how much memory each hypervisor of a group has; 0 makes it full.
func (l *Lab) SetRoom(group int64, memoryMB int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.Groups {
		if l.Groups[i].ID != group {
			continue
		}
		for j := range l.Groups[i].Hypervisors {
			l.Groups[i].Hypervisors[j].MemoryMB = memoryMB
			l.Groups[i].Hypervisors[j].Prohibit = memoryMB == 0
		}
		l.save()
		return true
	}
	return false
}

// Calls are the requests answered since the last call of it, without those of the
// control path.
func (l *Lab) Calls() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.calls
	l.calls = nil
	return all
}

// now is the lab's time, to the second as VirtFusion tells it.
func (l *Lab) now() time.Time { return l.o.Clock().UTC().Truncate(time.Second) }

// id is the next number.
func (l *Lab) id() int64 {
	l.Next++
	return l.Next
}

func (l *Lab) uuid() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", l.Next) }

// tidy removes what its time has come for.
func (l *Lab) tidy() {
	now := l.now()
	for id, s := range l.world.Servers {
		if !s.DeleteAt.IsZero() && !s.DeleteAt.After(now) {
			delete(l.world.Servers, id)
		}
	}
}

// load reads the file. One that cannot be read is left behind with a warning.
func (l *Lab) load() {
	if l.o.File == "" {
		return
	}
	b, err := os.ReadFile(l.o.File)
	if os.IsNotExist(err) {
		return
	}
	var w world
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		l.o.Log.Warn("the laboratory's state cannot be read; it begins anew", "file", l.o.File, "error", err)
		return
	}
	// Groups, packages and templates are the program's; the rest is what happened.
	l.Next = max(l.Next, w.Next)
	for id, s := range w.Servers {
		l.world.Servers[id] = s
	}
	for id, u := range w.Users {
		l.Users[id] = u
	}
	for id, k := range w.Keys {
		l.Keys[id] = k
	}
}

// save writes the file, in one piece.
func (l *Lab) save() {
	if l.o.File == "" {
		return
	}
	b, err := json.Marshal(l.world)
	if err == nil {
		tmp := l.o.File + ".new"
		if err = os.MkdirAll(filepath.Dir(l.o.File), 0o700); err == nil {
			if err = os.WriteFile(tmp, b, 0o600); err == nil {
				err = os.Rename(tmp, l.o.File)
			}
		}
	}
	if err != nil {
		l.o.Log.Warn("the laboratory's state cannot be kept", "file", l.o.File, "error", err)
	}
}

// address is the n-th of a group's pool that nobody has.
func (l *Lab) addresses(g Group, n int) []string {
	taken := map[string]bool{}
	for _, s := range l.world.Servers {
		for _, a := range s.IPv4 {
			taken[a] = true
		}
	}
	var got []string
	a, err := netip.ParseAddr(g.Net)
	for i := 0; err == nil && i < g.IPv4 && len(got) < n; i, a = i+1, a.Next() {
		if !taken[a.String()] {
			got = append(got, a.String())
		}
	}
	if len(got) < n {
		return nil
	}
	return got
}
