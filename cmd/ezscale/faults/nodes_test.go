package faults

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy/audit"
)

var invitation = regexp.MustCompile(`https?://[^\s/]+(/manage/link/[^\s"<>]+)`)

// owner signs in on a node as the owner of alpha, by the link in the invitation.
func (n *node) owner() *http.Client {
	n.house.t.Helper()
	n.house.awaitMails("owner@alpha.test", 1)
	m := invitation.FindStringSubmatch(n.house.trap.Mails("owner@alpha.test")[0].Text)
	if m == nil {
		n.house.t.Fatalf("no link in the invitation:\n%s", n.house.trap.Mails("owner@alpha.test")[0].Text)
	}
	c := n.visitor()
	if a := n.post(c, alpha+m[1], alpha+m[1], url.Values{"password": {"several words in a row"}}); a.status != http.StatusSeeOther {
		n.house.t.Fatalf("accepting the invitation: %d\n%s", a.status, short(a.body))
	}
	return c
}

// figure adds up a metric of a node over all its labels.
func (n *node) figure(name string) (sum float64) {
	n.house.t.Helper()
	a, err := ask(http.DefaultClient, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", n.ports.metrics), "")
	must(n.house.t, err)
	for line := range strings.Lines(a.body) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		must(n.house.t, err)
		sum += v
	}
	return sum
}

func TestTwoNodesDoEverythingOnce(t *testing.T) {
	h := newHouse(t)
	one, two := h.serve(h.first), h.serve(freePorts(t))
	first, second := h.work(), h.work()
	pool, central := h.planes()
	all := h.tenants(central)
	const mails = 60
	for i := range mails {
		must(t, h.letter(pool.Bind(all[i%2]), fmt.Sprintf("mail %d", i), fmt.Sprintf("once%d@people.test", i)))
	}
	for i := range mails {
		h.awaitMails(fmt.Sprintf("once%d@people.test", i), 1)
	}
	h.until("the books agree", func() error {
		done, left := query[int](h, "SELECT count(*) FROM river.river_job WHERE state = 'completed'"), query[int](h, "SELECT count(*) FROM river.river_job WHERE state <> 'completed'")
		if worked := int(first.figure("ezscale_jobs_total") + second.figure("ezscale_jobs_total")); worked != done || left > 0 {
			return fmt.Errorf("%d jobs done, %d waiting, the two nodes worked %d", done, left, worked)
		}
		return nil
	})
	for i := range mails {
		if got := len(h.trap.Mails(fmt.Sprintf("once%d@people.test", i))); got != 1 {
			t.Errorf("mail %d arrived %d times", i, got)
		}
	}
	if got := query[int](h, "SELECT coalesce(max(attempt), 0) FROM river.river_job"); got != 1 {
		t.Errorf("a job was tried %d times", got)
	}
	if got := query[int](h, "SELECT count(*) FROM river.river_job WHERE kind = 'platform.fill_stock'"); got == 0 {
		t.Error("no clock ticks")
	}

	// A change on one node shows on both, in pages that were in memory.
	c := one.owner()
	for _, n := range []*node{one, two} {
		n.want("before", alpha+"/", http.StatusOK, "Alpha")
	}
	a := one.post(c, alpha+"/manage/settings", alpha+"/manage/settings", url.Values{"name": {"Quokka Hosting"}, "locale": {"en"}, "currency": {"EUR"}, "time_zone": {"UTC"}})
	if a.status != http.StatusSeeOther {
		t.Fatalf("saving the settings: %d\n%s", a.status, short(a.body))
	}
	one.want("the node of the change", alpha+"/", http.StatusOK, "Quokka Hosting")
	two.eventually("the other node", alpha+"/", http.StatusOK, "Quokka Hosting")
	two.want("another tenant", beta+"/", http.StatusOK, "Beta")
	for _, name := range []string{"ezscale_page_cache_total", "ezscale_page_cache_pages", "ezscale_page_cache_bytes", "ezscale_part_up"} {
		if two.figure(name) == 0 {
			t.Errorf("%s is nothing", name)
		}
	}
	if first.figure("ezscale_spares") < lanes {
		t.Errorf("%v spares", first.figure("ezscale_spares"))
	}
	// The session counts on the other node too: Redis is shared.
	if got, err := ask(&http.Client{Jar: c.Jar, Transport: two.client().Transport}, http.MethodGet, alpha+"/manage/settings", ""); err != nil || got.status != http.StatusOK {
		t.Errorf("the session on the other node: %d %v", got.status, err)
	}
	for _, n := range []*node{one, two, first, second} {
		n.stop()
	}
}

