package domain

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// Assets is the storage as the authority and the certificates use it. Both Storage
// and certmagic's FileStorage fit.
type Assets = certmagic.Storage

// AuthorityConfig says where certificates are ordered and how we prove ourselves.
type AuthorityConfig struct {
	Directory string         // address of the ACME directory
	Roots     *x509.CertPool // trusted for the directory; nil: the system's
	SiteRoots *x509.CertPool // trusted for the certificates it issues, in self tests; nil: the system's
	Email     string         // where the authority writes to; may be empty
	// ExternalID and ExternalKey bind the account to one the authority knows already; both
	// empty where it does not ask for that.
	ExternalID, ExternalKey string
	Profile                 string    // kind of certificate; empty: the authority's default
	Identity                []string  // the names CAA records know it by
	TLSALPN                 bool      // prove with TLS-ALPN-01 instead of HTTP-01
	DNS                     *DNSProof // proves wildcards of our own zone; nil: there are none
	Assets                  Assets
	Log                     *slog.Logger
}

// Authority orders certificates. An order is kept, with its key, from the moment it
// is placed until its certificate is stored: whoever continues after a crash
// finishes that order instead of placing another.
type Authority struct {
	cfg  AuthorityConfig
	acme *acme.Client
	key  string // first part of the storage keys

	mu      sync.Mutex
	account *acme.Account
}

// NewAuthority prepares an authority. It connects to nothing.
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	u, err := url.Parse(cfg.Directory)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("domain: %q is not the address of an ACME directory", cfg.Directory)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.Roots != nil {
		transport.TLSClientConfig.RootCAs = cfg.Roots
	}
	transport.MaxIdleConnsPerHost = 16
	return &Authority{
		cfg: cfg,
		key: authorityKey(u),
		acme: &acme.Client{
			Directory:   cfg.Directory,
			HTTPClient:  &http.Client{Timeout: 30 * time.Second, Transport: noteRetryAfter{transport}},
			UserAgent:   "EZSCALE",
			PollTimeout: time.Minute,
		},
	}, nil
}

