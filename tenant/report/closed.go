package report

import (
	"slices"
	"sync"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// Closed remembers the months that are over. They do not change: a credit note is of the
// month it is issued in, and so is what is paid back. The zero value is ready; nil
// remembers nothing. What is remembered is read again every hour, for whoever brings
// old invoices in from elsewhere. It is safe for concurrent use.
type Closed struct {
	mu    sync.Mutex
	known map[closedKey][]Month
}

type closedKey struct {
	tenant   tenancy.ID
	currency string
	until    time.Time // the first day of the month that is not over
	hour     time.Time
}

const (
	// maxClosed bounds the shops whose months are kept.
	maxClosed = 4096
	// settled is how long after its end a month is still read: transactions that began
	// in it have ended by then.
	settled = time.Hour
)

func (c *Closed) find(k closedKey) ([]Month, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	months, ok := c.known[k]
	return slices.Clone(months), ok
}

func (c *Closed) keep(k closedKey, months []Month, now time.Time) {
	if c == nil || now.Before(k.until.Add(settled)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxClosed {
		c.known = map[closedKey][]Month{}
	}
	c.known[k] = slices.Clone(months)
}
