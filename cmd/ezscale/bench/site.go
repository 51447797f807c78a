package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
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

// startSite starts `serve` on a fleet and waits until it is ready.
func (r *run) startSite(ctx context.Context, f *fleetServer) (*site, error) {
	s := &site{}
	if err := s.start(ctx, r, f); err != nil {
		s.stop()
		return nil, fmt.Errorf("start serve: %w", err)
	}
	return s, nil
}

func (s *site) start(ctx context.Context, r *run, f *fleetServer) (err error) {
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
		"EZSCALE_DATABASE_URL="+f.dsn, "EZSCALE_REDIS_URL=redis://"+s.redis.Addr(),
		"EZSCALE_MASTER_KEYS="+f.key, "EZSCALE_PLATFORM_DOMAIN="+platform,
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
