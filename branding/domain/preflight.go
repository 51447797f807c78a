package domain

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// Edge is where customers' names lead to.
type Edge struct {
	Zone      string       // CNAME targets are <label>.<Zone>
	Addresses []netip.Addr // what they resolve to, and what an apex is pointed at
}

// Target is the tenant's CNAME target.
func (e Edge) Target(label string) string { return label + "." + strings.Trim(e.Zone, ".") }

// Observation is what one look at a domain found.
type Observation struct {
	At       time.Time `json:"at"`
	Records  []Record  `json:"records,omitempty"`
	Owned    bool      `json:"owned"`    // the proof was seen by every resolver
	Directed bool      `json:"directed"` // the name leads to us and nowhere else
	Allowed  bool      `json:"allowed"`  // CAA lets our authority issue
	Reached  bool      `json:"reached"`  // our own answer came back over HTTP; true when not asked
	Code     string    `json:"code,omitempty"`
	Problem  string    `json:"problem,omitempty"` // the first thing to mend, in plain words
}

// Ready reports whether a certificate may be ordered.
func (o Observation) Ready() bool { return o.Owned && o.Pointed() }

// Pointed is Ready without the proof of ownership, which is asked for once and then weekly.
func (o Observation) Pointed() bool { return o.Directed && o.Allowed && o.Reached }

// Record is one row of the table a reseller sees.
type Record struct {
	Type   string   `json:"type"`
	Name   string   `json:"name"`
	Wanted []string `json:"wanted"` // any of them; empty: there should be none
	Found  []string `json:"found"`
	OK     bool     `json:"ok"`
	Needed bool     `json:"needed"` // the reseller has to set it; else it is in the way or fine as it is
	Note   string   `json:"note,omitempty"`
}

// Preflight looks at a domain from outside before anything is ordered for it.
type Preflight struct {
	Resolvers Resolvers
	Edge      Edge
	Identity  []string // the authority's names in CAA records
	Method    string   // the challenge we use, as CAA parameters name it: "http-01"
	Self      *SelfTest
}

// Wanted is the table of records before anything was looked up.
func (p *Preflight) Wanted(d Domain) []Record {
	records := []Record{{Type: "TXT", Name: d.TXTName(), Wanted: []string{d.TXTValue()}, Needed: true}}
	if !IsApex(d.Host) {
		return append(records, Record{Type: "CNAME", Name: d.Host, Wanted: []string{p.Edge.Target(d.EdgeLabel)}, Needed: true})
	}
	for _, kind := range []string{"A", "AAAA"} {
		if want := p.addresses(kind); len(want) > 0 {
			records = append(records, Record{Type: kind, Name: d.Host, Wanted: want, Needed: true})
		}
	}
	return records
}

// resolved is p with the addresses that our own target has now, for a platform whose
// addresses change and are not configured.
func (p *Preflight) resolved(ctx context.Context, label string) *Preflight {
	own := *p
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		_, found, _ := agreed(p.Resolvers.ask(ctx, p.Edge.Target(label), qtype))
		for _, v := range found {
			if a, err := netip.ParseAddr(v); err == nil {
				own.Edge.Addresses = append(own.Edge.Addresses, a)
			}
		}
	}
	return &own
}

func (p *Preflight) addresses(kind string) []string {
	var all []string
	for _, a := range p.Edge.Addresses {
		if a.Unmap().Is4() == (kind == "A") {
			all = append(all, a.Unmap().String())
		}
	}
	slices.Sort(all)
	return all
}

// Look asks DNS, and HTTP when configured, about the domain.
func (p *Preflight) Look(ctx context.Context, d Domain, now time.Time) Observation {
	o := Observation{At: now, Reached: true}
	if len(p.Edge.Addresses) == 0 {
		p = p.resolved(ctx, d.EdgeLabel)
	}
	o.owner(ctx, p, d)
	o.direction(ctx, p, d)
	o.permission(ctx, p, d.Host)
	if p.Self != nil && o.Owned && o.Directed && o.Allowed {
		if err := p.reach(ctx, d.Host); err != nil {
			o.Reached = false
			o.fail("http.not_ours", "A request to "+p.way()+"://"+d.Host+"/ did not arrive here: another server, a proxy or a firewall answers. "+err.Error())
		}
	}
	return o
}

