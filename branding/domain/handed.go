package domain

import (
	"net"
	"net/http"
	"sync"
)

// handed is a listener whose connections come from another server, which has made the
// handshake and found that they speak HTTP/2.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	open map[net.Conn]chan struct{} // closed when the connection is
}

func newHanded() *handed {
	return &handed{conns: make(chan net.Conn), done: make(chan struct{}), open: map[net.Conn]chan struct{}{}}
}

// serve hands a connection on and returns when it is closed.
func (l *handed) serve(c net.Conn) error {
	over := make(chan struct{})
	l.mu.Lock()
	l.open[c] = over
	l.mu.Unlock()
	select {
	case l.conns <- c:
		<-over
		return nil
	case <-l.done:
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
		return c.Close()
	}
}

// state is told by the server that serves the connections how they are.
func (l *handed) state(c net.Conn, s http.ConnState) {
	if s != http.StateClosed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if over, ok := l.open[c]; ok {
		close(over)
		delete(l.open, c)
	}
}

// Accept waits for a connection that is handed on.
func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *handed) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr says nothing: it listens nowhere.
func (l *handed) Addr() net.Addr { return &net.UnixAddr{Name: "handed", Net: "unix"} }
