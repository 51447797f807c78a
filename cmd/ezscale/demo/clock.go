package demo

import (
	"sync/atomic"
	"time"
)

// Clock is the demo's: the machine's, moved back while months of history are made.
type Clock struct{ behind atomic.Int64 }

// Now is the time at which the demo is.
func (c *Clock) Now() time.Time { return time.Now().Add(-time.Duration(c.behind.Load())) }

// Set moves the clock to a time in the past; it goes on from there.
func (c *Clock) Set(t time.Time) { c.behind.Store(int64(max(time.Since(t), 0))) }

// Release lets the clock show the machine's time again.
func (c *Clock) Release() { c.behind.Store(0) }
