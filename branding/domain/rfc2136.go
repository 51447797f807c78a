package domain

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/ezscale/ezscale/tenancy"
)

// DynamicUpdate edits a zone by dynamic updates (RFC 2136) signed with TSIG: BIND, Knot,
// PowerDNS, NSD's front ends and most hosts of zones understand them. It is safe for
// concurrent use.
type DynamicUpdate struct {
	server, key, secret, algorithm string
	clock                          tenancy.Clock
}

var _ DNSProvider = (*DynamicUpdate)(nil)

// DynamicUpdateConfig makes a DynamicUpdate.
type DynamicUpdateConfig struct {
	Server    string // host:port of the zone's primary
	Key       string // name of the TSIG key
	Secret    string // base64
	Algorithm string // one of TSIGAlgorithms; empty: hmac-sha256
	Clock     tenancy.Clock
}

var tsigAlgorithms = map[string]string{
	"hmac-sha224": dns.HmacSHA224, "hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

// TSIGAlgorithms are the algorithms a DynamicUpdate signs with.
func TSIGAlgorithms() []string { return slices.Sorted(maps.Keys(tsigAlgorithms)) }

// NewDynamicUpdate refuses a key that cannot be used. It connects to nothing.
func NewDynamicUpdate(cfg DynamicUpdateConfig) (*DynamicUpdate, error) {
	algorithm, ok := tsigAlgorithms[or(cfg.Algorithm, "hmac-sha256")]
	if !ok {
		return nil, fmt.Errorf("domain: TSIG with %q is not spoken here", cfg.Algorithm)
	}
	if secret, err := base64.StdEncoding.DecodeString(cfg.Secret); err != nil || len(secret) == 0 {
		return nil, errors.New("domain: the TSIG secret is not base64")
	}
	if _, ok := dns.IsDomainName(cfg.Key); !ok || cfg.Key == "" || cfg.Server == "" || cfg.Clock == nil {
		return nil, errors.New("domain: a dynamic update needs a server, the name of a key and a clock")
	}
	return &DynamicUpdate{server: cfg.Server, key: dns.CanonicalName(cfg.Key), secret: cfg.Secret, algorithm: algorithm, clock: cfg.Clock}, nil
}

// AppendRecords adds the records; one that is there already stays as it is.
func (d *DynamicUpdate) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, d.update(ctx, zone, records, (*dns.Msg).Insert)
}

// DeleteRecords removes exactly these records; one that is not there is no error.
func (d *DynamicUpdate) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, d.update(ctx, zone, records, (*dns.Msg).Remove)
}

// updateWithin bounds one exchange with the server.
const updateWithin = 10 * time.Second

func (d *DynamicUpdate) update(ctx context.Context, zone string, records []libdns.Record, change func(*dns.Msg, []dns.RR)) error {
	rrs := make([]dns.RR, len(records))
	for i, rec := range records {
		rr, err := resourceRecord(rec.RR(), zone)
		if err != nil {
			return err
		}
		rrs[i] = rr
	}
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	change(m, rrs)
	m.SetTsig(d.key, d.algorithm, 300, d.clock().Unix())
	client := &dns.Client{Net: "tcp", Timeout: updateWithin, TsigSecret: map[string]string{d.key: d.secret}}
	answer, _, err := client.ExchangeContext(ctx, m, d.server)
	if err != nil {
		return fmt.Errorf("update %s at %s: %w", zone, d.server, err)
	}
	if answer.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("update %s at %s: the server answers %s", zone, d.server, dns.RcodeToString[answer.Rcode])
	}
	if answer.IsTsig() == nil { // else the client has verified it
		return fmt.Errorf("update %s at %s: the answer is not signed", zone, d.server)
	}
	return nil
}

// resourceRecord is a record as it goes over the wire. Only text proves anything.
func resourceRecord(r libdns.RR, zone string) (dns.RR, error) {
	if r.Type != "TXT" || len(r.Data) > 255 || strings.ContainsAny(r.Data, "\"\\\n\r") {
		return nil, fmt.Errorf("domain: a record %s is not set by dynamic update", r.Type)
	}
	return &dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(libdns.AbsoluteName(r.Name, zone)), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(r.TTL / time.Second)}, //nolint:gosec // a minute
		Txt: []string{r.Data},
	}, nil
}

// sees reports whether every resolver sees the text, which is then in the answer of the
// zone's own servers as well.
func (r Resolvers) sees(ctx context.Context, name, value string) bool {
	texts, _, err := agreed(r.ask(ctx, name, dns.TypeTXT))
	return err == nil && slices.Contains(texts, value)
}
