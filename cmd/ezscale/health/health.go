// Package health says whether this process can do its work and which part keeps it
// from it. It knows no part: they register a check.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// State is where the process stands in its life.
type State string

// The states of a process. Only a serving one is ready.
const (
	Starting State = "starting"
	Ready    State = "serving"
	Draining State = "draining"
)

// checkTimeout bounds one check; fresh is how long its answer is good for, so that
// many who ask cost one.
const (
	checkTimeout = 2 * time.Second
	fresh        = 500 * time.Millisecond
)

// Report collects what the parts say. It is safe for concurrent use.
type Report struct {
	mu    sync.Mutex
	state State
	parts []part

	asking sync.Mutex
	at     time.Time
	last   map[string]string
}

type part struct {
	name   string
	shared bool
	check  func(context.Context) error
}

// New makes a report of a process that is starting.
func New() *Report { return &Report{state: Starting} }

// Part registers the check of a part without which this process must get no visitors.
func (r *Report) Part(name string, check func(context.Context) error) {
	r.add(part{name: name, check: check})
}

// Shared registers the check of a part that every process leans on, such as the
// database: when it is away it is away for all, and a process that still answers from
// memory must not be taken out of service together with every other.
func (r *Report) Shared(name string, check func(context.Context) error) {
	r.add(part{name: name, shared: true, check: check})
}

func (r *Report) add(p part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, p)
}

// Serving says that everything is built.
func (r *Report) Serving() { r.set(Ready) }

// Draining says that the process is about to stop and must get no new visitors.
func (r *Report) Draining() { r.set(Draining) }

// IsDraining reports whether the process is about to stop.
func (r *Report) IsDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == Draining
}

func (r *Report) set(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

// Answer is what /readyz says.
type Answer struct {
	Ready  bool              `json:"ready"`  // everything is well
	Serves bool              `json:"serves"` // visitors may be sent here: no part of its own is missing
	State  State             `json:"state"`
	Parts  map[string]string `json:"parts"` // "ok", or what is wrong
}

// Ask runs the checks, all at once.
func (r *Report) Ask(ctx context.Context) Answer {
	r.mu.Lock()
	state, parts := r.state, slices.Clone(r.parts)
	r.mu.Unlock()
	a := Answer{State: state, Parts: r.run(ctx, parts), Ready: state == Ready, Serves: state == Ready}
	for _, p := range parts {
		well := a.Parts[p.name] == "ok"
		a.Ready = a.Ready && well
		a.Serves = a.Serves && (well || p.shared)
	}
	return a
}

func (r *Report) run(ctx context.Context, parts []part) map[string]string {
	r.asking.Lock()
	defer r.asking.Unlock()
	if r.last != nil && len(r.last) == len(parts) && time.Since(r.at) < fresh {
		return r.last
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	said := make([]string, len(parts))
	var wait sync.WaitGroup
	for i, p := range parts {
		wait.Go(func() {
			said[i] = "ok"
			if err := p.check(ctx); err != nil {
				said[i] = err.Error()
			}
		})
	}
	wait.Wait()
	all := map[string]string{}
	for i, p := range parts {
		all[p.name] = said[i]
	}
	r.at, r.last = time.Now(), all
	return all
}

// Live answers /healthz: the process runs and can answer.
func (r *Report) Live(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ServeReady answers /readyz: 200 when every part is well and the process serves,
// else 503; both name each part.
func (r *Report) ServeReady(w http.ResponseWriter, req *http.Request) {
	a := r.Ask(req.Context())
	status := http.StatusOK
	if !a.Ready {
		status = http.StatusServiceUnavailable
	}
	write(w, status, a)
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
