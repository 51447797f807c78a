// Package labhooks delivers the webhooks of the gateways' simulators: with tries, and with
// what goes wrong on the way. What a notification says and how it is signed is the
// simulator's.
package labhooks

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Hook is a notification to one address.
type Hook struct {
	URL  string
	Body []byte
	// Sign sets the headers of one try, made now.
	Sign func(header http.Header, now time.Time)
}

// Faults are what goes wrong.
type Faults struct {
	Lose   bool // what waits is dropped
	Double bool // everything comes twice
	Turn   bool // what waits together comes in the wrong order
}

// maxTries is when a hook is given up.
const maxTries = 12

// Post holds the hooks that wait. It is safe for concurrent use; make one with New.
type Post struct {
	client *http.Client
	clock  func() time.Time
	retry  time.Duration
	wake   chan struct{}
	pass   sync.Mutex // one delivery pass at a time

	mu      sync.Mutex
	faults  Faults
	waiting []*delivery
}

type delivery struct {
	Hook
	tries int
	at    time.Time
}

// New makes a Post. What is not taken is tried again after retry, then after four times
// retry, nine times and so on.
func New(client *http.Client, clock func() time.Time, retry time.Duration) *Post {
	return &Post{client: client, clock: clock, retry: retry, wake: make(chan struct{}, 1)}
}

// Add has a hook wait for the next pass.
func (p *Post) Add(h Hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, &delivery{Hook: h, at: p.clock()})
}

// SetFaults switches faults; the zero Faults is health.
func (p *Post) SetFaults(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// Stir makes Run look at once.
func (p *Post) Stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. What is not taken is tried again.
func (p *Post) Run(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.Deliver(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-tick.C:
		}
	}
}

// Deliver delivers what is due and returns how many were taken.
func (p *Post) Deliver(ctx context.Context) (taken int) {
	p.pass.Lock()
	defer p.pass.Unlock()
	due, faults := p.due()
	if faults.Lose {
		return 0
	}
	if faults.Turn {
		slices.Reverse(due)
	}
	for _, d := range due {
		if faults.Double {
			p.send(ctx, d)
		}
		if p.send(ctx, d) {
			taken++
			continue
		}
		if d.tries++; d.tries < maxTries {
			p.mu.Lock()
			d.at = p.clock().Add(p.retry * time.Duration(d.tries*d.tries))
			p.waiting = append(p.waiting, d)
			p.mu.Unlock()
		}
	}
	return taken
}

func (p *Post) due() (due []*delivery, faults Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	var later []*delivery
	for _, d := range p.waiting {
		if d.at.After(now) {
			later = append(later, d)
		} else {
			due = append(due, d)
		}
	}
	p.waiting = later
	return due, p.faults
}

func (p *Post) send(ctx context.Context, d *delivery) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	d.Sign(req.Header, p.clock())
	res, err := p.client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode >= 200 && res.StatusCode < 300
}
