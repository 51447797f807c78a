package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestConsole is a morning of EZSCALE's staff: sign in with a second factor, create a
// reseller, open its site, suspend, resume and archive it, and read what was written
// down about it; on a phone, and every step judged at a desk too.
func TestConsole(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	tab, console := come(t, g, drive, "staff", "")
	tab.Wait("h1", "^Overview$")
	tab.Look(browser.Phone)
	both(tab, "console_overview")
	tab.Go(console + "/resellers")
	for _, name := range []string{"EZSCALE", "Nimbus Cloud", "PixelForge"} {
		tab.Wait("tbody th", name)
	}
	both(tab, "console_resellers")
	life(t, g, drive, tab, console)
}

// life takes one reseller from its creation to the archive.
func life(t *testing.T, g guide, drive *browser.Browser, tab *browser.Page, console string) {
	t.Helper()
	c := client(t, g)
	number := strconv.FormatInt(time.Now().UnixMilli()%1e8, 36)
	name, slug := "Harbour "+number, "harbour-"+number
	home := "http://" + slug + ".localhost:" + httpPort(t, g) + "/"
	until(t, c, home, http.StatusNotFound, "")

	tab.Go(console + "/resellers/new")
	both(tab, "console_new")
	tab.Fill("name", name)
	tab.Fill("slug", slug)
	tab.Wait("#address-answer", slug+`\.localhost is free`)
	tab.Fill("owner_name", "Ada Quay")
	tab.Fill("owner_email", "ada@"+slug+".test")
	both(tab, "console_new_filled")
	tab.Follow(`main form[action="/resellers"] button[type="submit"]`)
	tab.Wait("h1", "^"+name+"$")
	until(t, c, home, http.StatusOK, name)
	until(t, c, g.secure(slug+".localhost"), http.StatusOK, name)
	page := tab.MustInfo().URL
	both(tab, "console_reseller")
	facts(t, tab)

	site := drive.Page(t, home, browser.Phone)
	site.Wait("body", name)
	both(site, "new_site")
	site.Allow("status of 503", "status of 410")

	act := func(action, reason, typed string) {
		tab.Go(page + "/do/" + action)
		both(tab, "console_"+action)
		tab.Fill("reason", reason)
		if typed != "" {
			tab.Fill("typed", typed)
		}
		tab.Follow(`main form[action$="/do/` + action + `"] button[type="submit"]`)
	}
	act("suspend", "Invoice 17 is unpaid", "")
	tab.Wait("main .status", "Suspended")
	both(tab, "console_suspended")
	until(t, c, home, http.StatusServiceUnavailable, name+" is paused")
	site.Go(home)
	both(site, "site_suspended")

	tab.Follow(`form[action$="/do/resume"] button`)
	until(t, c, home, http.StatusOK, name)

	act("archive", "Closed by its owner", slug)
	tab.Wait("main .status", "Archived")
	both(tab, "console_archived")
	until(t, c, home, http.StatusGone, name+" has closed")
	site.Go(home)
	both(site, "site_archived")

	trail(t, tab, page, console)
}

// facts reads what staff see of a reseller: schema, its version, its size; the rest is
// on its other tabs.
func facts(t *testing.T, tab *browser.Page) {
	t.Helper()
	said := tab.Text("main")
	for _, want := range []string{"Data", "iB", "Schema", "version", "lane", "Trial ends", "ada@"} {
		if !strings.Contains(said, want) {
			t.Errorf("the reseller's page does not tell %q:\n%s", want, said)
		}
	}
}

// trail reads what was written down about the reseller, on its own page and in the
// platform's trail.
func trail(t *testing.T, tab *browser.Page, page, console string) {
	t.Helper()
	id := page[strings.LastIndex(page, "/")+1:]
	for _, address := range []string{page + "/activity", fmt.Sprintf("%s/audit?target=tenant%%3A%s", console, id)} {
		tab.Go(address)
		said := tab.Text("main tbody")
		for _, deed := range []string{"tenant.created", "tenant.suspended", "tenant.resumed", "tenant.archived"} {
			if n := strings.Count(said, deed); n != 1 {
				t.Errorf("%s tells of %s %d times:\n%s", address, deed, n, said)
			}
		}
		if !strings.Contains(said, "Mara Lindqvist") {
			t.Errorf("%s does not say who did it", address)
		}
		both(tab, "console_trail")
	}
	tab.Go(console + "/domains")
	tab.Wait("section tbody th", `^nimbus\.localhost`)
	both(tab, "console_domains")
}