func TestNameServerAndAuthorityGoneAndBack(t *testing.T) {
	h := newHouse(t)
	n, w := h.serve(h.first), h.work()
	pool, central := h.planes()
	overview := &domain.Overview{Central: central}
	const host = "shop.nimbus.test"
	// The name server fails for everything below.
	for _, name := range []string{host, "_ezscale." + host, "nimbus.test"} {
		h.acme.Zone().Break(name, dns.RcodeServerFailure)
	}
	c := n.owner()
	a := n.post(c, alpha+"/manage/domains", alpha+"/manage/domains", url.Values{"host": {host}})
	if a.status != http.StatusSeeOther {
		t.Fatalf("adding a domain: %d\n%s", a.status, short(a.body))
	}
	page := alpha + a.header.Get("Location")
	read := func() domain.Listed {
		t.Helper()
		all, err := overview.List(context.Background(), domain.Filter{Text: host})
		must(t, err)
		if len(all) != 1 {
			t.Fatalf("%d domains", len(all))
		}
		return all[0]
	}
	d := read()
	h.acme.Zone().Break(d.TXTName(), dns.RcodeServerFailure)
	// It would look again by itself after half a minute, and order again after some
	// minutes; staff need not wait.
	retry := func() {
		t.Helper()
		must(t, overview.Retry(context.Background(), d.ID, domain.By{Actor: audit.System("test")}))
	}
	retry()
	h.until("the failing name server was asked", func() error {
		if d := read(); d.State != domain.Pending || d.Error == "" {
			return fmt.Errorf("%s %q", d.State, d.Error)
		}
		return nil
	})
	if a, err := ask(c, http.MethodGet, page, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("the domain's page: %d %v", a.status, err)
	}
	// Nothing hangs meanwhile: a mail goes out.
	must(t, h.letter(pool.Bind(h.tenants(central)[1]), "meanwhile", "meanwhile@people.test"))
	h.awaitMails("meanwhile@people.test", 1)

	// The name server is back, and the authority is broken.
	h.acme.Faults().Set(acmelab.ServerError, 0)
	for _, name := range []string{host, "_ezscale." + host, "nimbus.test", d.TXTName()} {
		h.acme.Zone().Break(name, 0)
	}
	must(t, h.acme.Zone().Set(acmelab.Record{Name: d.TXTName(), Type: "TXT", Value: d.TXTValue()}))
	must(t, h.acme.Zone().Set(acmelab.Record{Name: host, Type: "A", Value: "127.0.0.1"}))
	retry()
	h.until("the domain says that the authority fails", func() error {
		if d := read(); d.State != domain.Failing || d.Error == "" || d.OrderAfter == nil {
			return fmt.Errorf("%s %s %q", d.State, d.ErrorCode, d.Error)
		}
		return nil
	})
	n.want("the shop meanwhile", alpha+"/", http.StatusOK, "Alpha")

	h.acme.Faults().Set(acmelab.None, 0)
	retry()
	h.until("the domain is active", func() error {
		if d := read(); d.State != domain.Active {
			return fmt.Errorf("%s %q\n%s", d.State, d.Error, w.log.complaints())
		}
		return nil
	})
	n.eventually("the site under its own name", "https://"+host+"/", http.StatusOK, "Alpha")
	if got := h.acme.Faults().Issued(host); got != 1 {
		t.Errorf("%d certificates were issued", got)
	}
	if w.figure("ezscale_domains") != 1 {
		t.Errorf("the metrics count %v domains", w.figure("ezscale_domains"))
	}
	n.stop()
	w.stop()
}
