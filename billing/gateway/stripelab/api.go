package stripelab

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what a call comes to: JSON and its status.
type answer struct {
	status int
	body   any
}

// kept is the answer given to an idempotency key.
type kept struct {
	sum  [32]byte
	code int
	body []byte
}

// call is one request of the API.
type call struct {
	lab    *Lab
	a      *account
	public bool // made with the publishable key, by a browser
	id     string
	base   string
	form   url.Values
}

func ok(body any) answer { return answer{http.StatusOK, body} }

type object = map[string]any

func refuse(status int, kind, code, param, message string, more object) answer {
	e := object{"type": kind, "message": message}
	if code != "" {
		e["code"] = code
	}
	if param != "" {
		e["param"] = param
	}
	for k, v := range more {
		e[k] = v
	}
	return answer{status, object{"error": e}}
}

func missing(what, id string) answer {
	return refuse(http.StatusNotFound, "invalid_request_error", "resource_missing", "id", "No such "+what+": '"+id+"'", nil)
}

func invalid(param, message string) answer {
	return refuse(http.StatusBadRequest, "invalid_request_error", "parameter_invalid", param, message, nil)
}

// routes is everything the simulator serves, on one screen.
func (l *Lab) routes() *http.ServeMux {
	m := http.NewServeMux()
	secret := func(pattern string, f func(*call) answer) { m.HandleFunc(pattern, l.api(pattern, false, f)) }
	both := func(pattern string, f func(*call) answer) { m.HandleFunc(pattern, l.api(pattern, true, f)) }
	secret("GET /v1/account", (*call).account)
	secret("POST /v1/accounts", (*call).newAccount)
	secret("GET /v1/accounts/{id}", (*call).getAccount)
	secret("POST /v1/account_links", (*call).newLink)
	secret("POST /v1/customers", (*call).newCustomer)
	secret("GET /v1/customers/{id}", (*call).getCustomer)
	secret("POST /v1/customers/{id}", (*call).changeCustomer)
	both("POST /v1/payment_methods", (*call).newMethod)
	secret("GET /v1/payment_methods", (*call).listMethods)
	secret("GET /v1/payment_methods/{id}", (*call).getMethod)
	secret("POST /v1/payment_methods/{id}/attach", (*call).attach)
	secret("POST /v1/payment_methods/{id}/detach", (*call).detach)
	secret("POST /v1/payment_intents", (*call).newPayment)
	secret("GET /v1/payment_intents", (*call).listPayments)
	both("GET /v1/payment_intents/{id}", (*call).getPayment)
	both("POST /v1/payment_intents/{id}/confirm", (*call).confirmPayment)
	secret("POST /v1/payment_intents/{id}/cancel", (*call).cancelPayment)
	secret("POST /v1/setup_intents", (*call).newSetup)
	both("GET /v1/setup_intents/{id}", (*call).getSetup)
	both("POST /v1/setup_intents/{id}/confirm", (*call).confirmSetup)
	secret("POST /v1/setup_intents/{id}/cancel", (*call).cancelSetup)
	secret("POST /v1/refunds", (*call).newRefund)
	secret("GET /v1/refunds", (*call).listRefunds)
	secret("GET /v1/refunds/{id}", (*call).getRefund)
	secret("GET /v1/disputes", (*call).listDisputes)
	secret("GET /v1/disputes/{id}", (*call).getDispute)
	secret("POST /v1/webhook_endpoints", (*call).newEndpoint)
	secret("GET /v1/webhook_endpoints", (*call).listEndpoints)
	secret("DELETE /v1/webhook_endpoints/{id}", (*call).dropEndpoint)
	secret("POST /v1/tax/calculations", (*call).calculateTax)
	secret("GET /v1/tax/settings", (*call).taxSettings)
	secret("GET /v1/tax/registrations", (*call).taxRegistrations)
	secret("GET /v1/events", (*call).listEvents)
	m.HandleFunc("OPTIONS /v1/", func(w http.ResponseWriter, _ *http.Request) { allow(w); w.WriteHeader(http.StatusNoContent) })
	m.HandleFunc("GET /authenticate/{id}", l.bankPage)
	m.HandleFunc("POST /authenticate/{id}", l.bankAnswer)
	m.HandleFunc("POST /lab/faults", l.faultsPage)
	l.officeRoutes(m)
	l.connectRoutes(m)
	m.HandleFunc("GET /v3/{$}", page("script.js", "text/javascript; charset=utf-8"))
	m.HandleFunc("GET /v3/frame", page("frame.html", "text/html; charset=utf-8"))
	m.HandleFunc("GET /v3/frame.js", page("frame.js", "text/javascript; charset=utf-8"))
	m.HandleFunc("GET /v3/frame.css", page("frame.css", "text/css; charset=utf-8"))
	return m
}

