// Package paypallab simulates PayPal: a stateful HTTP server that speaks its API for
// orders, captures, refunds, kept accounts, disputes and webhooks, with the page where
// customers agree. It is for tests and the demo; nothing of it is PayPal's, and no money
// moves.
package paypallab

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/labhooks"
)

// Options make a Lab. Zero fields have a usual value.
type Options struct {
	Clock  func() time.Time // zero: the wall clock's
	Client *http.Client     // delivers webhooks; zero: one that gives up after ten seconds
	// Retry is how long after a failed delivery the next one is tried, growing with each;
	// zero: a second.
	Retry time.Duration
}

// Faults are what goes wrong.
type Faults struct {
	Down        bool          // every call of the API answers 503
	Errors      bool          // calls that change something answer 500 and do nothing
	LoseAnswers bool          // calls that change something are done, and their answer is lost
	Slow        time.Duration // every call takes this long
	Forgets     bool          // requests are not remembered by their PayPal-Request-Id
	NoVault     bool          // accounts may not be kept for later
	LoseHooks   bool          // webhooks are dropped
	DoubleHooks bool          // webhooks come twice
	TurnHooks   bool          // webhooks that wait together come in the wrong order
}

// Lab is the simulator. It is safe for concurrent use.
type Lab struct {
	opts  Options
	mux   *http.ServeMux
	hooks *labhooks.Post
	sign  func() (signer, error) // made when it is first needed

	mu       sync.Mutex
	faults   Faults
	accounts []*account
	tokens   map[string]access
	calls    map[string]int // how often each call was made: "POST /v2/checkout/orders"
}

type access struct {
	a     *account
	until time.Time
}

// account is one seller's world.
type account struct {
	client, secret string
	orders         map[string]*order
	captures       map[string]*order // the order each capture is of
	refunds        map[string]*refund
	setups         map[string]*setup
	kept           map[string]*wallet
	disputes       map[string]*dispute
	invoices       map[string]bool // invoice ids that were paid
	endpoints      []*endpoint
	idempotent     map[string]answered
}

// New makes a Lab without accounts.
func New(o Options) *Lab {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	l := &Lab{opts: o, hooks: labhooks.New(o.Client, o.Clock, o.Retry), calls: map[string]int{}, tokens: map[string]access{}}
	l.sign = sync.OnceValues(l.newSigner)
	l.mux = l.routes()
	return l
}

// AddAccount opens a seller's account with its keys. One that is there stays as it is.
func (l *Lab) AddAccount(clientID, secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if a.client == clientID {
			return
		}
	}
	l.accounts = append(l.accounts, &account{
		client: clientID, secret: secret, orders: map[string]*order{}, captures: map[string]*order{}, refunds: map[string]*refund{}, setups: map[string]*setup{},
		kept: map[string]*wallet{}, disputes: map[string]*dispute{}, invoices: map[string]bool{}, idempotent: map[string]answered{},
	})
}

// SetFaults switches faults; the zero Faults is health.
func (l *Lab) SetFaults(f Faults) {
	l.mu.Lock()
	l.faults = f
	l.mu.Unlock()
	l.hooks.SetFaults(labhooks.Faults{Lose: f.LoseHooks, Double: f.DoubleHooks, Turn: f.TurnHooks})
	l.hooks.Stir()
}

// Calls is how often a call was made, such as "POST /v2/checkout/orders"; "{id}" stands
// for ids.
func (l *Lab) Calls(call string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[call]
}

// Taken is what all captures of an account came to, less what was given back and what
// disputes took, as decimals by currency; n is how many captures succeeded.
func (l *Lab) Taken(clientID string) (cents map[string]int64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cents = map[string]int64{}
	for _, a := range l.accounts {
		if a.client != clientID {
			continue
		}
		for _, o := range a.orders {
			if o.capture != nil && o.capture.taken() {
				cents[o.amount.Currency] += o.amount.cents()
				n++
			}
		}
		for _, r := range a.refunds {
			if r.status == completed {
				cents[r.amount.Currency] -= r.amount.cents()
			}
		}
		for _, d := range a.disputes {
			for _, m := range d.moves {
				cents[d.amount.Currency] += m
			}
		}
	}
	return cents, n
}

// Handler serves the API and the pages.
func (l *Lab) Handler() http.Handler { return l.mux }

func (l *Lab) now() string { return l.opts.Clock().UTC().Format(time.RFC3339) }

const idLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// newID is a name as PayPal gives them.
func newID() string {
	b := make([]byte, 17)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = idLetters[int(b[i])%len(idLetters)]
	}
	return string(b)
}
