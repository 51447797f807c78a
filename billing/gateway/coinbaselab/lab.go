// Package coinbaselab simulates Coinbase Business: a stateful HTTP server that speaks its
// Checkouts API, with the page where customers pay and signed webhooks. It is for tests
// and the demo; nothing of it is Coinbase's, and no money moves.
package coinbaselab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/labhooks"
)

// Options make a Lab. Zero fields have a usual value.
type Options struct {
	Clock  func() time.Time // zero: the wall clock's
	Client *http.Client     // delivers webhooks; zero: one that gives up after ten seconds
}

// Faults are what goes wrong.
type Faults struct {
	Down        bool // every call of the API answers 503
	LoseAnswers bool // calls that change something are done, and their answer is lost
	LoseHooks   bool // webhooks are dropped
	DoubleHooks bool // webhooks come twice
}

// Lab is the simulator. It is safe for concurrent use.
type Lab struct {
	opts  Options
	mux   *http.ServeMux
	hooks *labhooks.Post

	mu       sync.Mutex
	faults   Faults
	accounts map[string]*account // by the key's id
	nonces   map[string]bool
}

type account struct {
	public       ed25519.PublicKey
	hook, secret string
	checkouts    map[string]*checkout
	idempotent   map[string]string // the checkout of a key
}

type checkout struct {
	body    map[string]any
	refunds []any
	left    int64 // hundredths that can be given back
	asked   string
}

// New makes a Lab without accounts.
func New(o Options) *Lab {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	l := &Lab{opts: o, hooks: labhooks.New(o.Client, o.Clock, 0), accounts: map[string]*account{}, nonces: map[string]bool{}, mux: http.NewServeMux()}
	on := func(pattern string, f func(*Lab, *account, *http.Request, []byte) (int, any)) {
		l.mux.HandleFunc(pattern, l.api(f))
	}
	on("GET /api/v1/checkouts", (*Lab).list)
	on("POST /api/v1/checkouts", (*Lab).create)
	on("GET /api/v1/checkouts/{id}", (*Lab).get)
	on("POST /api/v1/checkouts/{id}/deactivate", (*Lab).deactivate)
	on("POST /api/v1/checkouts/{id}/refund", (*Lab).refund)
	l.mux.HandleFunc("GET /pay/{id}", l.payPage)
	l.mux.HandleFunc("POST /pay/{id}", l.payAnswer)
	l.officeRoutes(l.mux)
	return l
}

// Handler serves the API, below /api/v1, and the page.
func (l *Lab) Handler() http.Handler { return l.mux }

// AddAccount opens a seller's account and returns the secret of its key, which is made of
// the key's id: a demo has it again after a restart.
func (l *Lab) AddAccount(keyID string) (secret string) {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, "simulated key of "+keyID)
	key := ed25519.NewKeyFromSeed(seed)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accounts[keyID] == nil {
		l.accounts[keyID] = &account{public: key.Public().(ed25519.PublicKey), checkouts: map[string]*checkout{}, idempotent: map[string]string{}} //nolint:forcetypeassert // it is one
	}
	return base64.StdEncoding.EncodeToString(key)
}

// Subscribe has an account's events sent to an address, signed with a secret.
func (l *Lab) Subscribe(keyID, address, secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[keyID]; a != nil {
		a.hook, a.secret = address, secret
	}
}

// SetFaults switches faults; the zero Faults is health.
func (l *Lab) SetFaults(f Faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = f
	l.hooks.SetFaults(labhooks.Faults{Lose: f.LoseHooks, Double: f.DoubleHooks})
}

// Taken is what all paid checkouts of an account came to, less what was given back, in
// hundredths by currency, and how many were paid.
func (l *Lab) Taken(keyID string) (cents map[string]int64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cents = map[string]int64{}
	for _, c := range l.accounts[keyID].checkouts {
		if c.body["settlement"] != nil {
			cents[c.body["currency"].(string)] += c.left //nolint:forcetypeassert // made here
			n++
		}
	}
	return cents, n
}

type object = map[string]any

func refuse(status int, kind string) (int, any) {
	return status, object{"errorType": kind, "errorMessage": "The request is refused (simulated)."}
}

