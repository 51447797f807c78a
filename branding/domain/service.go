package domain

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/ezscale/ezscale/tenancy"
)

// Config is everything a process needs to look after domains.
type Config struct {
	Central *tenancy.Central
	Hosts   Directory // tenancy.Resolver
	Storage StorageConfig
	// Authority's Assets are filled in by Open.
	Authority AuthorityConfig
	Zone      string   // tenants' own hosts stand below it
	OwnHosts  []string // the platform's: console, partner centre
	Wildcard  bool     // one certificate for Zone; needs Authority.DNS
	Edge      Edge
	// Resolvers are asked about customers' names; empty: SystemResolvers.
	Resolvers   Resolvers
	AllowedTLDs []string // see NamePolicy
	// ProbeSecret turns self tests on. It is the same on all nodes.
	ProbeSecret []byte
	HTTPPort    int // public ports, for self tests and redirects; 0: 80 and 443
	HTTPSPort   int
	Quota       Quota // zero: DefaultQuota
	Pace        Pace
	Limits      LimitsOf // nil: DefaultLimits
	News        News     // may be nil
	// UnknownPerNetwork: see CertificatesConfig.
	UnknownPerNetwork int
	Log               *slog.Logger
	Clock             tenancy.Clock
}

// Directory is the resolver as this package uses it.
type Directory interface {
	FrontHosts
	Subscribe(func(tenancy.Tenant))
}

// Service is the parts, joined. A process that only serves pages uses Desk; one that
// serves TLS makes a Front; one that works runs Worker.
type Service struct {
	Desk         *Desk
	Budget       *Budget
	Authority    *Authority
	Certificates *Certificates
	Worker       *Worker
	Storage      *Storage
	Overview     *Overview

	cfg  Config
	self *SelfTest
}

// Open joins the parts. It connects to nothing.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Hosts == nil || cfg.Central == nil {
		return nil, errors.New("domain: Central and Hosts are needed")
	}
	if cfg.Quota.PerWindow == 0 {
		cfg.Quota = DefaultQuota
	}
	if len(cfg.Resolvers.Servers) == 0 {
		cfg.Resolvers.Servers = SystemResolvers()
	}
	if cfg.Wildcard && cfg.Authority.DNS == nil {
		return nil, errors.New("domain: a wildcard needs Authority.DNS")
	}
	if d := cfg.Authority.DNS; d != nil && d.Seen == nil && d.Settle == 0 {
		proof := *d
		proof.Seen = cfg.Resolvers.sees
		cfg.Authority.DNS = &proof
	}
	s := &Service{cfg: cfg}
	var err error
	if s.Storage, err = OpenStorage(ctx, cfg.Storage); err != nil {
		return nil, err
	}
	cfg.Authority.Assets, cfg.Authority.Log = s.Storage, cfg.Log
	if s.Authority, err = NewAuthority(cfg.Authority); err != nil {
		s.Storage.Close()
		return nil, err
	}
	s.join(cfg)
	return s, nil
}

func (s *Service) join(cfg Config) {
	if len(cfg.ProbeSecret) > 0 {
		s.self = &SelfTest{Secret: cfg.ProbeSecret, Resolvers: cfg.Resolvers, Only: plainAddresses(cfg.Edge.Addresses), HTTPPort: cfg.HTTPPort,
			HTTPSPort: cfg.HTTPSPort, Roots: cfg.Authority.SiteRoots}
	}
	method := "http-01"
	if cfg.Authority.TLSALPN {
		method = "tls-alpn-01"
	}
	preflight := &Preflight{Resolvers: cfg.Resolvers, Edge: cfg.Edge, Identity: cfg.Authority.Identity, Method: method, Self: s.self}
	platform := &Platform{Central: cfg.Central, Zone: cfg.Zone, Wildcard: cfg.Wildcard, Hosts: cfg.OwnHosts}
	s.Budget = &Budget{Central: cfg.Central, Account: s.Authority.Key(), Quota: cfg.Quota}
	s.Certificates = NewCertificates(CertificatesConfig{Authority: s.Authority, Assets: s.Storage, Hosts: cfg.Hosts, Platform: platform,
		Hurry:             func(ctx context.Context, host string) error { return s.Worker.Hurry(ctx, host) },
		UnknownPerNetwork: cfg.UnknownPerNetwork, Log: cfg.Log, Clock: cfg.Clock})
	cfg.Hosts.Subscribe(s.Certificates.Evict)
	s.Worker = NewWorker(WorkerConfig{Central: cfg.Central, Authority: s.Authority, Budget: s.Budget, Preflight: preflight, Platform: platform,
		Serving: s.Certificates, News: cfg.News, Pace: cfg.Pace, Log: cfg.Log})
	zones := []string{cfg.Zone, cfg.Edge.Zone}
	s.Desk = &Desk{Central: cfg.Central, Names: NamePolicy{PlatformZones: append(zones, cfg.OwnHosts...), AllowedTLDs: cfg.AllowedTLDs}, Zone: cfg.Zone, HTTPSPort: cfg.HTTPSPort,
		Limits: cfg.Limits, Preflight: preflight, News: cfg.News, Wake: s.Worker.Wake}
	s.Overview = &Overview{Central: cfg.Central, Budget: s.Budget}
}

func plainAddresses(all []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(all))
	for i, a := range all {
		out[i] = a.Unmap()
	}
	return out
}

// NewFront makes the listeners in front of an app. App is the only field that must be
// set; the others are filled in.
func (s *Service) NewFront(cfg FrontConfig) (*Front, error) {
	cfg.Hosts, cfg.Certificates, cfg.Authority, cfg.Self = s.cfg.Hosts, s.Certificates, s.Authority, s.self
	cfg.Tickets = &Tickets{Central: s.cfg.Central, Sealer: s.cfg.Storage.Sealer}
	if cfg.HTTPSPort == 0 {
		cfg.HTTPSPort = s.cfg.HTTPSPort
	}
	if cfg.Log == nil {
		cfg.Log = s.cfg.Log
	}
	return NewFront(cfg)
}

// KeepFresh exchanges certificates other nodes renewed; see Certificates.KeepFresh.
func (s *Service) KeepFresh(ctx context.Context) error {
	return s.Certificates.KeepFresh(ctx, s.cfg.Central, 30*time.Second)
}

// Close stops the cache and gives up locks and connections. Stop Worker and Front first.
func (s *Service) Close() {
	s.Certificates.Close()
	s.Storage.Close()
}

// SystemResolvers is the system's first resolver and a public one, so that a stale
// answer in one cache does not decide alone.
func SystemResolvers() []string {
	servers := []string{"1.1.1.1:53", "9.9.9.9:53"}
	if c, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil && len(c.Servers) > 0 {
		servers[0] = net.JoinHostPort(c.Servers[0], c.Port)
	}
	return servers
}
