package acmelab

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/letsencrypt/pebble/v2/acme"
	"github.com/letsencrypt/pebble/v2/core"
)

// reuse answers a repeated wish for an order with the order that is still open for
// the same account and names, as Let's Encrypt does and Pebble does not. A client
// that died before it read the first answer gets the same order again.
type reuse struct {
	next  http.Handler
	order func(id string) *core.Order

	mu   sync.Mutex
	open map[string]answer // by account and names
}

// answer is what the first wish was answered.
type answer struct {
	id     string
	header http.Header
	body   []byte
}

func newReuse(next http.Handler, order func(id string) *core.Order) *reuse {
	return &reuse{next: next, order: order, open: map[string]answer{}}
}

// again answers with the open order, and reports whether there was one.
func (u *reuse) again(w http.ResponseWriter, r *http.Request, body []byte) bool {
	key := wish(body)
	u.mu.Lock()
	kept, known := u.open[key]
	u.mu.Unlock()
	if !known || key == "" || !u.isOpen(kept.id) {
		return false
	}
	for name, values := range kept.header {
		w.Header()[name] = slices.Clone(values)
	}
	w.Header().Set("Replay-Nonce", u.nonce(r))
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(kept.body)
	return true
}

// take lets the authority make the order, and keeps its answer.
func (u *reuse) take(w *statusWriter, r *http.Request, body []byte) {
	copied := &copying{statusWriter: w}
	u.next.ServeHTTP(copied, r)
	if key := wish(body); key != "" && w.status == http.StatusCreated {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.open[key] = answer{path.Base(w.Header().Get("Location")), w.Header().Clone(), copied.body.Bytes()}
	}
}

func (u *reuse) isOpen(id string) bool {
	o := u.order(id)
	if o == nil {
		return false
	}
	status, err := o.GetStatus()
	return err == nil && (status == acme.StatusPending || status == acme.StatusReady)
}

// nonce asks the authority for a fresh one: each answer carries it.
func (u *reuse) nonce(r *http.Request) string {
	ask := r.Clone(r.Context())
	ask.Method, ask.URL.Path, ask.Body = http.MethodHead, "/nonce-plz", http.NoBody
	rec := &recorder{header: http.Header{}}
	u.next.ServeHTTP(rec, ask)
	return rec.header.Get("Replay-Nonce")
}

// wish names the account and the names of a signed wish for an order; empty when it
// cannot be read.
func wish(body []byte) string {
	var jws struct{ Protected string }
	var head struct{ Kid string }
	if json.Unmarshal(body, &jws) != nil {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(jws.Protected)
	if err != nil || json.Unmarshal(b, &head) != nil || head.Kid == "" {
		return ""
	}
	names := orderedNames(body)
	slices.Sort(names)
	return head.Kid + " " + strings.Join(names, " ")
}

// copying keeps what it passes on.
type copying struct {
	*statusWriter
	body bytes.Buffer
}

func (c *copying) Write(b []byte) (int, error) {
	c.body.Write(b)
	return c.statusWriter.Write(b)
}
