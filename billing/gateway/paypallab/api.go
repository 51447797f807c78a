package paypallab

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// answer is what a call comes to.
type answer struct {
	status int
	body   any // nil: none
}

// answered is the answer given to a PayPal-Request-Id.
type answered struct {
	sum    [32]byte
	status int
	body   json.RawMessage
}

// call is one request of the API.
type call struct {
	lab  *Lab
	a    *account
	id   string
	base string
	body []byte
	req  string // PayPal-Request-Id
}

// read decodes the body. It reports false for what is no JSON.
func (c *call) read(into any) bool { return json.Unmarshal(c.body, into) == nil }

func refuse(status int, name, issue, field string, links ...any) answer {
	detail := object{"issue": issue, "description": "Simulated."}
	if field != "" {
		detail["field"] = field
	}
	body := object{"name": name, "message": "The requested action could not be performed (simulated).", "debug_id": strings.ToLower(newID()), "details": []any{detail}}
	if len(links) > 0 {
		body["links"] = links
	}
	return answer{status, body}
}

func unprocessable(issue string, links ...any) answer {
	return refuse(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY", issue, "", links...)
}

func invalid(field string) answer {
	return refuse(http.StatusBadRequest, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", field)
}

func missing() answer {
	return refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "")
}

// routes is everything the simulator serves, on one screen.
func (l *Lab) routes() *http.ServeMux {
	m := http.NewServeMux()
	on := func(pattern string, f func(*call) answer) { m.HandleFunc(pattern, l.api(pattern, f)) }
	m.HandleFunc("POST /v1/oauth2/token", l.token)
	on("POST /v2/checkout/orders", (*call).newOrder)
	on("GET /v2/checkout/orders/{id}", (*call).getOrder)
	on("POST /v2/checkout/orders/{id}/capture", (*call).captureOrder)
	on("GET /v2/payments/captures/{id}", (*call).getCapture)
	on("POST /v2/payments/captures/{id}/refund", (*call).newRefund)
	on("GET /v2/payments/refunds/{id}", (*call).getRefund)
	on("POST /v3/vault/setup-tokens", (*call).newSetup)
	on("GET /v3/vault/setup-tokens/{id}", (*call).getSetup)
	on("POST /v3/vault/payment-tokens", (*call).newToken)
	on("DELETE /v3/vault/payment-tokens/{id}", (*call).dropToken)
	on("GET /v1/customer/disputes/{id}", (*call).getDispute)
	on("POST /v1/notifications/webhooks", (*call).newEndpoint)
	on("GET /v1/notifications/webhooks", (*call).listEndpoints)
	on("POST /v1/notifications/verify-webhook-signature", (*call).verify)
	m.HandleFunc("GET /v1/notifications/certs/{id}", l.certificate)
	m.HandleFunc("GET /approve/{id}", l.approvePage)
	m.HandleFunc("POST /approve/{id}", l.approveAnswer)
	m.HandleFunc("GET /approve.css", style)
	m.HandleFunc("POST /lab/faults", l.faultsPage)
	l.officeRoutes(m)
	return m
}

const maxBody = 1 << 20

// broken applies faults to a request. It reports true when it has been answered.
func (l *Lab) broken(w http.ResponseWriter, r *http.Request, pattern string) (Faults, bool) {
	l.mu.Lock()
	f := l.faults
	l.calls[pattern]++
	l.mu.Unlock()
	if f.Slow > 0 {
		select {
		case <-time.After(f.Slow):
		case <-r.Context().Done():
			return f, true
		}
	}
	switch {
	case f.Down:
		reply(w, refuse(http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "SERVICE_UNAVAILABLE", ""))
	case f.Errors && r.Method != http.MethodGet && pattern != tokenCall:
		reply(w, refuse(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR", ""))
	default:
		return f, false
	}
	return f, true
}

const tokenCall = "POST /v1/oauth2/token"

// tokenLife is how long a token of PayPal's lasts.
const tokenLife = 9 * time.Hour

// token signs a seller in.
func (l *Lab) token(w http.ResponseWriter, r *http.Request) {
	f, done := l.broken(w, r, tokenCall)
	if done {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	client, secret, _ := r.BasicAuth()
	if r.FormValue("grant_type") != "client_credentials" {
		reply(w, answer{http.StatusBadRequest, object{"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"}})
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if a.client != client || a.secret != secret {
			continue
		}
		value, scope := "A21AA"+newID()+newID(), "https://uri.paypal.com/services/payments/payment openid"
		if !f.NoVault {
			scope += " https://uri.paypal.com/services/vault/payment-tokens/readwrite"
		}
		l.tokens[value] = access{a, l.opts.Clock().Add(tokenLife)}
		reply(w, answer{http.StatusOK, object{"scope": scope, "access_token": value, "token_type": "Bearer", "app_id": "APP-" + newID(), "expires_in": int64(tokenLife / time.Second), "nonce": l.now()}})
		return
	}
	reply(w, answer{http.StatusUnauthorized, object{"error": "invalid_client", "error_description": "Client Authentication failed"}})
}

// EndTokens makes every access token worthless, as PayPal may at any time.
func (l *Lab) EndTokens() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.tokens)
}

// api is what every call has: faults, the token, idempotency.
func (l *Lab) api(pattern string, f func(*call) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		faults, done := l.broken(w, r, pattern)
		if done {
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return
		}
		c := &call{lab: l, id: r.PathValue("id"), base: baseOf(r), body: body, req: r.Header.Get("PayPal-Request-Id")}
		a := l.answer(c, r, faults, f)
		l.hooks.Stir()
		if faults.LoseAnswers && r.Method != http.MethodGet {
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

// answer does a call under the lab's lock, once a PayPal-Request-Id.
func (l *Lab) answer(c *call, r *http.Request, faults Faults, f func(*call) answer) answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || l.opts.Clock().After(k.until) {
		return answer{http.StatusUnauthorized, object{"name": "AUTHENTICATION_FAILURE", "message": "Authentication failed due to invalid authentication credentials or a missing Authorization header.", "debug_id": strings.ToLower(newID())}}
	}
	c.a = k.a
	if r.Method != http.MethodPost || c.req == "" || faults.Forgets {
		return f(c)
	}
	key, sum := r.URL.Path+"\n"+c.req, sha256.Sum256(c.body)
	if old, known := c.a.idempotent[key]; known {
		if old.sum != sum {
			return unprocessable("DUPLICATE_REQUEST_ID")
		}
		return answer{http.StatusOK, old.body}
	}
	a := f(c)
	if a.status >= 200 && a.status <= 299 {
		text, err := json.Marshal(a.body)
		if err != nil {
			return refuse(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR", "")
		}
		c.a.idempotent[key] = answered{sum, a.status, text}
	}
	return a
}

func reply(w http.ResponseWriter, a answer) {
	w.Header().Set("Paypal-Debug-Id", strings.ToLower(newID()))
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	text, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(a.status)
	_, _ = w.Write(text)
}
