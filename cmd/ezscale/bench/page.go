package bench

import (
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

func shopHost(n int) string { return fmt.Sprintf("s%d.%s", n+1, platform) }

// fewTenants is the fleet that the big one is compared with.
const fewTenants = 100

// page compares the anonymous home page of random tenants, as browsers ask for it and
// through everything a request passes, with a bare handler that writes the same bytes: of few tenants and of
// many, each on servers of their own that stand side by side.
func (r *run) page(ctx context.Context) error {
	many, err := r.grow(ctx, r.Tenants)
	if err != nil {
		return err
	}
	few, err := newFleet()
	if err != nil {
		return err
	}
	defer few.stop()
	if err := few.growTo(ctx, r, fewTenants); err != nil {
		return err
	}
	began := time.Now()
	sides, err := r.pageCosts(ctx, few, many)
	if err != nil {
		return err
	}
	took := time.Since(began)
	for _, s := range sides {
		at := fmt.Sprintf(" of %d tenants", s.tenants)
		r.report("page", "bare handler, asked for pages"+at, s.bare.perSecond(), "req/s")
		r.report("page", "home page"+at, s.loads.perSecond(), "req/s")
		r.report("page", "home page"+at+", processor time", micros(s.loads.cpu()), "µs/req")
		r.promise("page", "home page ÷ bare handler"+at, 100*median(s.shares()), "%", atLeast, 50)
		r.promise("page", fmt.Sprintf("transactions of the database during %d hits", s.loads.requests()), float64(s.asked)/took.Seconds(), "/s", atMost, idleTransactions)
	}
	r.promise("page", fmt.Sprintf("share of bare at %d tenants ÷ at %d", sides[1].tenants, sides[0].tenants),
		100*sides[1].against(sides[0]), "%", atLeast, 90)
	r.report("page", fmt.Sprintf("requests a second at %d tenants ÷ at %d", sides[1].tenants, sides[0].tenants),
		100*sides[1].loads.perSecond()/sides[0].loads.perSecond(), "%")
	return r.pageChange(ctx)
}

// pageSide is the program on one fleet, and what its pages cost.
type pageSide struct {
	loads   turns
	bare    turns // of the bare handler, asked what the program is asked: many names cost who asks, too
	fleet   *fleetServer
	site    *site
	visits  [][]byte
	tenants int
	asked   int64 // transactions of the database that it took
}

// shares are how much of the bare handler's speed is left, turn by turn: the two that are
// compared stand side by side.
func (s *pageSide) shares() (all []float64) {
	for i := range s.loads {
		all = append(all, s.loads[i].perSecond/s.bare[i].perSecond)
	}
	return all
}

// against is the median of one's shares by another's.
func (s *pageSide) against(other *pageSide) float64 {
	few, all := other.shares(), s.shares()
	for i := range all {
		all[i] /= few[i]
	}
	return median(all)
}

// turns are the loads of one server between those of others.
type turns []cost

// perSecond is the median: what else the machine does now and then is in no server's.
func (t turns) perSecond() float64 {
	var all []float64
	for _, c := range t {
		all = append(all, c.perSecond)
	}
	return median(all)
}

func (t turns) requests() (n int) {
	for _, c := range t {
		n += c.requests
	}
	return n
}

func (t turns) cpu() (a time.Duration) {
	for _, c := range t {
		a += c.cpu * time.Duration(c.requests)
	}
	return a / time.Duration(t.requests())
}

// pageCosts loads the bare handler and both fleets' programs in turns: the machine's speed
// drifts, also within a minute.
func (r *run) pageCosts(ctx context.Context, fleets ...*fleetServer) (sides []*pageSide, err error) {
	for _, f := range fleets {
		s, err := r.warmSide(ctx, f)
		if err != nil {
			return nil, err
		}
		defer s.site.stop()
		sides = append(sides, s)
	}
	body, err := sent(ctx, "http://"+sides[0].site.addr+"/", shopHost(0))
	if err != nil {
		return nil, err
	}
	floor, err := r.startChild(ctx, childSpec{Kind: "page-bare", Body: body})
	if err != nil {
		return nil, err
	}
	defer floor.stop()
	if err := askedSoFar(ctx, sides, idleReport, -1); err != nil {
		return nil, err
	}
	for range pageRounds {
		for _, s := range sides {
			if err := r.pageTurn(ctx, &s.bare, floor.pid(), floor.addr, s.visits); err != nil {
				return nil, err
			}
			if err := r.pageTurn(ctx, &s.loads, s.site.cmd.Process.Pid, s.site.addr, s.visits); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range sides {
		s.site.stop() // a backend that ends reports all it has not yet
	}
	return sides, askedSoFar(ctx, sides, time.Second, 1)
}

// idleTransactions is how many a second the database of a node has that does nothing: the
// directory's own checks, two a second, and ours.
const idleTransactions = 3

// pageRounds is how often each takes its turn.
const pageRounds = 24

func (r *run) pageTurn(ctx context.Context, into *turns, pid int, addr string, visits [][]byte) error {
	random := func(int) []byte { return visits[mathrand.N(len(visits))] } //nolint:gosec // load
	c, err := r.accountFor(ctx, pid, load{addr: addr, conns: conns, duration: r.Duration / 10, request: random})
	if err != nil {
		return err
	}
	*into = append(*into, c)
	return nil
}

// encodings are what browsers take.
const encodings = "gzip, deflate, br, zstd"

// visit is a browser's request of a shop's home page.
func visit(host string) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\nAccept-Encoding: " + encodings + "\r\nUser-Agent: bench\r\n\r\n")
}

// sent are the bytes of a page as a browser is sent them.
func sent(ctx context.Context, url, host string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Host = host
	req.Header.Set("Accept-Encoding", encodings) // and so nothing is unpacked
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if got := resp.Header.Get("Content-Encoding"); resp.StatusCode != http.StatusOK || got != packed {
		return nil, fmt.Errorf("the home page answers %d, encoded %q", resp.StatusCode, got)
	}
	return io.ReadAll(resp.Body)
}

// packed is how pages from memory are encoded.
const packed = "gzip"

// warmSide starts the program on a fleet and asks for each page once: the first visitor
// pays for the rest.
func (r *run) warmSide(ctx context.Context, f *fleetServer) (*pageSide, error) {
	site, err := r.startSite(ctx, f)
	if err != nil {
		return nil, err
	}
	s := &pageSide{fleet: f, site: site, tenants: len(f.ids), visits: make([][]byte, len(f.ids))}
	for i := range s.visits {
		s.visits[i] = visit(shopHost(i))
	}
	status, _, err := fetch(ctx, "http://"+site.addr+"/", shopHost(0))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the home page answers %d", status)
	}
	if err == nil {
		err = warmPages(ctx, site, s.visits)
	}
	if err != nil {
		site.stop()
		return nil, err
	}
	return s, nil
}

// askedSoFar adds how many transactions each side's database has ended, times the sign.
func askedSoFar(ctx context.Context, sides []*pageSide, settle time.Duration, sign int64) error {
	time.Sleep(settle)
	for _, s := range sides {
		n, err := s.fleet.transactions(ctx)
		if err != nil {
			return err
		}
		s.asked += sign * n
	}
	return nil
}

// accountFor runs a load and divides the processor time of one process by its requests.
func (r *run) accountFor(ctx context.Context, pid int, l load) (cost, error) {
	before, err := cpuOf(pid)
	if err != nil {
		return cost{}, err
	}
	o, err := l.run(ctx)
	if err != nil {
		return cost{}, err
	}
	after, err := cpuOf(pid)
	if err != nil {
		return cost{}, err
	}
	return cost{o, (after - before) / time.Duration(o.requests)}, nil
}

// warmPages asks for every page once: the first visitor pays for the rest.
func warmPages(ctx context.Context, s *site, visits [][]byte) error {
	l := load{addr: s.addr, conns: 8, duration: 10 * time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.request = func(n int) []byte {
		if n >= len(visits) {
			cancel()
		}
		return visits[n%len(visits)]
	}
	_, err := l.run(ctx)
	return err
}

// idleReport is after how long every idle backend has told the statistics what it did:
// PostgreSQL lets them wait up to ten seconds.
const idleReport = 11 * time.Second

// transactions is how many the database has ended, once all that happened before has
// had time to be reported. The directory's own checks, two a second, and this question
// are among them.
func (f *fleetServer) transactions(ctx context.Context) (n int64, err error) {
	c, err := f.owner(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx) //nolint:errcheck // read only
	err = c.QueryRow(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
	return n, err
}

// pageChange measures how long two nodes take to show a change.
func (r *run) pageChange(ctx context.Context) error {
	var nodes [2]*site
	for i := range nodes {
		s, err := r.startSite(ctx, r.fleet)
		if err != nil {
			return err
		}
		defer s.stop()
		nodes[i] = s
	}
	owner, err := r.fleet.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // read only from here
	var slowest time.Duration
	for round := range 5 {
		name := fmt.Sprintf("Changed %d times", round)
		for _, s := range nodes {
			if _, _, err := fetch(ctx, "http://"+s.addr+"/", shopHost(0)); err != nil {
				return err
			}
		}
		schema := r.fleet.ids[0].Schema()
		_, err := owner.PgConn().Exec(ctx, "BEGIN; SET LOCAL ROLE "+schema+"; SET LOCAL search_path TO "+schema+
			", pg_temp; UPDATE plans SET name = '"+name+"' WHERE position = 1; SELECT door.touch_site(NULL); COMMIT").ReadAll()
		if err != nil {
			return err
		}
		at := time.Now()
		for _, s := range nodes {
			if err := awaitText(ctx, s, name); err != nil {
				return err
			}
		}
		slowest = max(slowest, time.Since(at))
	}
	r.promise("page", "a change shows on both of two nodes", slowest.Seconds(), "s", atMost, 1)
	return nil
}

func awaitText(ctx context.Context, s *site, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, body, err := fetch(ctx, "http://"+s.addr+"/", shopHost(0))
		if err != nil {
			return err
		}
		if strings.Contains(string(body), text) {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// servePageBare writes the same bytes as the page, and nothing else.
func servePageBare(ctx context.Context, spec childSpec) (string, func(), error) {
	return listen(ctx, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error {
			c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
			c.Set(fiber.HeaderContentEncoding, packed)
			return c.Send(spec.Body)
		})
	})
}

// serve measures the real program with the whole fleet in its directory.
func (r *run) serve(ctx context.Context) error {
	f, err := r.grow(ctx, r.Tenants)
	if err != nil {
		return err
	}
	listed, giveUp, err := r.list(ctx, f, 10_000)
	if err != nil {
		return err
	}
	defer giveUp()
	s, err := r.startSite(ctx, r.fleet)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, _, err := fetch(ctx, "http://"+s.addr+"/", shopHost(0)); err != nil {
		return err
	}
	size, err := memoryOf(s.cmd.Process.Pid, "VmRSS")
	if err != nil {
		return err
	}
	at := fmt.Sprintf(" with %d tenants", listed)
	r.promise("serve", "memory"+at, float64(size)/(1<<20), "MB", atMost, 150)
	r.promise("serve", "ready"+at, s.ready.Seconds(), "s", atMost, 3)
	return nil
}
