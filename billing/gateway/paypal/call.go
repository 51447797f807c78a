package paypal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tokens keeps access tokens until shortly before they end, so that not every call asks
// for one. The zero Tokens is ready, and safe for concurrent use.
type Tokens struct {
	mu  sync.Mutex
	all map[[32]byte]token
}

type token struct {
	value, scope, app string
	until             time.Time
}

// maxTokens bounds what is kept; beyond it, tokens are forgotten and asked for anew.
const maxTokens = 10_000

func (t *Tokens) get(of [32]byte, now time.Time) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.all[of]
	return k, ok && now.Before(k.until)
}

func (t *Tokens) put(of [32]byte, k token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxTokens {
		t.all = map[[32]byte]token{}
	}
	t.all[of] = k
}

func (t *Tokens) drop(of [32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, of)
}

// access names the keys to Tokens, which keeps no secret but the tokens.
func (g *Gateway) access() [32]byte {
	return sha256.Sum256([]byte(g.base + "\x00" + g.cfg.ClientID + "\x00" + g.cfg.Secret))
}

func (g *Gateway) token(ctx context.Context) (token, error) {
	if k, ok := g.cfg.Tokens.get(g.access(), g.cfg.Clock()); ok {
		return k, nil
	}
	return g.freshToken(ctx)
}

// freshToken signs in with the keys.
func (g *Gateway) freshToken(ctx context.Context) (token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/v1/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return token{}, fmt.Errorf("paypal: sign in: %w", err)
	}
	req.SetBasicAuth(g.cfg.ClientID, g.cfg.Secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	var said struct {
		Token   string `json:"access_token"`
		Scope   string `json:"scope"`
		App     string `json:"app_id"`
		Expires int64  `json:"expires_in"`
	}
	if err := g.do(req, &said); err != nil {
		return token{}, translate("sign in", err)
	}
	// Half a minute is left for the call that uses it.
	k := token{said.Token, said.Scope, said.App, g.cfg.Clock().Add(time.Duration(said.Expires)*time.Second - 30*time.Second)}
	g.cfg.Tokens.put(g.access(), k)
	return k, nil
}

// request is one call of the API.
type request struct {
	method, path string
	id           string // PayPal-Request-Id: the same one does it once
	body         any    // nil: none; json.RawMessage as it is
}

// call makes a call and reads its answer into out. A token that PayPal has let go of is
// exchanged once. The error is a *problem or that of the connection.
func (g *Gateway) call(ctx context.Context, r request, out any) error {
	err := g.try(ctx, r, out)
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusUnauthorized {
		g.cfg.Tokens.drop(g.access())
		return g.try(ctx, r, out)
	}
	return err
}

func (g *Gateway) try(ctx context.Context, r request, out any) error {
	k, err := g.token(ctx)
	if err != nil {
		return err
	}
	var body io.Reader
	if raw, is := r.body.(json.RawMessage); is {
		body = bytes.NewReader(raw)
	} else if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, g.base+r.path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+k.value)
	req.Header.Set("Accept", "application/json")
	if r.method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Prefer", "return=representation")
	}
	if r.id != "" {
		req.Header.Set("PayPal-Request-Id", r.id)
	}
	return g.do(req, out)
}

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 1 << 20

func (g *Gateway) do(req *http.Request, out any) error {
	res, err := g.cfg.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end, or given up
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		p := &problem{status: res.StatusCode}
		_ = json.Unmarshal(text, p) // without details the status says it
		return p
	}
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	return json.Unmarshal(text, out)
}