// allow lets a browser's page of another origin read the answer.
func allow(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, stripe-version")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
}

const maxBody = 1 << 20

// api is what every call has: faults, keys, idempotency.
func (l *Lab) api(pattern string, browsers bool, f func(*call) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		allow(w)
		l.mu.Lock()
		faults := l.faults
		l.calls[pattern]++
		l.mu.Unlock()
		if faults.Slow > 0 {
			select {
			case <-time.After(faults.Slow):
			case <-r.Context().Done():
				return
			}
		}
		write := r.Method != http.MethodGet
		if faults.Down {
			reply(w, refuse(http.StatusServiceUnavailable, "api_error", "", "", "Stripe is down (simulated).", nil))
			return
		}
		if faults.Errors && write {
			reply(w, refuse(http.StatusInternalServerError, "api_error", "", "", "An error occurred (simulated).", nil))
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			reply(w, invalid("", "The body is not a form."))
			return
		}
		for k, v := range r.URL.Query() {
			form[k] = append(form[k], v...)
		}
		c := &call{lab: l, id: r.PathValue("id"), form: form, base: baseOf(r)}
		a := l.answer(c, r, browsers, f)
		l.hooks.Stir()
		if faults.LoseAnswers && write && !c.public {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		reply(w, a)
	}
}

func baseOf(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// answer does a call under the lab's lock, once a key.
func (l *Lab) answer(c *call, r *http.Request, browsers bool, f func(*call) answer) answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleDebits()
	key, _, basic := r.BasicAuth()
	if !basic {
		key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if key == "" {
		key = c.form.Get("key")
	}
	for _, a := range l.accounts {
		if key != "" && a.owner == nil && (a.secret == key || a.publishable == key) {
			c.a, c.public = a, a.publishable == key
		}
	}
	switch {
	case c.a == nil:
		return refuse(http.StatusUnauthorized, "invalid_request_error", "api_key_invalid", "", "Invalid API Key provided.", nil)
	case c.public && !browsers:
		return refuse(http.StatusForbidden, "invalid_request_error", "secret_key_required", "", "This API call cannot be made with a publishable API key.", nil)
	}
	named := r.Header.Get("Stripe-Account")
	if c.public {
		named = c.form.Get("_stripe_account")
	}
	var bad *answer
	if c.a, bad = l.actingFor(c.a, named); bad != nil {
		return *bad
	}
	idem := r.Header.Get("Idempotency-Key")
	if idem == "" || c.public {
		return f(c)
	}
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "\n" + c.form.Encode()))
	if k, known := c.a.idempotent[idem]; known {
		if k.sum != sum {
			return refuse(http.StatusBadRequest, "idempotency_error", "", "", "Keys for idempotent requests can only be used with the same parameters they were first used with.", nil)
		}
		return answer{k.code, json.RawMessage(k.body)}
	}
	a := f(c)
	text, err := json.Marshal(a.body)
	if err != nil {
		return refuse(http.StatusInternalServerError, "api_error", "", "", err.Error(), nil)
	}
	c.a.idempotent[idem] = kept{sum, a.status, text}
	return answer{a.status, json.RawMessage(text)}
}

func reply(w http.ResponseWriter, a answer) {
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(a.body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", newID("req"))
	w.WriteHeader(a.status)
	_, _ = w.Write(out.Bytes())
}

var errNumber = errors.New("not a number")

func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.form.Get(name), 10, 64)
	if err != nil {
		return 0, errNumber
	}
	return n, nil
}

// metadata is what stands in metadata[…].
func (c *call) metadata() map[string]string {
	m := map[string]string{}
	for k, v := range c.form {
		if name, found := strings.CutPrefix(k, "metadata["); found && len(v) > 0 {
			m[strings.TrimSuffix(name, "]")] = v[0]
		}
	}
	return m
}

// list is what stands in name[…], in any order.
func (c *call) list(name string) (all []string) {
	for k, v := range c.form {
		if strings.HasPrefix(k, name+"[") {
			all = append(all, v...)
		}
	}
	return all
}

// expands reports whether a field was asked for in full.
func (c *call) expands(field string) bool {
	return slices.Contains(c.list("expand"), field)
}

func list(path string, data []any) answer {
	return ok(object{"object": "list", "url": path, "has_more": false, "data": data})
}

func (c *call) account() answer { return ok(c.a.json()) }
