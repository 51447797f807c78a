package domain

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// ChallengePath is where the authority looks for proofs over HTTP.
const ChallengePath = "/.well-known/acme-challenge/"

// DNSProvider edits a zone; every libdns provider fits.
type DNSProvider interface {
	libdns.RecordAppender
	libdns.RecordDeleter
}

// DNSProof proves names of our own zone by records in it.
type DNSProof struct {
	Zone     string // ours, such as "ezscale.com"
	Provider DNSProvider
	// Seen reports whether the world sees the record; nil: Settle is waited instead.
	Seen   func(ctx context.Context, name, value string) bool
	Settle time.Duration
}

func (a *Authority) challengeType(name string) string {
	switch {
	case a.cfg.DNS != nil && within(strings.TrimPrefix(name, "*."), a.cfg.DNS.Zone):
		return acme.ChallengeTypeDNS01
	case strings.HasPrefix(name, "*."):
		return acme.ChallengeTypeDNS01
	case a.cfg.TLSALPN:
		return acme.ChallengeTypeTLSALPN01
	}
	return acme.ChallengeTypeHTTP01
}

// present makes the answer to c ready on every node; clean takes it away again.
func (a *Authority) present(ctx context.Context, c acme.Challenge, name string) (clean func(), err error) {
	if c.Type == acme.ChallengeTypeDNS01 {
		if a.cfg.DNS == nil {
			return nil, fmt.Errorf("%s needs a proof by DNS, and no provider is configured", name)
		}
		return a.cfg.DNS.present(ctx, c)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := a.challengeAsset(name)
	if err := a.cfg.Assets.Store(ctx, key, b); err != nil {
		return nil, &storageError{err}
	}
	return func() { _ = a.cfg.Assets.Delete(context.WithoutCancel(ctx), key) }, nil
}

// proof is the challenge that is open for host, whichever node opened it.
func (a *Authority) proof(ctx context.Context, host string) (acme.Challenge, error) {
	b, err := a.cfg.Assets.Load(ctx, a.challengeAsset(host))
	if err != nil {
		return acme.Challenge{}, err
	}
	var c acme.Challenge
	return c, json.Unmarshal(b, &c)
}

// HTTPProof is what to answer on host under ChallengePath; false when nothing is asked there.
func (a *Authority) HTTPProof(ctx context.Context, host, path string) (string, bool) {
	c, err := a.proof(ctx, host)
	if err != nil || c.Type != acme.ChallengeTypeHTTP01 || c.HTTP01ResourcePath() != path {
		return "", false
	}
	return c.KeyAuthorization, true
}

// isProof reports whether the handshake is the authority's, looking for a proof.
func isProof(h *tls.ClientHelloInfo) bool {
	return len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// tlsProof is the certificate to answer such a handshake with.
func (a *Authority) tlsProof(ctx context.Context, host string) (*tls.Certificate, error) {
	c, err := a.proof(ctx, host)
	if err != nil {
		return nil, err
	}
	if c.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, errNoProof
	}
	return acmez.TLSALPN01ChallengeCert(c)
}

var errNoProof = errors.New("domain: no proof is asked for here")

func (p *DNSProof) present(ctx context.Context, c acme.Challenge) (func(), error) {
	zone := strings.Trim(p.Zone, ".")
	record := libdns.TXT{
		Name: strings.TrimSuffix(strings.TrimSuffix(c.DNS01TXTRecordName(), zone), "."),
		TTL:  time.Minute,
		Text: c.DNS01KeyAuthorization(),
	}
	added, err := p.Provider.AppendRecords(ctx, zone+".", []libdns.Record{record})
	if err != nil {
		return nil, fmt.Errorf("set the proof in %s: %w", zone, err)
	}
	clean := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = p.Provider.DeleteRecords(ctx, zone+".", added)
	}
	if err := p.wait(ctx, c.DNS01TXTRecordName(), record.Text); err != nil {
		clean()
		return nil, err
	}
	return clean, nil
}

func (p *DNSProof) wait(ctx context.Context, name, value string) error {
	wait := p.Settle
	for {
		if p.Seen != nil {
			if p.Seen(ctx, name, value) {
				return nil
			}
			wait = 2 * time.Second
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the proof is not visible in DNS: %w", ctx.Err())
		case <-time.After(wait):
		}
		if p.Seen == nil {
			return nil
		}
	}
}

// problemAnswered reports whether the authority itself refused, so that repeating
// the same request is useless.
func problemAnswered(err error) bool {
	var p acme.Problem
	return errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Type != acme.ProblemTypeServerInternal
}

func problemIs(err error, kind string) bool {
	var p acme.Problem
	return errors.As(err, &p) && p.Type == kind
}
