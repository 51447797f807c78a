package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is a burst of requests over keep-alive connections, written by hand: the
// client must cost less than the server it measures.
type load struct {
	addr     string
	conns    int
	duration time.Duration
	request  func(n int) []byte // the whole request, for a number that only grows
}

// outcome of a load.
type outcome struct {
	requests  int
	perSecond float64
	p50, p99  time.Duration
}

// get is a GET request for path on host.
func get(host, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\n\r\n")
}

func (l load) run(ctx context.Context) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		mu    sync.Mutex
		took  []time.Duration
		fails error
	)
	start := time.Now()
	for range l.conns {
		wg.Go(func() {
			mine, err := l.client(ctx, &next)
			mu.Lock()
			defer mu.Unlock()
			took, fails = append(took, mine...), errors.Join(fails, err)
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if fails != nil {
		return outcome{}, fails
	}
	if len(took) == 0 {
		return outcome{}, errors.New("no request was answered")
	}
	slices.Sort(took)
	return outcome{len(took), float64(len(took)) / elapsed.Seconds(), took[len(took)/2], took[len(took)*99/100]}, nil
}

func (l load) client(ctx context.Context, next *atomic.Int64) ([]time.Duration, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // read only
	in := bufio.NewReaderSize(c, 64<<10)
	var took []time.Duration
	for ctx.Err() == nil {
		at := time.Now()
		if _, err := c.Write(l.request(int(next.Add(1)))); err != nil {
			return took, err
		}
		if err := answer(in); err != nil {
			return took, err
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

var contentLength = []byte("Content-Length: ")

// answer reads one response with a Content-Length; any status but 200 is an error.
func answer(in *bufio.Reader) error {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(status))
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("answered without a Content-Length")
	}
	_, err = in.Discard(length)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