// authorityKey is the directory's address as one step of a storage key, spelled as
// certmagic spells it.
func authorityKey(u *url.URL) string {
	key := u.Host
	if path := strings.Trim(strings.NewReplacer("/", "-", `\`, "-").Replace(u.Path), "-"); path != "" {
		key += "-" + path
	}
	return key
}

// Key tells certificates of this authority from those of another.
func (a *Authority) Key() string { return a.key }

func (a *Authority) asset(parts ...string) string {
	return "acme/" + certmagic.StorageKeys.Safe(a.key) + "/" + strings.Join(parts, "/")
}

// savedAccount is the account as it is stored, sealed.
type savedAccount struct {
	Key      string `json:"key"`
	Location string `json:"location"`
}

// signedIn is the account with the authority, made at the first need.
func (a *Authority) signedIn(ctx context.Context) (acme.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.account != nil {
		return *a.account, nil
	}
	const lock = "acme account"
	if err := a.cfg.Assets.Lock(ctx, lock); err != nil {
		return acme.Account{}, fmt.Errorf("account: %w", err)
	}
	defer func() { _ = a.cfg.Assets.Unlock(context.WithoutCancel(ctx), lock) }()
	account, err := a.loadAccount(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		account, err = a.makeAccount(ctx)
	}
	if err != nil {
		return acme.Account{}, &accountError{err}
	}
	a.account = &account
	return account, nil
}

func (a *Authority) loadAccount(ctx context.Context) (acme.Account, error) {
	b, err := a.cfg.Assets.Load(ctx, a.asset("account.key"))
	if err != nil {
		return acme.Account{}, err
	}
	var saved savedAccount
	if err := json.Unmarshal(b, &saved); err != nil {
		return acme.Account{}, err
	}
	key, err := certmagic.PEMDecodePrivateKey([]byte(saved.Key))
	if err != nil {
		return acme.Account{}, err
	}
	return acme.Account{Status: acme.StatusValid, Location: saved.Location, PrivateKey: key}, nil
}

func (a *Authority) makeAccount(ctx context.Context) (acme.Account, error) {
	key, err := certmagic.DefaultKeyGenerator.GenerateKey()
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key.(crypto.Signer)}
	if a.cfg.Email != "" {
		account.Contact = []string{"mailto:" + a.cfg.Email}
	}
	if a.cfg.ExternalID != "" {
		if err := account.SetExternalAccountBinding(ctx, a.acme, acme.EAB{KeyID: a.cfg.ExternalID, MACKey: a.cfg.ExternalKey}); err != nil {
			return acme.Account{}, err
		}
	}
	if account, err = a.acme.NewAccount(ctx, account); err != nil {
		return acme.Account{}, err
	}
	encoded, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	b, err := json.Marshal(savedAccount{Key: string(encoded), Location: account.Location})
	if err != nil {
		return acme.Account{}, err
	}
	return account, a.cfg.Assets.Store(ctx, a.asset("account.key"), b)
}

// forgetAccount is for an authority that does not know our account any more.
func (a *Authority) forgetAccount(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account = nil
	_ = a.cfg.Assets.Delete(ctx, a.asset("account.key"))
}

// Certificate is a stored certificate's facts.
type Certificate struct {
	Name      string
	Serial    string
	Issuer    string // common name
	NotBefore time.Time
	NotAfter  time.Time
	Leaf      *x509.Certificate
}

// Stored reads the certificate of name; fs.ErrNotExist when none is stored whole.
func (a *Authority) Stored(ctx context.Context, name string) (Certificate, error) {
	for _, key := range []string{certmagic.StorageKeys.SitePrivateKey(a.key, name), certmagic.StorageKeys.SiteMeta(a.key, name)} {
		if _, err := a.cfg.Assets.Load(ctx, key); err != nil {
			return Certificate{}, err
		}
	}
	chain, err := a.cfg.Assets.Load(ctx, certmagic.StorageKeys.SiteCert(a.key, name))
	if err != nil {
		return Certificate{}, err
	}
	return readCertificate(name, chain)
}

func readCertificate(name string, chain []byte) (Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return Certificate{}, fmt.Errorf("certificate of %s: not PEM", name)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return Certificate{
		Name: name, Serial: leaf.SerialNumber.Text(16), Issuer: or(leaf.Issuer.CommonName, leaf.Issuer.String()),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Leaf: leaf,
	}, nil
}

// RenewalWindow is when the authority wants the certificate to be renewed (ARI), with a
// moment chosen inside it. It is false when the authority does not say.
func (a *Authority) RenewalWindow(ctx context.Context, c Certificate) (acme.RenewalInfo, bool) {
	dir, err := a.acme.GetDirectory(ctx)
	if err != nil || dir.RenewalInfo == "" || c.Leaf == nil {
		return acme.RenewalInfo{}, false
	}
	info, err := a.acme.GetRenewalInfo(ctx, c.Leaf)
	if err != nil {
		a.cfg.Log.WarnContext(ctx, "no renewal information", "name", c.Name, "error", err)
		return acme.RenewalInfo{}, false
	}
	return info, info.HasWindow()
}

// Remove deletes a name's certificate and what is left of its orders.
func (a *Authority) Remove(ctx context.Context, name string) error {
	for _, key := range []string{certmagic.StorageKeys.CertsSitePrefix(a.key, name), a.orderAsset(name), a.challengeAsset(name)} {
		if err := a.cfg.Assets.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the certificate of %s: %w", name, err)
		}
	}
	return nil
}

// retryHint carries what a Retry-After header said out of the client, which drops it.
type retryHint struct {
	mu   sync.Mutex
	wait time.Duration
}

type retryHintKey struct{}

func withRetryHint(ctx context.Context) (context.Context, *retryHint) {
	h := &retryHint{}
	return context.WithValue(ctx, retryHintKey{}, h), h
}

func (h *retryHint) get() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wait
}

type noteRetryAfter struct{ next http.RoundTripper }

// RoundTrip notes the Retry-After of refusals.
func (n noteRetryAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return resp, err
	}
	if h, ok := r.Context().Value(retryHintKey{}).(*retryHint); ok {
		h.mu.Lock()
		h.wait = parseRetryAfter(resp.Header.Get("Retry-After"), resp.Header.Get("Date"))
		h.mu.Unlock()
	}
	return resp, nil
}

// parseRetryAfter reads seconds or a date, the latter against the server's own clock.
func parseRetryAfter(value, date string) time.Duration {
	if d, err := time.ParseDuration(strings.TrimSpace(value) + "s"); err == nil && d > 0 {
		return d
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(date)
	if err != nil {
		return 0
	}
	return max(until.Sub(now), 0)
}
