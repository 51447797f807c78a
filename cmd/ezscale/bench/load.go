package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
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
	requests  int // answered
	missed    int // not answered in time
	perSecond float64
	p50       time.Duration
	p95, p99  time.Duration
}

// get is a GET request for path on host.
func get(host, path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\n\r\n")
}

func (l load) run(ctx context.Context) (outcome, error) {
	type line struct {
		c  net.Conn
		in *bufio.Reader
	}
	lines := make([]line, l.conns)
	for n := range lines {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close() //nolint:errcheck // read only
		lines[n] = line{c, bufio.NewReaderSize(c, 64<<10)}
	}
	return repeat(ctx, l.conns, l.duration, func(_ context.Context, worker, n int) error {
		at := lines[worker]
		if _, err := at.c.Write(l.request(n)); err != nil {
			return err
		}
		return answer(at.in)
	})
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
