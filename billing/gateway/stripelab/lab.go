// Package stripelab simulates Stripe: a stateful HTTP server that speaks its API for
// customers, cards, payments, refunds and webhooks, a page where a bank asks its
// customer to confirm, and a script for the browser in place of Stripe.js. It is for
// tests and the demo; nothing of it is Stripe's, and no money moves.
package stripelab

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
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
	// Debit is how long a debit of a bank account is under way; zero: five days.
	Debit time.Duration
}

// Faults are what goes wrong.
type Faults struct {
	Down        bool          // every call of the API answers 503
	Errors      bool          // calls that change something answer 500 and do nothing
	LoseAnswers bool          // calls that change something are done, and their answer is lost
	Slow        time.Duration // every call takes this long
	LoseHooks   bool          // webhooks are dropped
	DoubleHooks bool          // webhooks come twice
	TurnHooks   bool          // webhooks that wait together come in the wrong order
}

// Lab is the simulator. It is safe for concurrent use.
type Lab struct {
	opts  Options
	mux   *http.ServeMux
	hooks *labhooks.Post

	mu       sync.Mutex
	faults   Faults
	accounts []*account
	links    map[string]*onboarding
	calls    map[string]int // how often each call was made: "POST /v1/refunds"
}

// account is one seller's world.
type account struct {
	id, secret, publishable string
	name                    string
	owner                   *account // the platform it is connected to; nil: it has keys of its own
	ready, submitted, ended bool
	customers               map[string]*customer
	methods                 map[string]*method
	mandates                map[string]*mandate
	intents                 map[string]*intent // payment and setup intents
	order                   []string           // of the intents, oldest first
	refunds                 map[string]*refund
	disputes                map[string]*dispute
	endpoints               []*endpoint
	events                  []*event
	idempotent              map[string]kept
	taxPending              bool     // its tax settings are not complete
	registered              []string // where it collects tax; nil: everywhere
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
	if o.Debit <= 0 {
		o.Debit = 5 * 24 * time.Hour
	}
	l := &Lab{opts: o, hooks: labhooks.New(o.Client, o.Clock, o.Retry), calls: map[string]int{}, links: map[string]*onboarding{}}
	l.mux = l.routes()
	return l
}

// AddAccount opens an account with its keys, "sk_test_…" and "pk_test_…". One that is
// there already stays as it is.
func (l *Lab) AddAccount(secretKey, publishableKey string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if a.secret == secretKey {
			return
		}
	}
	a := newAccount()
	a.secret, a.publishable, a.name, a.ready, a.submitted = secretKey, publishableKey, "Simulated account", true, true
	l.accounts = append(l.accounts, a)
}

// SetFaults switches faults; the zero Faults is health.
func (l *Lab) SetFaults(f Faults) {
	l.mu.Lock()
	l.faults = f
	l.mu.Unlock()
	l.hooks.SetFaults(labhooks.Faults{Lose: f.LoseHooks, Double: f.DoubleHooks, Turn: f.TurnHooks})
	l.hooks.Stir()
}

// Calls is how often a call was made, such as "POST /v1/refunds"; "/{id}" stands for ids.
func (l *Lab) Calls(call string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[call]
}

// Setups is how many SetupIntents the accounts hold.
func (l *Lab) Setups() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		for _, i := range a.intents {
			if i.setup {
				n++
			}
		}
	}
	return n
}

// Taken is what all successful payments of an account, by its secret key or, of one that
// is connected, its id, came to, less what was given
// back and what banks withdrew, in minor units by currency; Charged is how many there were.
func (l *Lab) Taken(secretKey string) (minor map[string]int64, charged int) {
	minor = map[string]int64{}
	for _, f := range l.Facts(secretKey) {
		minor[f.Currency] += f.Minor
		if f.Kind == "payment" {
			charged++
		}
	}
	return minor, charged
}

// Fact is one thing that moved the balance of an account.
type Fact struct {
	Kind     string            // payment, refund or dispute
	Ref      string            // its own id
	Payment  string            // the id of the payment it is about
	Meta     map[string]string // that payment's
	Currency string
	Minor    int64 // less than nothing: it went back; of a dispute what all its moves come to
}

// Facts are all that moved the balance of an account, named as for Taken.
func (l *Lab) Facts(secretKey string) (all []Fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if a.secret != secretKey && a.id != secretKey {
			continue
		}
		add := func(kind, ref, payment, currency string, minor int64) {
			f := Fact{Kind: kind, Ref: ref, Payment: payment, Currency: currency, Minor: minor}
			if i := a.intents[payment]; i != nil {
				f.Meta = maps.Clone(i.meta)
			}
			all = append(all, f)
		}
		for _, i := range a.intents {
			if !i.setup && i.status == succeeded {
				add("payment", i.id, i.id, i.currency, i.amount)
			}
		}
		for _, r := range a.refunds {
			if r.status == succeeded {
				add("refund", r.id, r.intent, r.currency, -r.amount)
			}
		}
		for _, d := range a.disputes {
			var moved int64
			for _, m := range d.moves {
				moved += m
			}
			add("dispute", d.id, d.intent, d.currency, moved)
		}
	}
	return all
}

// Handler serves the API, the bank's page and the script.
func (l *Lab) Handler() http.Handler { return l.mux }

func (l *Lab) now() int64 { return l.opts.Clock().Unix() }

// newID is a name as Stripe gives them.
func newID(prefix string) string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return prefix + "_" + hex.EncodeToString(b)
}
