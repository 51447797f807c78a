package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	buyersAtOnce = 16
	ordersOfAll  = 96
	demoShop     = "nimbus"
)

// checkout lets strangers buy servers in the demo's shop, sixteen at once: each signs
// up with a code from the mail, leaves an address, orders, pays by card and waits for
// the server. Simulators of the gateway and the platform answer at once; the whole
// program, its database and the simulators share the machine.
func (r *run) checkout(ctx context.Context) (err error) {
	d, err := r.startDemo(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if _, err := d.buyer(0).buy(ctx); err != nil { // what is made when it is first asked for is there from now on
		return fmt.Errorf("the first order: %w", err)
	}
	turns, failed := make(chan int), make(chan error, buyersAtOnce)
	var mu sync.Mutex
	var all []bought
	var busy sync.WaitGroup
	began := time.Now()
	for range buyersAtOnce {
		busy.Go(func() {
			for n := range turns {
				b, err := d.buyer(n).buy(ctx)
				if err != nil {
					failed <- fmt.Errorf("order %d: %w", n, err)
					return
				}
				mu.Lock()
				all = append(all, b)
				mu.Unlock()
			}
		})
	}
	for n := 1; n <= ordersOfAll && err == nil; n++ {
		select {
		case turns <- n:
		case err = <-failed:
		}
	}
	close(turns)
	busy.Wait()
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	took := time.Since(began).Seconds()
	p95 := func(of func(bought) time.Duration) float64 {
		times := make([]time.Duration, len(all))
		for i, b := range all {
			times[i] = of(b)
		}
		slices.Sort(times)
		return times[len(times)*95/100].Seconds()
	}
	r.report("checkout", "strangers who sign up, order, pay and get their server, 16 at once", ordersOfAll/took, "orders/s")
	r.report("checkout", "from the first page to the running server, p95", p95(func(b bought) time.Duration { return b.whole }), "s")
	r.report("checkout", "from the accepted card to the running server, p95", p95(func(b bought) time.Duration { return b.delivery }), "s")
	return nil
}

// demoSite is a demo of ours, in a directory that goes with it.
type demoSite struct {
	cmd       *exec.Cmd
	dir, addr string
	cards     string // where the simulated gateway listens
	ended     chan error
	said      *tail
}

// startDemo starts the program as a newcomer does, without history and with a platform
// that installs at once.
func (r *run) startDemo(ctx context.Context) (*demoSite, error) {
	r.say("  starting a demo")
	dir, err := os.MkdirTemp("", "ezbench-demo")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user walks through when we are root
		return nil, err
	}
	names := []string{"HTTP", "HTTPS", "DNS", "ACME", "SMTP", "METRICS", "VIRTFUSION", "STRIPE", "PAYPAL", "COINBASE", "VIES"}
	ports, err := freePorts(ctx, len(names))
	if err != nil {
		return nil, err
	}
	d := &demoSite{cmd: exec.Command(r.Self, "demo"), dir: dir, addr: ports[0], cards: ports[7], ended: make(chan error, 1), said: &tail{}} //nolint:gosec,noctx // ourselves; asked to end, not killed
	d.cmd.Env = append(withoutSettings(os.Environ()), "EZSCALE_DEMO_DIR="+filepath.Join(dir, "demo"), "EZSCALE_DEMO_MONTHS=0", "EZSCALE_DEMO_INSTALL=0s", "EZSCALE_LOG_LEVEL=error")
	if r.BinDir != "" {
		d.cmd.Env = append(d.cmd.Env, "EZSCALE_PG_BIN="+r.BinDir)
	}
	for i, name := range names {
		_, port, _ := net.SplitHostPort(ports[i])
		d.cmd.Env = append(d.cmd.Env, "EZSCALE_DEMO_"+name+"="+port)
	}
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.ended <- d.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		code, _, err := fetch(ctx, "http://"+d.addr+"/", demoShop+".localhost")
		if err == nil && code == 200 {
			return d, nil
		}
		select {
		case err := <-d.ended:
			d.ended <- err
			return nil, errors.Join(fmt.Errorf("the demo ended early: %s", d.said), d.stop())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the demo is not ready: %w: %s", ctx.Err(), d.said), d.stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demoSite) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended: //nolint:errcheck // it was told to end
	case <-time.After(30 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.ended //nolint:errcheck // killed
	}
	reset := exec.Command(d.cmd.Path, "demo", "--reset") //nolint:gosec,noctx // ourselves
	reset.Env = d.cmd.Env
	out, err := reset.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("clear the demo away: %w: %s", err, out)
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(len(t.text)-2000, 0):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
