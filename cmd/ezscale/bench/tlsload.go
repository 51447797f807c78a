package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tlsClient is a client's side of a handshake for name that checks nothing: the
// certificate is the server's business here, and the check would be our own cost.
func tlsClient(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13} //nolint:gosec // load
}

// patience is how long a client waits for a connection: the kernel drops what a full
// queue cannot take, and the client asks again after a second.
const patience = 2 * time.Second

func dialer() *net.Dialer { return &net.Dialer{Timeout: patience} }

// handshakes opens connections one after the other over as many workers as asked,
// sends one request on each and closes it: no resumption, no reuse.
func handshakes(ctx context.Context, addr string, workers int, d time.Duration, name func(int) string) (outcome, error) {
	return repeat(ctx, workers, d, func(ctx context.Context, _, n int) error {
		c, err := (&tls.Dialer{NetDialer: dialer(), Config: tlsClient(name(n))}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // read only
		return exchange(c, name(n))
	})
}

// exchange sends one request on a new connection and reads its answer.
func exchange(c net.Conn, host string) error {
	if _, err := c.Write(get(host, "/")); err != nil {
		return err
	}
	return answer(bufio.NewReader(c))
}

// refusals knocks with names nobody knows, at most perSecond of them (0: as fast as
// it goes). Being let in is an error.
func refusals(ctx context.Context, addr string, workers, perSecond int, d time.Duration) (outcome, error) {
	var tick <-chan time.Time
	if perSecond > 0 {
		t := time.NewTicker(time.Second / time.Duration(perSecond))
		defer t.Stop()
		tick = t.C
	}
	return repeat(ctx, workers, d, func(ctx context.Context, _, n int) error {
		if tick != nil {
			select {
			case <-tick:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		raw, err := dialer().DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer raw.Close() //nolint:errcheck // read only
		if err := tls.Client(raw, tlsClient(fmt.Sprintf("nobody-%d.invalid.test", n))).HandshakeContext(ctx); err == nil {
			return errors.New("an unknown name was let in")
		}
		return nil
	})
}

// keepAlive sends requests over connections that stay open.
func keepAlive(ctx context.Context, addr string, workers int, d time.Duration, name func(int) string) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	type line struct {
		c    net.Conn
		in   *bufio.Reader
		host string
	}
	lines := make([]line, workers)
	for n := range lines {
		host := name(n)
		c, err := (&tls.Dialer{Config: tlsClient(host)}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close() //nolint:errcheck // read only
		lines[n] = line{c, bufio.NewReader(c), host}
	}
	return repeat(ctx, workers, d, func(_ context.Context, worker, _ int) error {
		l := lines[worker]
		if _, err := l.c.Write(get(l.host, "/")); err != nil {
			return err
		}
		return answer(l.in)
	})
}

// overH2 sends requests over HTTP/2 connections that stay open.
func overH2(ctx context.Context, addr string, workers int, d time.Duration, name func(int) string) (outcome, error) {
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, //nolint:gosec // load
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
	}}
	defer client.CloseIdleConnections()
	return repeat(ctx, workers, d, func(ctx context.Context, _, n int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name(n%4)+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s over %s", resp.Status, resp.Proto)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

// repeat does a thing over and over for d, by so many at once, and says how long each
// took. Who got no answer in time is counted and tries again; any other error ends it.
func repeat(ctx context.Context, workers int, d time.Duration, do func(ctx context.Context, worker, n int) error) (outcome, error) {
	start := time.Now() // before the deadline is set: what it cuts off is told by the clock
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		missed atomic.Int64
		took   = make([][]time.Duration, workers)
		errs   = make([]error, workers)
	)
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				at := time.Now()
				err := do(ctx, w, int(next.Add(1)))
				if ctx.Err() != nil || time.Since(start) >= d {
					return // cut off by the end of the load
				}
				if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
					missed.Add(1)
				} else if err != nil {
					errs[w] = err
					return
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return outcome{}, err
	}
	all := slices.Concat(took...)
	answered := len(all) - int(missed.Load())
	if answered == 0 {
		return outcome{}, errors.New("nothing was answered")
	}
	slices.Sort(all) // with those who waited in vain
	return outcome{answered, int(missed.Load()), float64(answered) / elapsed.Seconds(), all[len(all)/2], all[len(all)*95/100], all[len(all)*99/100]}, nil
}
