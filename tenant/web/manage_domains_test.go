package web

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/themes"
)

// The pages show every state a domain can be in, and nothing a zone says becomes markup.
func TestDomainPagesShowEveryState(t *testing.T) {
	now := tenancytest.Start
	sets, err := branding.LoadThemes(themes.Files, []string{"base"}, branding.Funcs(branding.FuncOptions{Now: func() time.Time { return now }}))
	if err != nil {
		t.Fatal(err)
	}
	preflight := &domain.Preflight{Edge: domain.Edge{Zone: "edge.example.net", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}
	for _, state := range domain.States() {
		d := domain.Domain{ID: uuid.Must(uuid.NewV7()), Host: "shop.xn--bcher-kva.de", State: state, Token: "tok", EdgeLabel: "k1", ChangedAt: now, CreatedAt: now}
		d.Observed.Records = preflight.Wanted(d)
		d.Observed.Records[0].Found = []string{`<script>alert(1)</script>`}
		if state == domain.Active {
			later := now.Add(80 * 24 * time.Hour)
			d.NotBefore, d.NotAfter, d.RenewAt, d.CertSerial, d.CertIssuer, d.Serving = &now, &later, &later, "abc", "Lab", true
		}
		v := domainView{Domain: d, Name: domain.Unicode(d.Host), Records: d.Observed.Records, Sentence: d.Sentence(), Tone: "info",
			NextTry: d.NextTry(now), Every: "2s", Seen: "x", Steps: domainSteps(d, now), Valid: d.HasCertificate(now), Ready: state == domain.Active,
			Events: []domain.Event{{At: now, Code: "domain.added", Detail: "<b>"}}}
		page := surface.Page{Title: v.Name, Surface: "manage", Path: "/manage/domains/x", Locale: "en", CSRF: "csrf", View: v, Errors: map[string]string{"confirm": "Type it."}}
		var out bytes.Buffer
		if err := sets.Render(&out, "base", "manage", "manage/domain", page); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		html := out.String()
		for _, want := range []string{"shop.bücher.de", "ezscale-verify=tok", d.Status().Text, "Domains", `name="_csrf"`, "Type it."} {
			if !strings.Contains(html, want) {
				t.Errorf("%s: the page lacks %q", state, want)
			}
		}
		for _, never := range []string{"<script>alert", "<b>", "onclick", "style="} {
			if strings.Contains(html, never) {
				t.Errorf("%s: the page holds %q", state, never)
			}
		}
		out.Reset()
		if err := sets.Fragment(&out, "base", "manage/domain", "domain-state", page); err != nil || !strings.Contains(out.String(), "every 2s") {
			t.Errorf("%s: fragment: %v", state, err)
		}
		out.Reset()
		list := surface.Page{Title: "Domains", Surface: "manage", Locale: "en", View: domainsView{OwnHost: "nimbus.localhost", Domains: []domainLine{{d, v.Name}}}}
		if err := sets.Render(&out, "base", "manage", "manage/domains", list); err != nil || !strings.Contains(out.String(), "nimbus.localhost") {
			t.Errorf("%s: list: %v", state, err)
		}
	}
}

func TestStepsStandWhereTheDomainStands(t *testing.T) {
	now := tenancytest.Start
	later := now.Add(time.Hour)
	classes := func(d domain.Domain) (all []string) {
		for _, s := range domainSteps(d, now) {
			all = append(all, s.Class)
		}
		return all
	}
	pointed := domain.Observation{Directed: true, Allowed: true}
	for _, c := range []struct {
		d    domain.Domain
		want string
	}{
		{domain.Domain{State: domain.Pending}, "is-now   "},
		{domain.Domain{State: domain.Misdirected}, "is-done is-now  "},
		{domain.Domain{State: domain.Issuing, Observed: pointed}, "is-done is-done is-now "},
		{domain.Domain{State: domain.Failing, Observed: pointed}, "is-done is-done is-bad "},
		{domain.Domain{State: domain.Active, Observed: pointed, NotAfter: &later, Serving: true}, "is-done is-done is-done is-done"},
	} {
		if got := strings.Join(classes(c.d), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.d.State, got, c.want)
		}
	}
}