// api is what every call has: faults and the token of the call.
func (l *Lab) api(f func(*Lab, *account, *http.Request, []byte) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		l.mu.Lock()
		faults := l.faults
		status, answer := refuse(http.StatusServiceUnavailable, "service_unavailable")
		if !faults.Down {
			if a := l.who(r); a != nil {
				status, answer = f(l, a, r, body)
			} else {
				status, answer = refuse(http.StatusUnauthorized, "unauthorized")
			}
		}
		text, err := json.Marshal(answer)
		l.mu.Unlock()
		l.hooks.Stir()
		if err != nil || faults.LoseAnswers && r.Method != http.MethodGet {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}

// who is the account whose key signed a call, once.
func (l *Lab) who(r *http.Request) *account {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 {
		return nil
	}
	var head struct{ Alg, Kid, Nonce string }
	var claims struct {
		Iss, Sub, URI string
		Nbf, Exp      int64
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return nil
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	a, now := l.accounts[head.Kid], l.opts.Clock().Unix()
	switch {
	case err != nil, a == nil, head.Alg != "EdDSA", claims.Iss != "cdp", claims.Sub != head.Kid, now < claims.Nbf-30, now > claims.Exp,
		claims.URI != r.Method+" "+r.Host+r.URL.Path, head.Nonce == "", l.nonces[head.Nonce], !ed25519.Verify(a.public, []byte(parts[0]+"."+parts[1]), sig):
		return nil
	}
	l.nonces[head.Nonce] = true
	return a
}

var amountForm = regexp.MustCompile(`^\d+(\.\d{1,2})?$`)

func cents(s string) int64 {
	major, minor, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(major+(minor + "00")[:2], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func decimal(n int64) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }

func (l *Lab) list(a *account, _ *http.Request, _ []byte) (int, any) {
	all := []any{}
	for _, c := range a.checkouts {
		all = append(all, c.body)
	}
	return http.StatusOK, object{"checkouts": all[:min(len(all), 1)]}
}

func (l *Lab) create(a *account, r *http.Request, body []byte) (int, any) {
	var ask struct {
		Amount, Currency, Description, SuccessRedirectURL, FailRedirectURL string
		Metadata                                                           map[string]string
	}
	key := r.Header.Get("X-Idempotency-Key")
	switch err := json.Unmarshal(body, &ask); {
	case err != nil, !amountForm.MatchString(ask.Amount), cents(ask.Amount) <= 0, ask.Currency == "":
		return refuse(http.StatusBadRequest, "invalid_request")
	case key != "" && a.idempotent[key] != "":
		c := a.checkouts[a.idempotent[key]]
		if c.asked != string(body) {
			return refuse(http.StatusBadRequest, "idempotency_error")
		}
		return http.StatusCreated, c.body
	}
	raw := make([]byte, 12)
	_, _ = rand.Read(raw) // never fails
	id, now := hex.EncodeToString(raw), l.opts.Clock().UTC()
	base := "http://" + r.Host
	c := &checkout{asked: string(body), body: object{
		"id": id, "url": base + "/pay/" + id, "amount": ask.Amount, "currency": ask.Currency, "network": "base", "address": "0x" + strings.Repeat("0", 40), "status": "ACTIVE",
		"createdAt": now.Format(time.RFC3339), "updatedAt": now.Format(time.RFC3339), "expiresAt": now.Add(24 * time.Hour).Format(time.RFC3339),
	}}
	for name, v := range map[string]string{"description": ask.Description, "successRedirectUrl": ask.SuccessRedirectURL, "failRedirectUrl": ask.FailRedirectURL} {
		if v != "" {
			c.body[name] = v
		}
	}
	if ask.Metadata != nil {
		c.body["metadata"] = ask.Metadata
	}
	a.checkouts[id], a.idempotent[key] = c, id
	return http.StatusCreated, c.body
}

func (l *Lab) get(a *account, r *http.Request, _ []byte) (int, any) {
	if c := a.checkouts[r.PathValue("id")]; c != nil {
		return http.StatusOK, c.body
	}
	return refuse(http.StatusNotFound, "not_found")
}

func (l *Lab) deactivate(a *account, r *http.Request, _ []byte) (int, any) {
	c := a.checkouts[r.PathValue("id")]
	switch {
	case c == nil:
		return refuse(http.StatusNotFound, "not_found")
	case c.body["status"] != "ACTIVE":
		return refuse(http.StatusBadRequest, "invalid_state")
	}
	c.body["status"] = "DEACTIVATED"
	return http.StatusOK, c.body
}

func (l *Lab) refund(a *account, r *http.Request, body []byte) (int, any) {
	var ask struct{ Amount, Currency, Reason string }
	c := a.checkouts[r.PathValue("id")]
	switch {
	case c == nil:
		return refuse(http.StatusNotFound, "not_found")
	case json.Unmarshal(body, &ask) != nil, !amountForm.MatchString(ask.Amount), cents(ask.Amount) <= 0, cents(ask.Amount) > c.left:
		return refuse(http.StatusBadRequest, "invalid_amount")
	}
	c.left -= cents(ask.Amount)
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	made := object{"id": hex.EncodeToString(raw), "checkoutId": c.body["id"], "amount": ask.Amount, "currency": c.body["currency"], "status": "COMPLETED", "reason": ask.Reason}
	c.refunds = append(c.refunds, made)
	c.body["refunds"], c.body["status"] = c.refunds, "PARTIALLY_REFUNDED"
	if c.left == 0 {
		c.body["status"] = "REFUNDED"
	}
	l.tell(a, c, "checkout.refund.success")
	return http.StatusOK, object{"checkout": c.body, "refund": made}
}

// tell queues an event.
func (l *Lab) tell(a *account, c *checkout, kind string) {
	c.body["updatedAt"] = l.opts.Clock().UTC().Format(time.RFC3339)
	if a.hook == "" {
		return
	}
	payload := object{"eventType": kind}
	for k, v := range c.body {
		payload[k] = v
	}
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err) // what the simulator makes is JSON
	}
	secret := a.secret
	l.hooks.Add(labhooks.Hook{URL: a.hook, Body: text, Sign: func(h http.Header, now time.Time) {
		const names = "content-type"
		h.Set("X-Hook0-Signature", fmt.Sprintf("t=%d,v0=,h=%s,v1=%s", now.Unix(), names, coinbase.Sign(secret, now, names, h, text)))
	}})
}

var (
	errNot       = errors.New("coinbaselab: no such checkout, or not one that waits")
	errNotAmount = errors.New("coinbaselab: no amount in hundredths")
	errNotStatus = errors.New("coinbaselab: a checkout ends EXPIRED or FAILED")
)

// Pay pays a checkout, with all of its amount or another one (hundredths; 0: all of it),
// and returns where the customer is sent back to.
func (l *Lab) Pay(id string, paid int64) (back string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	for _, a := range l.accounts {
		c := a.checkouts[id]
		if c == nil || c.body["status"] != "ACTIVE" {
			continue
		}
		if paid <= 0 {
			paid = cents(c.body["amount"].(string)) //nolint:forcetypeassert // made here
		}
		c.left = paid
		c.body["status"], c.body["settlement"] = "COMPLETED", object{"totalAmount": decimal(paid), "feeAmount": "0.00", "netAmount": decimal(paid), "currency": c.body["currency"]}
		l.tell(a, c, "checkout.payment.success")
		back, _ = c.body["successRedirectUrl"].(string)
		return back, nil
	}
	return "", errNot
}

// Expire ends a checkout nobody paid: "EXPIRED", or "FAILED" when what was sent is lost.
func (l *Lab) Expire(id, status string) error {
	kind := map[string]string{"EXPIRED": "checkout.payment.expired", "FAILED": "checkout.payment.failed"}[status]
	if kind == "" {
		return errNotStatus
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hooks.Stir()
	for _, a := range l.accounts {
		if c := a.checkouts[id]; c != nil && c.body["status"] == "ACTIVE" {
			c.body["status"] = status
			l.tell(a, c, kind)
			return nil
		}
	}
	return errNot
}

// Run delivers webhooks until ctx ends. What is not taken is tried again.
func (l *Lab) Run(ctx context.Context) error { return l.hooks.Run(ctx) }

// Deliver delivers the webhooks that wait and returns how many were taken.
func (l *Lab) Deliver(ctx context.Context) (taken int) { return l.hooks.Deliver(ctx) }