// reach looks whether the authority will find us where it looks for the proof. Plain HTTP
// may be shut where TLS proves.
func (p *Preflight) reach(ctx context.Context, host string) error {
	if p.Method == acme.ChallengeTypeTLSALPN01 {
		return p.Self.Listens(ctx, host)
	}
	return p.Self.OverHTTP(ctx, host)
}

func (p *Preflight) way() string {
	if p.Method == acme.ChallengeTypeTLSALPN01 {
		return "https"
	}
	return "http"
}

// fail keeps the first problem: what comes later often follows from it.
func (o *Observation) fail(code, problem string) {
	if o.Code == "" {
		o.Code, o.Problem = code, problem
	}
}

func (o *Observation) failLookup(err error) {
	var l *lookupError
	if errors.As(err, &l) {
		o.fail(l.code, l.message)
	}
}

func (o *Observation) owner(ctx context.Context, p *Preflight, d Domain) {
	want := d.TXTValue()
	all, some, err := agreed(p.Resolvers.ask(ctx, d.TXTName(), dns.TypeTXT))
	all, some = unquoted(all), unquoted(some)
	r := Record{Type: "TXT", Name: d.TXTName(), Wanted: []string{want}, Found: shown(some), Needed: true}
	r.OK = err == nil && slices.Contains(all, want)
	o.Owned = r.OK
	switch {
	case r.OK:
	case d.State.Owned(): // proven before; that the record is gone is no reason to stop
		r.Note = "Not seen any more. Keep it: it protects the name from being claimed by others."
	case err != nil:
		r.Note = err.Error()
		o.failLookup(err)
	case slices.Contains(some, want):
		r.Note = "Some name servers know it already. It usually spreads within minutes."
		o.fail("txt.spreading", "The TXT record is there, but not every name server knows it yet. It usually spreads within minutes.")
	case len(some) > 0:
		r.Note = "The value is another one."
		o.fail("txt.wrong", "The TXT record of "+d.TXTName()+" has another value. Replace it by the one below.")
	default:
		o.fail("txt.missing", "The TXT record "+d.TXTName()+" is missing. Add it at your DNS provider.")
	}
	o.Records = append(o.Records, r)
}

// unquoted forgives a pair of quotes that some providers' forms keep.
func unquoted(values []string) []string {
	for i, v := range values {
		values[i] = strings.Trim(strings.TrimSpace(v), `"`)
	}
	return values
}

// direction checks that every address of the name is ours. A stray AAAA record is the
// usual reason why a certificate cannot be had though the site opens.
func (o *Observation) direction(ctx context.Context, p *Preflight, d Domain) {
	a4 := p.Resolvers.ask(ctx, d.Host, dns.TypeA)
	a6 := p.Resolvers.ask(ctx, d.Host, dns.TypeAAAA)
	_, v4, err4 := agreed(a4)
	_, v6, err6 := agreed(a6)
	strays4, strays6 := p.strays("A", v4), p.strays("AAAA", v6)
	alias := lastAlias(a4)
	ours := len(v4)+len(v6) > 0 && len(strays4)+len(strays6) == 0 && err4 == nil && err6 == nil
	o.Directed = ours
	o.aliasRecord(p, d, alias, ours)
	if IsApex(d.Host) || alias == "" {
		o.addressRecord(p, d, "A", v4, strays4)
		o.addressRecord(p, d, "AAAA", v6, strays6)
	}
	switch {
	case ours:
	case err4 != nil:
		o.failLookup(err4)
	case err6 != nil:
		o.failLookup(err6)
	case len(v4)+len(v6) == 0 && alias != "":
		o.fail("dns.dangling", d.Host+" is an alias of "+alias+", which has no address.")
	case len(v4)+len(v6) == 0:
		o.fail("dns.missing", d.Host+" has no address yet. Set the records below.")
	case len(strays4) == 0:
		o.fail("dns.stray_aaaa", d.Host+" has an AAAA record that leads elsewhere ("+strings.Join(strays6, ", ")+"). Remove it: visitors with IPv6 and the certificate authority would go there.")
	case proxied(strays4):
		o.fail("dns.proxied", d.Host+" leads to Cloudflare's proxy ("+strings.Join(strays4, ", ")+"). Switch the record to \"DNS only\" there.")
	default:
		o.fail("dns.elsewhere", d.Host+" leads to "+strings.Join(append(strays4, strays6...), ", ")+", not here. Change the records as shown below.")
	}
}

