package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// lookupTimeout is for one question to one server.
const lookupTimeout = 2 * time.Second

// Resolvers asks a set of name servers. It keeps nothing.
type Resolvers struct {
	// Servers are recursive resolvers, "ip:port". Every one is asked, so that a change
	// that has reached only some is not taken for done.
	Servers []string
	// Authoritative asks the zone's own servers besides, when they can be found.
	Authoritative bool
}

// lookupError is a question without a usable answer. Its text is for people.
type lookupError struct {
	code    string
	message string
}

func (e *lookupError) Error() string { return e.message }

// answer is what one server says about a name and type.
type answer struct {
	server string
	values []string // the records of the type asked for, sorted
	chain  []string // aliases that were followed
	err    error
}

// ask puts one question to every server, at once.
func (r Resolvers) ask(ctx context.Context, name string, qtype uint16) []answer {
	servers := r.Servers
	if r.Authoritative {
		servers = append(slices.Clone(servers), r.authorities(ctx, name)...)
	}
	answers := make([]answer, len(servers))
	done := make(chan struct{})
	for i, s := range servers {
		go func() {
			answers[i] = query(ctx, s, name, qtype)
			done <- struct{}{}
		}()
	}
	for range servers {
		<-done
	}
	return answers
}

// authorities finds up to two servers of the zone that name is in.
func (r Resolvers) authorities(ctx context.Context, name string) []string {
	if len(r.Servers) == 0 {
		return nil
	}
	for zone := name; strings.Contains(zone, "."); _, zone, _ = strings.Cut(zone, ".") {
		ns := query(ctx, r.Servers[0], zone, dns.TypeNS)
		var found []string
		for _, host := range ns.values {
			for _, ip := range query(ctx, r.Servers[0], host, dns.TypeA).values {
				if len(found) < 2 {
					found = append(found, net.JoinHostPort(ip, "53"))
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// query asks one server, over TCP when the answer does not fit a datagram, and once
// more when it did not arrive. No such name is an empty answer.
func query(ctx context.Context, server, name string, qtype uint16) answer {
	a := answer{server: server}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.SetEdns0(1232, false)
	var in *dns.Msg
	var err error
	for _, network := range []string{"udp", "udp", "tcp"} {
		in, _, err = (&dns.Client{Net: network, Timeout: lookupTimeout}).ExchangeContext(ctx, m, server)
		if err == nil && !in.Truncated {
			break
		}
		if ctx.Err() != nil {
			break
		}
		if err == nil { // truncated: no use in asking again over UDP
			in, _, err = (&dns.Client{Net: "tcp", Timeout: lookupTimeout}).ExchangeContext(ctx, m, server)
			break
		}
	}
	if err != nil {
		a.err = explainNetwork(name, err)
		return a
	}
	if in.Rcode != dns.RcodeSuccess && in.Rcode != dns.RcodeNameError {
		a.err = explainRcode(name, in.Rcode)
		return a
	}
	for _, rr := range in.Answer {
		a.take(rr, qtype)
	}
	slices.Sort(a.values)
	return a
}

func (a *answer) take(rr dns.RR, qtype uint16) {
	if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
		a.chain = append(a.chain, plainName(c.Target))
		return
	}
	if rr.Header().Rrtype != qtype {
		return
	}
	switch v := rr.(type) {
	case *dns.A:
		a.values = append(a.values, v.A.String())
	case *dns.AAAA:
		a.values = append(a.values, v.AAAA.String())
	case *dns.CNAME:
		a.values = append(a.values, plainName(v.Target))
	case *dns.NS:
		a.values = append(a.values, plainName(v.Ns))
	case *dns.TXT:
		a.values = append(a.values, strings.Join(v.Txt, ""))
	case *dns.CAA:
		a.values = append(a.values, fmt.Sprintf("%d %s %q", v.Flag, v.Tag, v.Value))
	}
}

func plainName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func explainNetwork(name string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return &lookupError{"dns.timeout", "The name servers did not answer in time when asked for " + name + "."}
	}
	return &lookupError{"dns.unreachable", "The name servers could not be reached when asked for " + name + "."}
}

func explainRcode(name string, rcode int) error {
	switch rcode {
	case dns.RcodeServerFailure:
		return &lookupError{"dns.servfail", "The name servers of " + name + " answer with an error (SERVFAIL). Often a broken DNSSEC signature or a server that is down."}
	case dns.RcodeRefused:
		return &lookupError{"dns.refused", "The name servers refuse to answer for " + name + "."}
	}
	return &lookupError{"dns.failed", "The name servers answer " + dns.RcodeToString[rcode] + " for " + name + "."}
}

// agreed joins the answers: the values all servers gave, what any gave, and the
// first error.
func agreed(answers []answer) (all, some []string, err error) {
	for i, a := range answers {
		if a.err != nil && err == nil {
			err = a.err
		}
		for _, v := range a.values {
			if !slices.Contains(some, v) {
				some = append(some, v)
			}
		}
		if i == 0 {
			all = slices.Clone(a.values)
			continue
		}
		all = slices.DeleteFunc(all, func(v string) bool { return !slices.Contains(a.values, v) })
	}
	slices.Sort(some)
	return all, some, err
}
