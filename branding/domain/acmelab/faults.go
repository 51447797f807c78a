package acmelab

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is a way in which the authority misbehaves.
type Fault string

// The faults. Those that refuse do so for new orders.
const (
	None        Fault = ""
	TooMany     Fault = "too_many"     // 429 with Retry-After
	ServerError Fault = "server_error" // 500 on every request
	Hang        Fault = "hang"         // no answer until released
	Slow        Fault = "slow"         // every request takes the delay longer
	CAARefusal  Fault = "caa"          // CAA forbids, whatever the zone says
	Policy      Fault = "policy"       // the name is not allowed
)

// Faults switches the authority's bad days and counts what it was asked.
type Faults struct {
	zone *Zone

	mu         sync.Mutex
	fault      Fault
	retryAfter time.Duration
	free       chan struct{} // closed: nothing hangs
	orders     map[string]int
	issued     map[string]int
	requests   int
}

func newFaults(z *Zone) *Faults {
	f := &Faults{zone: z, orders: map[string]int{}, issued: map[string]int{}, free: make(chan struct{})}
	close(f.free)
	return f
}

// Set switches to one fault, None to none. After is the Retry-After of TooMany and
// the delay of Slow.
func (f *Faults) Set(fault Fault, after time.Duration) {
	f.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.retryAfter = fault, after
	if fault == Hang {
		f.free = make(chan struct{})
	}
}

func (f *Faults) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.free:
	default:
		close(f.free)
	}
}

// Orders is how many orders for the name were taken on.
func (f *Faults) Orders(name string) int { return f.count(f.orders, name) }

// Issued is how many certificates for the name were issued.
func (f *Faults) Issued(name string) int { return f.count(f.issued, name) }

// Requests is how many requests came in at all.
func (f *Faults) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *Faults) count(m map[string]int, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return m[name]
}

// wrap stands between the clients and the authority.
func (f *Faults) wrap(next http.Handler, orders *reuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if f.misbehave(w, r, body) {
			return
		}
		rec := &statusWriter{ResponseWriter: w}
		switch {
		case r.URL.Path != "/order-plz":
			next.ServeHTTP(rec, r)
		case orders.again(rec, r, body):
			return
		default:
			orders.take(rec, r, body)
		}
		f.record(r.URL.Path, rec.status, body)
	})
}

// misbehave reports whether it answered.
func (f *Faults) misbehave(w http.ResponseWriter, r *http.Request, body []byte) bool {
	f.mu.Lock()
	fault, after, free := f.fault, f.retryAfter, f.free
	f.requests++
	f.mu.Unlock()
	select {
	case <-free:
	case <-r.Context().Done():
		return true
	}
	if fault == Slow {
		select {
		case <-time.After(after):
		case <-r.Context().Done():
			return true
		}
	}
	if fault == ServerError {
		problem(w, http.StatusInternalServerError, "serverInternal", "the authority is broken")
		return true
	}
	if r.URL.Path != "/order-plz" {
		return false
	}
	names := orderedNames(body)
	switch {
	case fault == TooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
		problem(w, http.StatusTooManyRequests, "rateLimited", fmt.Sprintf("too many new orders recently: retry after %s", time.Now().Add(after).UTC().Format("2006-01-02 15:04:05 MST")))
	case fault == Policy:
		problem(w, http.StatusForbidden, "rejectedIdentifier", "the authority will not issue for "+strings.Join(names, ", "))
	case fault == CAARefusal || f.forbidden(names) != "":
		problem(w, http.StatusForbidden, "caa", "CAA record for "+or(f.forbidden(names), strings.Join(names, ", "))+" prevents issuance")
	default:
		return false
	}
	return true
}

// forbidden is the first name whose CAA records do not list this authority: the
// server behind leaves that check out.
func (f *Faults) forbidden(names []string) string {
	for _, n := range names {
		wild := strings.HasPrefix(n, "*.")
		set := f.zone.caa(strings.TrimPrefix(n, "*."))
		restricted, allowed := false, false
		tag := "issue"
		for _, c := range set {
			if wild && c.Tag == "issuewild" {
				tag = "issuewild"
			}
		}
		for _, c := range set {
			if c.Tag == tag {
				restricted = true
				domain, _, _ := strings.Cut(c.Value, ";")
				allowed = allowed || strings.TrimSpace(domain) == Identity
			}
		}
		if restricted && !allowed {
			return n
		}
	}
	return ""
}

func (f *Faults) record(path string, status int, body []byte) {
	if status/100 != 2 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case path == "/order-plz":
		for _, n := range orderedNames(body) {
			f.orders[n]++
		}
	case strings.HasPrefix(path, "/finalize-order/"):
		for _, n := range requestedNames(body) {
			f.issued[n]++
		}
	}
}

// payload reads what a signed request carries. The signature is the authority's to check.
func payload(body []byte, into any) bool {
	var jws struct{ Payload string }
	if json.Unmarshal(body, &jws) != nil {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	return err == nil && json.Unmarshal(b, into) == nil
}

func orderedNames(body []byte) (names []string) {
	var order struct{ Identifiers []struct{ Value string } }
	if payload(body, &order) {
		for _, id := range order.Identifiers {
			names = append(names, strings.ToLower(id.Value))
		}
	}
	return names
}

func requestedNames(body []byte) []string {
	var in struct{ CSR string }
	if !payload(body, &in) {
		return nil
	}
	der, err := base64.RawURLEncoding.DecodeString(in.CSR)
	if err != nil {
		return nil
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil
	}
	return csr.DNSNames
}

func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}
