package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gofiber/fiber/v2"
)

// platform is the domain below which the fleet's shops live: over plain HTTP only names
// below localhost get cookies.
const platform = "bench.localhost"

// site is the real program, serving the fleet.
type site struct {
	cmd     *exec.Cmd
	redis   *miniredis.Miniredis
	addr    string // of plain HTTP
	metrics string
	ready   time.Duration // from the start of the process until /readyz said so
	dir     string
}

// startSite starts `serve` on the fleet and waits until it is ready.
func (r *run) startSite(ctx context.Context) (*site, error) {
	s := &site{}
	if err := s.start(ctx, r); err != nil {
		s.stop()
		return nil, fmt.Errorf("start serve: %w", err)
	}
	return s, nil
}

func (s *site) start(ctx context.Context, r *run) (err error) {
	if s.redis, err = miniredis.Run(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "ezbench"); err != nil {
		return err
	}
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return err
	}
	s.addr, s.metrics = ports[0], ports[2]
	s.cmd = exec.CommandContext(ctx, r.Self, "serve") //nolint:gosec // ourselves
	s.cmd.Env = append(withoutSettings(os.Environ()),
		"EZSCALE_DATABASE_URL="+r.fleet.dsn, "EZSCALE_REDIS_URL=redis://"+s.redis.Addr(),
		"EZSCALE_MASTER_KEYS="+r.fleet.key, "EZSCALE_PLATFORM_DOMAIN="+platform,
		"EZSCALE_HTTP_ADDR="+s.addr, "EZSCALE_HTTPS_ADDR="+ports[1], "EZSCALE_METRICS_ADDR="+s.metrics, "EZSCALE_PROFILE=true",
		"EZSCALE_PLAIN_HTTP=true", "EZSCALE_STORAGE_URL=file://"+s.dir, "EZSCALE_LOG_LEVEL=warn", "EZSCALE_DRAIN=0s",
		"EZSCALE_TRANSACTIONS=8", "EZSCALE_ACME_DIRECTORY=https://127.0.0.1:1/dir",
	)
	s.cmd.Stderr = os.Stderr
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	s.ready = time.Since(began)
	return nil
}

func (s *site) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if code, _, err := fetch(ctx, "http://"+s.metrics+"/readyz", ""); err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("not ready within a minute")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends it; a second time there is nothing to do.
func (s *site) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
	if s.redis != nil {
		s.redis.Close()
		s.redis = nil
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// withoutSettings drops the operator's own settings: the bench brings all it needs.
func withoutSettings(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "EZSCALE_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// freePorts are addresses of the loopback interface that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var all []string
	for range n {
		ln, err := loopback(ctx)
		if err != nil {
			return nil, err
		}
		defer ln.Close() //nolint:errcheck // only held so that the next one differs
		all = append(all, ln.Addr().String())
	}
	return all, nil
}

// fetch gets a URL, by another host's name when one is given.
func fetch(ctx context.Context, url, host string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func shopHost(n int) string { return fmt.Sprintf("s%d.%s", n+1, platform) }

// page compares the anonymous home page of random tenants, through everything a
// request passes, with a bare handler that writes the same bytes.
func (r *run) page(ctx context.Context) error {
	var few float64
	for _, n := range []int{100, r.Tenants} {
		if _, err := r.grow(ctx, n); err != nil {
			return err
		}
		ours, bare, err := r.pageCost(ctx, n)
		if err != nil {
			return err
		}
		at := fmt.Sprintf(" of %d tenants", n)
		r.report("page", "bare handler"+at, bare.perSecond, "req/s")
		r.report("page", "home page"+at, ours.perSecond, "req/s")
		r.report("page", "home page"+at+", processor time", micros(ours.cpu), "µs/req")
		r.promise("page", "home page ÷ bare handler"+at, 100*ours.perSecond/bare.perSecond, "%", atLeast, 50)
		if n == 100 {
			few = ours.perSecond / bare.perSecond
			continue
		}
		r.promise("page", fmt.Sprintf("share of bare at %d tenants ÷ at 100", n), 100*(ours.perSecond/bare.perSecond)/few, "%", atLeast, 90)
	}
	return r.pageChange(ctx)
}

// pageCost loads both sides in turns, three rounds each, and takes the sums: the
// machine's speed drifts.
func (r *run) pageCost(ctx context.Context, n int) (ours, bare cost, err error) {
	s, err := r.startSite(ctx)
	if err != nil {
		return ours, bare, err
	}
	defer s.stop()
	status, body, err := fetch(ctx, "http://"+s.addr+"/", shopHost(0))
	if err != nil || status != http.StatusOK {
		return ours, bare, errors.Join(err, fmt.Errorf("the home page answers %d", status))
	}
	floor, err := r.startChild(ctx, childSpec{Kind: "page-bare", Body: body})
	if err != nil {
		return ours, bare, err
	}
	defer floor.stop()
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = get(shopHost(i), "/")
	}
	if err := warmPages(ctx, s, requests); err != nil {
		return ours, bare, err
	}
	asked, err := r.queries(ctx, idleReport)
	if err != nil {
		return ours, bare, err
	}
	random := func(int) []byte { return requests[mathrand.N(n)] } //nolint:gosec // load
	for range 3 {
		for _, side := range []struct {
			into *cost
			pid  int
			addr string
		}{{&ours, s.cmd.Process.Pid, s.addr}, {&bare, floor.pid(), floor.addr}} {
			c, err := r.accountFor(ctx, side.pid, load{addr: side.addr, conns: conns, duration: r.Duration / 2, request: random})
			if err != nil {
				return ours, bare, err
			}
			side.into.perSecond += c.perSecond / 3
			side.into.requests += c.requests
			side.into.cpu += c.cpu / 3
		}
	}
	s.stop() // a backend that ends reports all it has not yet
	after, err := r.queries(ctx, time.Second)
	if err != nil {
		return ours, bare, err
	}
	r.promise("page", fmt.Sprintf("transactions of the database during %d hits", ours.requests), float64(after-asked), "", atMost, 60)
	return ours, bare, nil
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
func warmPages(ctx context.Context, s *site, requests [][]byte) error {
	l := load{addr: s.addr, conns: 8, duration: 10 * time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.request = func(n int) []byte {
		if n >= len(requests) {
			cancel()
		}
		return requests[n%len(requests)]
	}
	_, err := l.run(ctx)
	return err
}

// idleReport is after how long every idle backend has told the statistics what it did:
// PostgreSQL lets them wait up to ten seconds.
const idleReport = 11 * time.Second

// queries is how many transactions the database has ended, once all that happened
// before has had time to be reported. The directory's own checks, two a second, and
// this question are among them.
func (r *run) queries(ctx context.Context, settle time.Duration) (n int64, err error) {
	time.Sleep(settle)
	c, err := r.fleet.owner(ctx)
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
		s, err := r.startSite(ctx)
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
	s, err := r.startSite(ctx)
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
