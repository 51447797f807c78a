// Package bench measures what the platform promises to be fast, against a floor in
// the same run, and says whether each promise holds. It brings its own servers; it
// decides nothing and is part of no test.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is one measured figure.
type Result struct {
	Bench  string  `json:"bench"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target string  `json:"target"` // empty: reported, nothing promised
	Met    bool    `json:"met"`
}

// Report is what a run prints.
type Report struct {
	Machine string   `json:"machine"`
	Results []Result `json:"results"`
}

// Options of a run.
type Options struct {
	Tenants   int           // size of the big fleet; 0: 10,000
	Duration  time.Duration // of each load; 0: 4 s
	Customers int           // of the shop whose twin is lived in; 0: 1,000
	Full      bool          // also the sizes that take minutes to build
	BinDir    string        // PostgreSQL's binaries; empty: found
	NPMRoot   string        // where node_modules lies
	Self      string        // our own binary, started again as the measured server
	Progress  io.Writer     // what is being done; nil: silent
}

// All are the benches by name, in the order that builds one fleet up once.
func All() []string {
	return []string{"bound", "page", "migrate", "tenant", "serve", "tls", "wholesale", "renewals", "signedin", "checkout", "documents", "pricing", "preview", "twin", "usage"}
}

// Run runs the named benches (all when none is named) and returns what they measured.
// A bench that cannot run is an error; a promise not kept is a result.
func Run(ctx context.Context, names []string, o Options) (Report, error) {
	if len(names) == 0 {
		names = All()
	}
	for _, n := range names {
		if !slices.Contains(All(), n) {
			return Report{}, fmt.Errorf("there is no bench %q; there are %s", n, strings.Join(All(), ", "))
		}
	}
	if o.Tenants == 0 {
		o.Tenants = 10_000
	}
	if o.Duration == 0 {
		o.Duration = 4 * time.Second
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	r := &run{Options: o}
	defer r.close()
	for _, n := range All() {
		if !slices.Contains(names, n) {
			continue
		}
		r.say("%s", n)
		if err := r.steps()[n](ctx); err != nil {
			return Report{}, fmt.Errorf("bench %s: %w", n, err)
		}
	}
	return Report{Machine: r.machine(ctx), Results: r.results}, nil
}

// run is one run's state: what it measured and the fleet it has built so far.
type run struct {
	Options
	results []Result
	fleet   *fleetServer
}

func (r *run) steps() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"bound": r.bound, "page": r.page, "migrate": r.migrate, "tenant": r.tenant, "serve": r.serve, "tls": r.tls, "wholesale": r.wholesale, "renewals": r.renewals, "signedin": r.signedin,
		"documents": r.documents,
		"checkout":  r.checkout,
		"pricing":   r.pricing,
		"preview":   r.preview,
		"twin":      r.twin,
		"usage":     r.usage,
	}
}

func (r *run) close() {
	if r.fleet != nil {
		r.fleet.stop()
	}
}

func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.Progress, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

// Limits a figure is held against.
const (
	atMost  = "≤"
	atLeast = "≥"
)

// promise records a figure with what was promised of it.
func (r *run) promise(bench, name string, value float64, unit, is string, limit float64) {
	met := value <= limit
	if is == atLeast {
		met = value >= limit
	}
	r.results = append(r.results, Result{bench, name, value, unit, fmt.Sprintf("%s %s", is, figure(limit)), met})
	r.say("  %s: %s %s (%s %s)", name, figure(value), unit, is, figure(limit))
}

// report records a figure of which nothing is promised.
func (r *run) report(bench, name string, value float64, unit string) {
	r.results = append(r.results, Result{bench, name, value, unit, "", true})
	r.say("  %s: %s %s", name, figure(value), unit)
}

func figure(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func (r *run) machine(ctx context.Context) string {
	m := fmt.Sprintf("%d cores, %s, %s/%s, %s", runtime.NumCPU(), cpuModel(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if r.fleet != nil {
		m += ", PostgreSQL " + r.fleet.version(ctx)
	}
	return m
}

// Print writes the report as a table.
func (rep Report) Print(out io.Writer) error {
	_, _ = fmt.Fprintln(out, rep.Machine)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "bench\tmeasured\tvalue\tunit\ttarget\tmet")
	for _, r := range rep.Results {
		met := ""
		if r.Target != "" {
			met = map[bool]string{true: "yes", false: "NO"}[r.Met]
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Bench, r.Name, figure(r.Value), r.Unit, r.Target, met)
	}
	return w.Flush()
}

// JSON writes the report as one object.
func (rep Report) JSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}
