package acmelab

import (
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

func ask(t *testing.T, l *Lab, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	for _, network := range []string{"udp", "tcp"} {
		in, _, err := (&dns.Client{Net: network}).Exchange(m, l.DNS())
		if err != nil {
			t.Fatal(err)
		}
		if network == "tcp" {
			return in
		}
	}
	return nil
}

func TestZoneIsEditedAndKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zone.json")
	l, err := Start(Options{ZoneFile: file, HTTPPort: 1, TLSPort: 1})
	if err != nil {
		t.Fatal(err)
	}
	z := l.Zone()
	if a := ask(t, l, "nimbus.localhost", dns.TypeA); len(a.Answer) != 1 || a.Answer[0].(*dns.A).A.String() != "127.0.0.1" {
		t.Errorf("a name below localhost leads to %v", a.Answer)
	}
	if a := ask(t, l, "shop.example.com", dns.TypeA); a.Rcode != dns.RcodeNameError {
		t.Errorf("a name nobody set answers %v", a)
	}
	for _, r := range []Record{
		{"Shop.Nimbus.test.", "cname", "edge.nimbus.test."},
		{"edge.nimbus.test", "A", "192.0.2.1"},
		{"_x.shop.nimbus.test", "TXT", "hello world"},
		{"nimbus.test", "CAA", `0 issue "other.example"`},
	} {
		if err := z.Set(r); err != nil {
			t.Fatal(err)
		}
	}
	if a := ask(t, l, "SHOP.nimbus.test", dns.TypeA); len(a.Answer) != 2 || a.Answer[1].(*dns.A).A.String() != "192.0.2.1" {
		t.Errorf("the alias leads to %v", a.Answer)
	}
	for _, bad := range []Record{{"", "A", "1.2.3.4"}, {"x.test", "A", "no"}, {"x.test", "SRV", "1"}, {"x.test", "A", "1.2.3.4\nevil. 1 IN A 1.1.1.1"}, {"a..b", "A", "1.2.3.4"}} {
		if err := z.Set(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := z.Delete("edge.nimbus.test", "a", ""); err != nil {
		t.Fatal(err)
	}
	z.Break("broken.test", dns.RcodeServerFailure)
	if a := ask(t, l, "broken.test", dns.TypeA); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("the broken name answers %v", a)
	}
	root := string(l.RootPEM())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Start(Options{ZoneFile: file, HTTPPort: 1, TLSPort: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := again.Zone().List(); len(got) != 3 {
		t.Errorf("after a restart the zone holds %v", got)
	}
	if string(again.RootPEM()) == root || again.Directory() == l.Directory() {
		t.Error("two starts share a root or an address")
	}
	if got := again.faults.forbidden([]string{"a.shop.nimbus.test"}); got == "" {
		t.Error("CAA up the tree was not seen")
	}
}
