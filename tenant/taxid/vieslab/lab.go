// Package vieslab is a register of VAT numbers for tests and the demo: a real server that
// speaks VIES's REST protocol about the numbers it was told. It owns no rule of its own.
package vieslab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// Entry is what the register knows of a number.
type Entry struct{ Name, Address string }

// Lab answers for the numbers in it. It is safe for concurrent use.
type Lab struct {
	// Others answers about numbers nobody entered; nil: they are unknown.
	Others func(number string) (Entry, bool)

	mu    sync.Mutex
	known map[string]Entry
	down  string
	asked int
}

// Forget strikes a number out.
func (l *Lab) Forget(number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, number)
}

// Know enters a number, with its prefix.
func (l *Lab) Know(number string, e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]Entry{}
	}
	l.known[number] = e
}

// Fail makes every answer an error of the register, such as MS_UNAVAILABLE; empty: none.
func (l *Lab) Fail(code string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = code
}

// Asked is how often it was asked.
func (l *Lab) Asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// ServeHTTP answers POST /check-vat-number.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost || r.URL.Path != "/check-vat-number" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var q struct {
		Country string `json:"countryCode"`
		Number  string `json:"vatNumber"`
		Asker   string `json:"requesterNumber"`
	}
	answer := map[string]any{}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&q); err != nil {
		answer["actionSucceed"], answer["errorWrappers"] = false, []map[string]string{{"error": "INVALID_INPUT"}}
		w.WriteHeader(http.StatusBadRequest)
	} else if l.down != "" {
		answer["actionSucceed"], answer["errorWrappers"] = false, []map[string]string{{"error": l.down}}
		w.WriteHeader(http.StatusInternalServerError)
	} else {
		e, ok := l.known[q.Country+q.Number]
		if !ok && l.Others != nil {
			e, ok = l.Others(q.Country + q.Number)
		}
		if !ok {
			e = Entry{"---", "---"}
		}
		answer = map[string]any{"countryCode": q.Country, "vatNumber": q.Number, "valid": ok, "name": e.Name, "address": e.Address, "requestIdentifier": ""}
		if q.Asker != "" {
			answer["requestIdentifier"] = fmt.Sprintf("WAPIAAA%08d", l.asked)
		}
	}
	_ = json.NewEncoder(w).Encode(answer) // a caller that is gone hears nothing
}
