// Package coinbase takes digital dollars (USDC) with Coinbase Business: checkouts that
// customers pay at Coinbase's own pages, refunds and signed webhooks, with the key of
// whoever sells. It keeps no rows. Nothing can be charged without the customer.
package coinbase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// Code names the gateway.
const Code = "coinbase"

// APIURL is where Coinbase Business is.
const APIURL = "https://business.coinbase.com/api/v1"

// Config is one seller's access.
type Config struct {
	KeyID         string
	KeySecret     string // of the CDP key: PEM of an EC key, or base64 of an Ed25519 one
	WebhookSecret string // empty: no notification is believed
	APIURL        string // empty: Coinbase's own
	HTTP          *http.Client
	Clock         func() time.Time // zero: the wall clock's
}

// Gateway is one Coinbase Business account. It is safe for concurrent use.
type Gateway struct {
	cfg  Config
	base *url.URL
	sign func(claims []byte) (string, error)
}

var (
	_ gateway.Gateway    = (*Gateway)(nil)
	_ gateway.Overseer   = (*Gateway)(nil)
	_ gateway.Redirector = (*Gateway)(nil)
)

// New opens the account of a key. It connects to nothing. ErrCredentials for what cannot
// be a key.
func New(cfg Config) (*Gateway, error) {
	if len(cfg.KeyID) < 8 || len(cfg.KeyID) > 255 || strings.ContainsFunc(cfg.KeyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("coinbase: the key's id: %w", gateway.ErrCredentials)
	}
	sign, err := signer(cfg.KeyID, cfg.KeySecret)
	if err != nil {
		return nil, fmt.Errorf("coinbase: the key's secret: %w", gateway.ErrCredentials) // and not what is wrong with it
	}
	if cfg.APIURL == "" {
		cfg.APIURL = APIURL
	}
	base, err := url.Parse(strings.TrimSuffix(cfg.APIURL, "/"))
	if err != nil {
		return nil, fmt.Errorf("coinbase: %w", err)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now //nolint:forbidigo // where nobody passes one in
	}
	return &Gateway{cfg, base, sign}, nil
}

// Redirects is how pages speak of it.
func (g *Gateway) Redirects() (name, says string) {
	return "Digital dollars (USDC)", "You pay with your wallet or Coinbase at Coinbase's page and come back here."
}

// problem is an answer that refuses.
type problem struct {
	status int
	Type   string `json:"errorType"`
	Text   string `json:"errorMessage"`
}

// Error is for the log.
func (p *problem) Error() string { return fmt.Sprintf("status %d, %.60s", p.status, p.Type) }

func translate(doing string, err error) error {
	var p *problem
	switch {
	case !errors.As(err, &p):
		return fmt.Errorf("coinbase: %s: %w: %w", doing, gateway.ErrUnavailable, err)
	case p.status == http.StatusUnauthorized, p.status == http.StatusForbidden:
		return fmt.Errorf("coinbase: %s: %w: %w", doing, gateway.ErrCredentials, p)
	case p.status == http.StatusNotFound:
		return fmt.Errorf("coinbase: %s: %w", doing, gateway.ErrNotFound)
	case p.status >= http.StatusInternalServerError, p.status == http.StatusTooManyRequests, p.status == http.StatusConflict:
		return fmt.Errorf("coinbase: %s: %w: %w", doing, gateway.ErrUnavailable, p)
	}
	return fmt.Errorf("coinbase: %s: %w", doing, p)
}

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 1 << 20

// call makes a call with a token of its own, and reads its answer into out.
func (g *Gateway) call(ctx context.Context, method, path, idempotency string, body, out any) error {
	token, err := g.token(method, g.base.Path+path)
	if err != nil {
		return err
	}
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.base.String()+path, in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if idempotency != "" {
		req.Header.Set("X-Idempotency-Key", idempotency)
	}
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
	return json.Unmarshal(text, out)
}

// Check asks whether the key is good.
func (g *Gateway) Check(ctx context.Context) (gateway.Health, error) {
	var any struct{}
	if err := g.call(ctx, http.MethodGet, "/checkouts?pageSize=1", "", nil, &any); err != nil {
		return gateway.Health{}, translate("check the key", err)
	}
	h := gateway.Health{Account: "Coinbase Business", Live: true}
	if g.cfg.WebhookSecret == "" {
		h.Notes = append(h.Notes, "No webhook secret is set: payments that finish while nobody looks are noticed half an hour late.")
	}
	return h, nil
}

// uuidOf is an idempotency key in the form that is asked for, version 4, made of ours.
func uuidOf(key string) string {
	sum := sha256.Sum256([]byte("ezscale/" + key))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// takes are the currencies a checkout can be in that are money here too.
func takes(currency string) bool {
	return currency == "USD" || currency == "EUR" || currency == "GBP" || currency == "SGD"
}

func declined(code, text string) *gateway.Decline {
	return &gateway.Decline{Kind: billing.RefusedSoft, Code: code, Text: text}
}
