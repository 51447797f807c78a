package faults

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// visits is a visitor who keeps a connection and asks again and again. Told to close
// it, he comes back over new ones a few times more and then goes where the load
// balancer sends him.
type visits struct {
	n       *node
	stopped *atomic.Bool // the process was told to stop
	answers atomic.Int64
	closes  atomic.Int64
}

func (v *visits) dial() (net.Conn, error) {
	return net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", v.n.ports.http))
}

// keep is one visitor's life. An error is a request that was not answered well.
func (v *visits) keep(path string) error {
	for closes := 0; closes < 5; closes++ {
		c, err := v.dial()
		if err != nil {
			return fmt.Errorf("connect (told to stop: %v): %w", v.stopped.Load(), err)
		}
		err = v.talk(c, path)
		_ = c.Close()
		if err != nil {
			return err
		}
		v.closes.Add(1)
	}
	return nil
}

// talk asks on one connection until the answer says that it ends.
func (v *visits) talk(c net.Conn, path string) error {
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		told := v.stopped.Load()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: alpha.localhost\r\n\r\n", path); err != nil {
			return fmt.Errorf("request %d, told to stop: %v: %w", n, told, err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("answer %d, told to stop: %v: %w", n, told, err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), "</html>") {
			return fmt.Errorf("answer %d, told to stop: %v: %d, %d bytes, %w", n, told, res.StatusCode, len(b), err)
		}
		v.answers.Add(1)
		if res.Close {
			if !v.stopped.Load() {
				return fmt.Errorf("answer %d ends the connection and nobody stops the process", n)
			}
			return nil
		}
	}
}

// keepH2 is a visitor by HTTP/2, whose client follows the server's goodbye by itself.
func (v *visits) keepH2(path string) error {
	c := v.n.client()
	defer c.CloseIdleConnections()
	for after := 0; after < 10; {
		if v.stopped.Load() {
			after++
		}
		a, err := ask(c, http.MethodGet, "https://alpha.localhost"+path, "")
		if err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "</html>") {
			return fmt.Errorf("HTTP/2, told to stop: %v: %d %w", v.stopped.Load(), a.status, err)
		}
		v.answers.Add(1)
	}
	return nil
}

func TestStoppingDropsNoRequest(t *testing.T) {
	h := newHouse(t, "EZSCALE_DRAIN=4s")
	w, n := h.work("EZSCALE_DRAIN=0s"), h.serve(h.first)
	n.eventually("there is a certificate", "https://alpha.localhost/", http.StatusOK, "Alpha")

	var stopped atomic.Bool
	v := &visits{n: n, stopped: &stopped}
	failures := make(chan error, 16)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() { failures <- v.keep([]string{"/", "/sign-in"}[i%2]) })
	}
	for range 2 {
		all.Go(func() { failures <- v.keepH2("/") })
	}
	// One request is half sent when the process is told to stop, and finished only when
	// it listens no more.
	held, err := v.dial()
	must(t, err)
	_, err = io.WriteString(held, "GET / HTTP/1.1\r\nHost: alpha.localhost\r\n")
	must(t, err)
	h.until("the load is steady", func() error {
		if got := v.answers.Load(); got < 200 {
			return fmt.Errorf("%d answers\n%s", got, n.log.complaints())
		}
		return nil
	})

	stopped.Store(true)
	must(t, n.cmd.Process.Signal(syscall.SIGTERM))
	h.until("load balancers are told", func() error {
		res, err := n.client().Get("http://alpha.localhost/readyz")
		if err != nil {
			t.Fatalf("/readyz while draining: %v", err)
		}
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("%d", res.StatusCode)
		}
		return nil
	})
	if code, said := n.readiness(); code != http.StatusServiceUnavailable {
		t.Errorf("the operator is told %d %v", code, said)
	}
	h.until("it listens no more", func() error {
		c, err := v.dial()
		if err != nil {
			return nil
		}
		_ = c.Close()
		return fmt.Errorf("it still listens")
	})
	_, err = io.WriteString(held, "\r\n")
	must(t, err)
	must(t, held.SetReadDeadline(time.Now().Add(patience)))
	if res, err := http.ReadResponse(bufio.NewReader(held), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the request that was half sent: %v %v", res, err)
	}
	all.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	n.mustEndWell()
	w.stop()
	if v.closes.Load() == 0 {
		t.Error("nobody was asked to close a connection")
	}
	t.Logf("%d answers", v.answers.Load())
}