func (o *Observation) aliasRecord(p *Preflight, d Domain, alias string, ours bool) {
	if IsApex(d.Host) {
		return
	}
	r := Record{Type: "CNAME", Name: d.Host, Wanted: []string{p.Edge.Target(d.EdgeLabel)}, OK: ours, Needed: true}
	if alias != "" {
		r.Found = []string{alias}
	}
	switch {
	case alias == "" && ours:
		r.Note = "Addresses are set instead of an alias. That works; an alias would follow us when our addresses change."
	case alias != "" && within(alias, p.Edge.Zone) && alias != r.Wanted[0]:
		r.Note = "This alias was made for another shop. Change it, so that nobody else can take the name over."
	}
	o.Records = append(o.Records, r)
}

func (o *Observation) addressRecord(p *Preflight, d Domain, kind string, found, strays []string) {
	want := p.addresses(kind)
	if len(found) == 0 && (len(want) == 0 || !IsApex(d.Host)) {
		return
	}
	r := Record{Type: kind, Name: d.Host, Wanted: want, Found: shown(found), OK: len(found) > 0 && len(strays) == 0, Needed: IsApex(d.Host)}
	if len(found) == 0 && kind == "AAAA" {
		r.OK, r.Needed, r.Note = true, false, "Optional: visitors with IPv6 are reached without it as well."
	}
	if len(strays) > 0 {
		r.Note = "Remove " + strings.Join(strays, ", ") + "."
		if len(want) == 0 {
			r.Needed = false
		}
	}
	o.Records = append(o.Records, r)
}

func (p *Preflight) strays(kind string, found []string) []string {
	want := p.addresses(kind)
	var strays []string
	for _, v := range found {
		if !slices.Contains(want, v) {
			strays = append(strays, v)
		}
	}
	return strays
}

func lastAlias(answers []answer) string {
	for _, a := range answers {
		if len(a.chain) > 0 {
			return a.chain[0]
		}
	}
	return ""
}

// shown bounds what a hostile zone can put on the page.
func shown(values []string) []string {
	const most, longest = 8, 300
	if len(values) > most {
		values = values[:most]
	}
	out := make([]string, len(values))
	for i, v := range values {
		v = strings.ToValidUTF8(v, "?")
		if len(v) > longest {
			v = strings.ToValidUTF8(v[:longest], "") + "…"
		}
		out[i] = v
	}
	return out
}

// cloudflare's published networks, for a better word than "elsewhere".
var cloudflare = []netip.Prefix{
	netip.MustParsePrefix("103.21.244.0/22"), netip.MustParsePrefix("103.22.200.0/22"), netip.MustParsePrefix("103.31.4.0/22"),
	netip.MustParsePrefix("104.16.0.0/13"), netip.MustParsePrefix("104.24.0.0/14"), netip.MustParsePrefix("108.162.192.0/18"),
	netip.MustParsePrefix("131.0.72.0/22"), netip.MustParsePrefix("141.101.64.0/18"), netip.MustParsePrefix("162.158.0.0/15"),
	netip.MustParsePrefix("172.64.0.0/13"), netip.MustParsePrefix("173.245.48.0/20"), netip.MustParsePrefix("188.114.96.0/20"),
	netip.MustParsePrefix("190.93.240.0/20"), netip.MustParsePrefix("197.234.240.0/22"), netip.MustParsePrefix("198.41.128.0/17"),
}

func proxied(found []string) bool {
	for _, v := range found {
		a, err := netip.ParseAddr(v)
		if err == nil && slices.ContainsFunc(cloudflare, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return true
		}
	}
	return false
}
