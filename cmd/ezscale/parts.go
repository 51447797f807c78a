package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/media/s3store"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy"
)

// trust is whose sites' certificates are believed by self tests besides the
// system's; the demo adds its own authority's.
type trust struct{ sites *x509.CertPool }

// openDomains joins what looks after domains and certificates.
func (a *app) openDomains(ctx context.Context, outbox *mail.Outbox, t trust) (*domain.Service, error) {
	c := a.cfg
	var directory *x509.CertPool
	if c.ACME.Roots != "" {
		pem, err := os.ReadFile(c.ACME.Roots)
		if err != nil {
			return nil, &usageError{setting.Problem{Name: "EZSCALE_ACME_ROOTS", Text: "cannot be read: " + err.Error()}}
		}
		if directory = x509.NewCertPool(); !directory.AppendCertsFromPEM(pem) {
			return nil, &usageError{setting.Problem{Name: "EZSCALE_ACME_ROOTS", Text: "holds no certificate"}}
		}
	}
	proof, err := a.dnsProof()
	if err != nil {
		return nil, err
	}
	edge := c.Edge.Domain
	if edge == "" {
		edge = "edge." + c.Hosts.Platform
	}
	window := domain.DefaultQuota
	window.PerWindow, window.Reserve = c.ACME.Budget, c.ACME.Reserve
	s, err := domain.Open(ctx, domain.Config{
		Central: a.central, Hosts: a.resolver,
		Storage: domain.StorageConfig{DSN: c.Database.URL, Password: a.ring.DerivePassword, Sealer: a.ring},
		Authority: domain.AuthorityConfig{
			Directory: c.ACME.Directory, Roots: directory, SiteRoots: t.sites, Email: c.ACME.Email, Profile: c.ACME.Profile,
			ExternalID: c.ACME.ExternalKID, ExternalKey: c.ACME.ExternalMAC, Identity: c.ACME.Identities, TLSALPN: c.ACME.Challenge == "tls-alpn-01",
			DNS: proof,
		},
		Wildcard: proof != nil,
		Zone:     c.Hosts.Platform, OwnHosts: []string{c.Hosts.Console, c.Hosts.Partner},
		Edge:        domain.Edge{Zone: edge, Addresses: append(c.Edge.IPv4, c.Edge.IPv6...)},
		Resolvers:   domain.Resolvers{Servers: c.Edge.Resolvers, Authoritative: len(c.Edge.Resolvers) == 0},
		AllowedTLDs: c.Edge.TLDs, ProbeSecret: a.ring.DeriveKey("domain probe"),
		HTTPPort: portOf(c.HTTP.Addr), HTTPSPort: c.HTTP.PublicHTTPS, Quota: window, Limits: domainLimits,
		News: &domain.Letters{Outbox: outbox, Link: func(slug string) string { return a.siteURL(slug+"."+c.Hosts.Platform) + "/manage/domains" }},
		Log:  a.log, Clock: a.clock,
	})
	if err != nil {
		return nil, fmt.Errorf("domains: %w", err)
	}
	a.countTLS(s.Certificates)
	a.onClose("domains", func(context.Context) error { s.Close(); return nil })
	return s, nil
}

// domainLimits are those of the tier a reseller is on.
func domainLimits(ctx context.Context, tx *tenancy.CentralTx, t tenancy.ID) (domain.Limits, error) {
	l := domain.DefaultLimits
	r, err := wholesale.RoomOf(ctx, tx, t)
	l.Domains = r.Domains
	return l, err
}

// dnsProof is how a wildcard for the platform's own name is proved; nil when every host
// below it gets its own certificate.
func (a *app) dnsProof() (*domain.DNSProof, error) {
	c := a.cfg.DNS01
	if c.Provider == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	zone := c.Zone
	if zone == "" {
		zone = a.cfg.Hosts.Platform
	}
	if p := a.cfg.Hosts.Platform; p != zone && !strings.HasSuffix(p, "."+zone) {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_ACME_DNS01_ZONE", Text: "must be EZSCALE_PLATFORM_DOMAIN or a name above it"}}
	}
	update, err := domain.NewDynamicUpdate(domain.DynamicUpdateConfig{Server: c.Server, Key: c.KeyName, Secret: c.Secret, Algorithm: c.Algorithm, Clock: a.clock})
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_ACME_DNS01_KEY", Text: "cannot be used: " + err.Error()}}
	}
	return &domain.DNSProof{Zone: zone, Provider: update}, nil
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port) // validated with the configuration
	return n
}

