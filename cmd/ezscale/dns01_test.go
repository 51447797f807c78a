package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

func TestDNS01IsWholeOrNotThere(t *testing.T) {
	whole := []string{"EZSCALE_ACME_DNS01=rfc2136", "EZSCALE_ACME_DNS01_SERVER=ns1.example.com:53", "EZSCALE_ACME_DNS01_KEY=k", "EZSCALE_ACME_DNS01_SECRET=AAAA"}
	for name, c := range map[string]struct {
		env  []string
		says string // empty: it is taken
	}{
		"none":              {nil, ""},
		"whole":             {whole, ""},
		"unknown provider":  {append([]string{"EZSCALE_ACME_DNS01=magic"}, whole[1:]...), "EZSCALE_ACME_DNS01"},
		"no server":         {append([]string{whole[0]}, whole[2:]...), "EZSCALE_ACME_DNS01_SERVER"},
		"no secret":         {whole[:3], "EZSCALE_ACME_DNS01_SECRET"},
		"unknown algorithm": {append([]string{"EZSCALE_ACME_DNS01_ALGORITHM=hmac-md5"}, whole...), "EZSCALE_ACME_DNS01_ALGORITHM"},
	} {
		var cfg serveConfig
		err := setting.Load(&cfg, needed(t, c.env...), knownVars())
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDNS01Proof(t *testing.T) {
	for zone, ok := range map[string]bool{"": true, "ezscale.example": true, "example": true, "other.example": false} {
		a := &app{cfg: &serveConfig{Hosts: hostsConfig{Platform: "ezscale.example"}, DNS01: dns01Config{Provider: "rfc2136", Server: "a:53", KeyName: "k", Secret: "AAAA", Algorithm: "hmac-sha256", Zone: zone}}}
		a.clock = time.Now
		p, err := a.dnsProof()
		if ok != (err == nil) || ok && p.Provider == nil {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
	if p, err := (&app{cfg: &serveConfig{}}).dnsProof(); p != nil || err != nil {
		t.Errorf("without configuration: %v %v", p, err)
	}
}
