package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/domain"
)

func (d *doctor) redis(ctx context.Context) error {
	o, err := redis.ParseURL(d.cfg.Redis.URL)
	if err != nil {
		return errors.New("EZSCALE_REDIS_URL cannot be read")
	}
	o.MaxRetries, o.DialTimeout = -1, 3*time.Second
	quietRedis(slog.New(slog.DiscardHandler)) // the error says it
	c := redis.NewClient(o)
	defer c.Close() //nolint:errcheck // nothing is lost
	began := time.Now()
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	d.note("redis", well, "", "answers in %s", time.Since(began).Round(100*time.Microsecond))
	return nil
}

// smtp waits for the server's greeting and says nothing to it.
func (d *doctor) smtp(ctx context.Context) error {
	if d.cfg.SMTP.URL == "" {
		d.note("smtp", warning, "set EZSCALE_SMTP_URL", "no mail server is configured: mails wait")
		return nil
	}
	u, err := url.Parse(d.cfg.SMTP.URL)
	if err != nil {
		return errors.New("EZSCALE_SMTP_URL cannot be read")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"smtps": "465", "smtp": "587", "smtp+plain": "25"}[u.Scheme]
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if u.Scheme == "smtps" {
		conn = tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	}
	if _, _, err := textproto.NewConn(conn).ReadResponse(220); err != nil {
		return fmt.Errorf("it does not greet: %w", err)
	}
	d.note("smtp", well, "", "%s greets", u.Host)
	return nil
}

// stripe asks whose the platform's own keys are, and whether real money moves.
func (d *doctor) stripe(ctx context.Context) error {
	taker, err := newTaker(d.cfg.Payments)
	if err != nil {
		return err
	}
	if taker == nil {
		d.note("stripe", warning, "set EZSCALE_STRIPE_SECRET_KEY and EZSCALE_STRIPE_PUBLISHABLE_KEY", "the platform has no Stripe account: resellers pay by bank transfer alone")
		return nil
	}
	h, err := taker.Gateway.Check(ctx)
	switch {
	case errors.Is(err, gateway.ErrCredentials):
		return errors.New("at Stripe: it refuses the platform's keys")
	case err != nil:
		return err
	}
	mode := "test payments"
	if h.Live {
		mode = "live payments"
	}
	if d.cfg.Payments.Webhook == "" {
		d.note("stripe", warning, "set EZSCALE_STRIPE_WEBHOOK_SECRET; the webhook's address is https://"+d.cfg.Hosts.Partner+"/hooks/stripe", "%s, %s, but without a webhook secret: refunds and disputes are not noticed, and payments late", h.Account, mode)
		return nil
	}
	if len(h.Notes) > 0 {
		d.note("stripe", warning, "use two keys of one account, which may take payments", "%s, %s: %s", h.Account, mode, strings.Join(h.Notes, " "))
		return nil
	}
	d.note("stripe", well, "", "%s, %s, and a webhook secret is set", h.Account, mode)
	return nil
}

// acme reads the authority's directory.
func (d *doctor) acme(ctx context.Context) error {
	pool := (*x509.CertPool)(nil)
	if d.cfg.ACME.Roots != "" {
		pem, err := os.ReadFile(d.cfg.ACME.Roots)
		if err != nil {
			return err
		}
		pool = x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cfg.ACME.Directory, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	var directory struct {
		NewOrder string `json:"newOrder"`
	}
	if err := json.NewDecoder(res.Body).Decode(&directory); err != nil || directory.NewOrder == "" {
		return fmt.Errorf("%s answers %s and is no ACME directory", d.cfg.ACME.Directory, res.Status)
	}
	d.note("acme", well, "", "%s offers orders", req.URL.Host)
	return nil
}

// resolvers asks each for the root's name servers, which all must know.
func (d *doctor) resolvers(ctx context.Context) error {
	servers := d.cfg.Edge.Resolvers
	if len(servers) == 0 {
		servers = domain.SystemResolvers()
	}
	for _, server := range servers {
		q := new(dns.Msg).SetQuestion(dns.Fqdn(d.cfg.Hosts.Platform), dns.TypeA)
		if _, _, err := (&dns.Client{Timeout: 3 * time.Second}).ExchangeContext(ctx, q, server); err != nil {
			return fmt.Errorf("%s does not answer: %w", server, err)
		}
	}
	d.note("dns", well, "", "%d resolvers answer", len(servers))
	return nil
}

// uploads writes into a directory; of a bucket it asks whether it may be used.
func (d *doctor) uploads(ctx context.Context) error {
	u, err := url.Parse(d.cfg.Storage.URL)
	if err != nil {
		return errors.New("EZSCALE_STORAGE_URL cannot be read")
	}
	if u.Scheme != "file" {
		store, err := openBucket(u)
		if err != nil {
			return err
		}
		if err := store.Check(ctx); err != nil {
			return err
		}
		d.note("uploads", well, "", "the bucket at %s answers", u.Host)
		return nil
	}
	f, err := os.CreateTemp(u.Path, ".doctor-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	d.note("uploads", well, "", "%s can be written", u.Path)
	return nil
}

// leastFree is how much of a disk should be free, in megabytes.
const leastFree = 512

func (d *doctor) disk(context.Context) error {
	dir := os.TempDir()
	if u, err := url.Parse(d.cfg.Storage.URL); err == nil && u.Scheme == "file" {
		dir = u.Path
	}
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) >> 20 //nolint:gosec,unconvert // the types differ between systems
	if free < leastFree {
		d.note("disk", wrong, "free some space below "+dir, "%d MB are free below %s", free, dir)
		return nil
	}
	d.note("disk", well, "", "%d GB are free below %s", free>>10, dir)
	return nil
}