// siteURL is the address of a host without a slash at the end.
func (a *app) siteURL(host string) string {
	if a.cfg.HTTP.PublicHTTPS == 443 {
		return "https://" + host
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(a.cfg.HTTP.PublicHTTPS))
}

// openMedia opens the store of uploads.
func (a *app) openMedia() (*media.Library, error) {
	u, err := url.Parse(a.cfg.Storage.URL)
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_STORAGE_URL", Text: "is no URL"}}
	}
	if u.Scheme == "file" {
		dir, err := media.OpenDir(u.Path)
		if err != nil {
			return nil, fmt.Errorf("uploads (EZSCALE_STORAGE_URL): %w", err)
		}
		a.onClose("uploads", func(context.Context) error { return dir.Close() })
		return media.NewLibrary(dir, 0), nil
	}
	store, err := openBucket(u)
	if err != nil {
		return nil, err
	}
	return media.NewLibrary(store, 0), nil
}

// openBucket is the store that an s3:// address names. It connects to nothing.
func openBucket(u *url.URL) (*s3store.Store, error) {
	secret, _ := u.User.Password()
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	store, err := s3store.New(s3store.Config{
		Endpoint: u.Host, Bucket: bucket, Prefix: prefix, Region: u.Query().Get("region"),
		AccessKey: u.User.Username(), SecretKey: secret, Plain: u.Query().Get("tls") == "off",
	})
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_STORAGE_URL", Text: "cannot be used: " + err.Error()}}
	}
	return store, nil
}

// openTransport is the way to the mail server; nil when none is configured.
func openTransport(c smtpConfig) (mail.Transport, error) {
	if c.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_SMTP_URL", Text: "is no URL"}}
	}
	cfg := mail.SMTPConfig{Host: u.Hostname(), User: u.User.Username()}
	cfg.Password, _ = u.User.Password()
	switch u.Scheme {
	case "smtps":
		cfg.TLS, cfg.Port = mail.TLSImplicit, 465
	case "smtp+plain":
		cfg.TLS, cfg.Port = mail.TLSNone, 25
	default:
		cfg.TLS, cfg.Port = mail.TLSStart, 587
	}
	if p := u.Port(); p != "" {
		if cfg.Port, err = strconv.Atoi(p); err != nil {
			return nil, &usageError{setting.Problem{Name: "EZSCALE_SMTP_URL", Text: "has a port that is no number"}}
		}
	}
	t, err := mail.NewSMTP(cfg)
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_SMTP_URL", Text: "cannot be used: " + err.Error()}}
	}
	return t, nil
}

// senders says in whose name letters go out.
func (a *app) senders(desk *branding.Desk) *mail.House {
	from := a.cfg.SMTP.From
	if from == "" {
		from = "no-reply@" + a.cfg.Hosts.Platform
	}
	return &mail.House{
		Desk: desk, Sites: a.siteURL,
		Own: mail.Sender{
			Brand: branding.Plain("EZSCALE", branding.Tokens{}, branding.Texts{}), FromName: "EZSCALE", FromAddress: from,
			BaseURL: a.siteURL(a.cfg.Hosts.Console), Host: a.cfg.Hosts.Console,
		},
		Host: a.primaryHost,
	}
}

// primaryHost is where a tenant's links lead to.
func (a *app) primaryHost(t tenancy.Tenant) string {
	if t.PrimaryHost != "" {
		return t.PrimaryHost
	}
	return t.Slug + "." + a.cfg.Hosts.Platform
}

// errNoMailServer keeps mails queued until a server is configured.
var errNoMailServer = errors.New("no mail server is configured (EZSCALE_SMTP_URL)")

// noTransport stands in for the mail server nobody configured.
type noTransport struct{}

// Send fails, so that the mail is tried again later.
func (noTransport) Send(context.Context, mail.Envelope) error { return errNoMailServer }
