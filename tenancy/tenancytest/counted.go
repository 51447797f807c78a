package tenancytest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Statements counts what a world sends to PostgreSQL, as PostgreSQL sees it: every
// message that has something executed, also those that begin and commit.
type Statements struct{ n atomic.Int64 }

// Since is how many were sent while fn ran.
func (s *Statements) Since(fn func()) int64 {
	before := s.n.Load()
	fn()
	return s.n.Load() - before
}

// NewCounted is New with a listener between the world and PostgreSQL that counts.
// World.Owner is not counted.
func NewCounted(t testing.TB) (*World, *Statements) {
	t.Helper()
	dsn := NewDatabase(t)
	u, err := url.Parse(dsn)
	must(t, err)
	q := u.Query()
	socket := filepath.Join(q.Get("host"), ".s.PGSQL.5432")
	if p := q.Get("port"); p != "" {
		socket = filepath.Join(q.Get("host"), ".s.PGSQL."+p)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	count := &Statements{}
	c := &counter{socket: socket, seen: &count.n, open: map[net.Conn]bool{}}
	c.running.Go(func() { c.accept(l) })
	t.Cleanup(func() { // after the world's pools, which are closed first
		_ = l.Close()
		c.closeAll()
		c.running.Wait()
	})
	host, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	q.Set("host", host)
	q.Set("port", port)
	u.RawQuery = q.Encode()
	return worldOver(t, dsn, u.String()), count
}

// counter hands connections on and reads along what the clients say.
type counter struct {
	socket  string
	seen    *atomic.Int64
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
	closed  bool
}

func (c *counter) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed
		}
		server, err := new(net.Dialer).DialContext(context.Background(), "unix", c.socket)
		if err != nil || !c.keep(client, server) {
			_ = client.Close()
			continue
		}
		c.running.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		c.running.Go(func() { _ = c.read(client, server); _ = server.Close() })
	}
}

func (c *counter) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range conns {
		if c.closed {
			_ = one.Close()
		}
		c.open[one] = true
	}
	return !c.closed
}

func (c *counter) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for one := range c.open {
		_ = one.Close()
	}
}

// read copies a client's messages and counts Query and Execute. The first message has
// no letter in front: it starts the session.
func (c *counter) read(client io.Reader, server io.Writer) error {
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		if size < 0 {
			return errors.New("tenancytest: not a message")
		}
		if !first && (head[0] == 'Q' || head[0] == 'E') {
			c.seen.Add(1)
		}
		if _, err := server.Write(head); err != nil {
			return err
		}
		if _, err := io.CopyN(server, client, size); err != nil {
			return err
		}
	}
}
