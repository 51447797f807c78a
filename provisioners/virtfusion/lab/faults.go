package lab

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault goes wrong instead of, or after, what a call asks for.
type Fault struct {
	Method     string `json:"method"` // empty: any; write: any but GET
	Path       string `json:"path"`   // part of the path, such as /build; empty: any
	Status     int    `json:"status"` // answered; 0: the connection is cut
	Body       string `json:"body"`   // empty: what VirtFusion says with that status
	RetryAfter string `json:"retry_after"`
	// After does what was asked first and then loses the answer: the time-out after the
	// platform did create.
	After bool `json:"after"`
	// DelayMS waits before the call is looked at.
	DelayMS int `json:"delay_ms"`
	Skip    int `json:"skip"`  // how many calls go well first
	Times   int `json:"times"` // how often; 0: until it is cleared
}

// Break switches a fault on. Faults are tried in the order they were switched on.
func (l *Lab) Break(f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, &f)
}

// Mend switches all faults off.
func (l *Lab) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = nil
}

func (f *Fault) fits(r *http.Request) bool {
	if f.Method == "write" && r.Method == http.MethodGet || f.Method != "write" && f.Method != "" && f.Method != r.Method {
		return false
	}
	return strings.Contains(r.URL.Path, f.Path)
}

// fault is the first that fits the call; it is counted.
func (l *Lab) fault(r *http.Request) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.faults {
		if !f.fits(r) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return nil
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				l.faults = append(l.faults[:i:i], l.faults[i+1:]...)
			}
		}
		return &hit
	}
	return nil
}

// Handler answers the API below /api/v1 and the control path below /_lab, which needs no
// token: serve it on loopback only.
func (l *Lab) Handler() http.Handler {
	control := l.control()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_lab/") {
			control.ServeHTTP(w, r)
			return
		}
		seen := &recorder{ResponseWriter: w}
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.calls = append(l.calls, Call{r.Method, r.URL.Path, seen.status}); len(l.calls) > 10_000 {
				l.calls = l.calls[5000:]
			}
		}()
		f := l.fault(r)
		if f != nil && f.DelayMS > 0 {
			select {
			case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case f == nil || f.Status == 0 && !f.After && f.DelayMS > 0:
			l.serve(seen, r)
		case f.After:
			l.serve(void{http.Header{}}, r)
			f.answer(seen)
		default:
			f.answer(seen)
		}
	})
}

// answer goes wrong.
func (f *Fault) answer(w *recorder) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler) // the connection is cut without a word
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	body := f.Body
	if body == "" {
		switch f.Status {
		case http.StatusLocked:
			body = `{"msg":"server is locked by another task"}`
		case http.StatusTooManyRequests:
			body = `{"message":"Too Many Attempts."}`
		case http.StatusUnprocessableEntity:
			body = `{"errors":["No suitable hypervisor was found"]}`
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(body))
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// void takes an answer nobody gets.
type void struct{ head http.Header }

func (v void) Header() http.Header         { return v.head }
func (v void) Write(b []byte) (int, error) { return len(b), nil }
func (v void) WriteHeader(int)             {}

// control is the path for people who try what happens: what is there, and what is to go
// wrong.
func (l *Lab) control() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /_lab/servers", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, l.Servers()) })
	m.HandleFunc("DELETE /_lab/servers/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		done(w, l.DeleteBehind(id))
	})
	m.HandleFunc("POST /_lab/servers/{id}/fail", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		done(w, l.FailBuild(id))
	})
	m.HandleFunc("POST /_lab/strays", func(w http.ResponseWriter, r *http.Request) {
		say(w, http.StatusCreated, map[string]int64{"id": l.AddStray(r.URL.Query().Get("name"))})
	})
	m.HandleFunc("PUT /_lab/groups/{id}/memory/{mb}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		mb, err := strconv.Atoi(r.PathValue("mb"))
		done(w, err == nil && mb >= 0 && l.SetRoom(id, mb))
	})
	m.HandleFunc("GET /_lab/faults", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		say(w, http.StatusOK, l.faults)
	})
	m.HandleFunc("POST /_lab/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&f); err != nil || f.Status != 0 && (f.Status < 200 || f.Status > 599) {
			say(w, http.StatusUnprocessableEntity, map[string]string{"msg": "write a fault as JSON: method, path, status, body, retry_after, after, delay_ms, skip, times"})
			return
		}
		l.Break(f)
		say(w, http.StatusCreated, f)
	})
	m.HandleFunc("DELETE /_lab/faults", func(w http.ResponseWriter, _ *http.Request) {
		l.Mend()
		done(w, true)
	})
	return m
}

func done(w http.ResponseWriter, ok bool) {
	if !ok {
		say(w, http.StatusNotFound, map[string]string{"msg": "there is no such thing"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// say answers with JSON.
func say(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "lab: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b)
}
