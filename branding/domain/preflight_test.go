package domain

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/miekg/dns"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy"
)

func lab(t *testing.T) *acmelab.Lab {
	t.Helper()
	l, err := acmelab.Start(acmelab.Options{HTTPPort: 1, TLSPort: 1})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPreflightSaysWhatIsMissing(t *testing.T) {
	l := lab(t)
	second := lab(t) // a resolver that has not heard yet
	edge := Edge{Zone: "edge.ezscale.net", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	d := Domain{ID: uuid.Must(uuid.NewV7()), Tenant: must1(t)(tenancy.ParseID("7")), State: Pending, Token: "abc", EdgeLabel: "k1"}
	txt := func(host string) acmelab.Record {
		return acmelab.Record{Name: TXTPrefix + host, Type: "TXT", Value: "ezscale-verify=abc"}
	}
	for _, c := range []struct {
		name    string
		host    string
		owned   bool // checked as a name that was proven before
		records []acmelab.Record
		broken  string
		second  bool
		code    string
		says    string
		ready   bool
	}{
		{name: "nothing", host: "a.example.com", code: "txt.missing", says: "_ezscale-verify.a.example.com"},
		{name: "another value", host: "b.example.com", records: []acmelab.Record{{Name: "_ezscale-verify.b.example.com", Type: "TXT", Value: "other"}}, code: "txt.wrong"},
		{name: "only one resolver knows", host: "c.example.com", records: []acmelab.Record{txt("c.example.com")}, second: true, code: "txt.spreading"},
		{name: "proof only", host: "d.example.com", records: []acmelab.Record{txt("d.example.com")}, code: "dns.missing"},
		{name: "alias to us", host: "e.example.com", records: []acmelab.Record{txt("e.example.com"), {Name: "e.example.com", Type: "CNAME", Value: "k1.edge.ezscale.net"}, {Name: "k1.edge.ezscale.net", Type: "A", Value: "192.0.2.1"}}, ready: true},
		{name: "dangling alias", host: "f.example.com", records: []acmelab.Record{txt("f.example.com"), {Name: "f.example.com", Type: "CNAME", Value: "gone.example.net"}}, code: "dns.dangling", says: "gone.example.net"},
		{name: "elsewhere", host: "g.example.com", records: []acmelab.Record{txt("g.example.com"), {Name: "g.example.com", Type: "A", Value: "198.51.100.9"}}, code: "dns.elsewhere", says: "198.51.100.9"},
		{name: "one address of two is elsewhere", host: "h.example.com", records: []acmelab.Record{txt("h.example.com"), {Name: "h.example.com", Type: "A", Value: "192.0.2.1"}, {Name: "h.example.com", Type: "A", Value: "198.51.100.9"}}, code: "dns.elsewhere"},
		{name: "stray AAAA", host: "i.example.com", records: []acmelab.Record{txt("i.example.com"), {Name: "i.example.com", Type: "A", Value: "192.0.2.1"}, {Name: "i.example.com", Type: "AAAA", Value: "2001:db8::99"}}, code: "dns.stray_aaaa", says: "2001:db8::99"},
		{name: "behind a proxy", host: "j.example.com", records: []acmelab.Record{txt("j.example.com"), {Name: "j.example.com", Type: "A", Value: "104.16.1.1"}}, code: "dns.proxied", says: "DNS only"},
		{name: "CAA of the parent forbids", host: "k.caa.example.com", records: []acmelab.Record{txt("k.caa.example.com"), {Name: "k.caa.example.com", Type: "A", Value: "192.0.2.1"}, {Name: "caa.example.com", Type: "CAA", Value: `0 issue "other.example"`}}, code: "caa.forbids", says: "caa.example.com"},
		{name: "CAA allows us besides another", host: "l.caa2.example.com", records: []acmelab.Record{txt("l.caa2.example.com"), {Name: "l.caa2.example.com", Type: "A", Value: "192.0.2.1"}, {Name: "caa2.example.com", Type: "CAA", Value: `0 issue "other.example"`}, {Name: "caa2.example.com", Type: "CAA", Value: `0 issue "ca.acmelab.test"`}}, ready: true},
		{name: "apex with both addresses", host: "example.org", records: []acmelab.Record{txt("example.org"), {Name: "example.org", Type: "A", Value: "192.0.2.1"}, {Name: "example.org", Type: "AAAA", Value: "2001:db8::1"}}, ready: true},
		{name: "servers fail", host: "m.example.com", broken: "m.example.com", records: []acmelab.Record{txt("m.example.com")}, code: "dns.servfail", says: "SERVFAIL"},
		{name: "proven, proof gone, elsewhere", host: "n.example.com", owned: true, records: []acmelab.Record{{Name: "n.example.com", Type: "A", Value: "198.51.100.9"}}, code: "dns.elsewhere"},
		{name: "quotes kept by a form", host: "o.example.com", records: []acmelab.Record{{Name: "_ezscale-verify.o.example.com", Type: "TXT", Value: `"ezscale-verify=abc"`}, {Name: "o.example.com", Type: "A", Value: "192.0.2.1"}}, ready: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range c.records {
				must(t, l.Zone().Add(r))
			}
			l.Zone().Break(c.broken, map[bool]int{true: dns.RcodeServerFailure, false: 0}[c.broken != ""])
			p := &Preflight{Resolvers: Resolvers{Servers: []string{l.DNS()}}, Edge: edge, Identity: []string{acmelab.Identity}, Method: "http-01"}
			if c.second {
				p.Resolvers.Servers = append(p.Resolvers.Servers, second.DNS())
			}
			d := d
			d.Host = c.host
			if c.owned {
				d.State = Active
			}
			o := p.Look(context.Background(), d, d.CreatedAt)
			if o.Code != c.code || !strings.Contains(o.Problem, c.says) || o.Ready() != c.ready {
				t.Errorf("%s %q, ready %t; want %s", o.Code, o.Problem, o.Ready(), c.code)
			}
			if o.Code != "" && o.Problem == "" || len(o.Records) == 0 {
				t.Errorf("nothing to read: %+v", o)
			}
			for _, r := range o.Records {
				if c.ready && !r.OK {
					t.Errorf("a ready name shows %+v", r)
				}
			}
		})
	}
}

func must1(t *testing.T) func(tenancy.ID, error) tenancy.ID {
	return func(id tenancy.ID, err error) tenancy.ID { t.Helper(); must(t, err); return id }
}

func TestAResolverThatIsAwayIsSaidInPlainWords(t *testing.T) {
	p := &Preflight{Resolvers: Resolvers{Servers: []string{"127.0.0.1:1"}}, Edge: Edge{Zone: "edge.test"}}
	o := p.Look(context.Background(), Domain{Host: "a.example.com", State: Pending, Token: "x"}, Domain{}.CreatedAt)
	if o.Code != "dns.unreachable" && o.Code != "dns.timeout" || o.Ready() || !strings.Contains(o.Problem, "name servers") {
		t.Errorf("%s %q", o.Code, o.Problem)
	}
}

func TestCAA(t *testing.T) {
	us := []string{"letsencrypt.org"}
	for _, c := range []struct {
		set  []string
		wild bool
		want bool
	}{
		{nil, false, true},
		{[]string{`0 issue "letsencrypt.org"`}, false, true},
		{[]string{`0 issue "LetsEncrypt.org "`}, false, true},
		{[]string{`0 issue "digicert.com"`}, false, false},
		{[]string{`0 issue "digicert.com"`, `0 issue "letsencrypt.org"`}, false, true},
		{[]string{`0 issue ";"`}, false, false},
		{[]string{`0 iodef "mailto:a@example.com"`}, false, true},
		{[]string{`128 tbs "unknown"`}, false, false},
		{[]string{`0 tbs "unknown"`}, false, true},
		{[]string{`0 issuewild ";"`}, false, true},
		{[]string{`0 issuewild ";"`}, true, false},
		{[]string{`0 issue "letsencrypt.org"`, `0 issuewild "digicert.com"`}, true, false},
		{[]string{`0 issue "letsencrypt.org"`}, true, true},
		{[]string{`0 issue "letsencrypt.org; validationmethods=dns-01"`}, false, false},
		{[]string{`0 issue "letsencrypt.org; validationmethods=http-01,dns-01"`}, false, true},
		{[]string{"garbage"}, false, false},
	} {
		if got := caaAllows(slices.Clone(c.set), us, "http-01", c.wild); got != c.want {
			t.Errorf("%v, wildcard %t: %t", c.set, c.wild, got)
		}
	}
}

func FuzzCAA(f *testing.F) {
	for _, s := range []string{`0 issue "letsencrypt.org"`, `128 x "y"`, "0 issue", `0 issue "a;validationmethods=b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		allowed := caaAllows([]string{s}, []string{"letsencrypt.org"}, "http-01", false)
		if allowed && strings.HasPrefix(s, "0 issue ") && !strings.Contains(strings.ToLower(s), "letsencrypt.org") {
			t.Fatalf("%q allows us", s)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:00:00 GMT")
	f.Fuzz(func(t *testing.T, v, date string) {
		if d := parseRetryAfter(v, date); d < 0 {
			t.Fatalf("%q at %q waits %s", v, date, d)
		}
	})
}
