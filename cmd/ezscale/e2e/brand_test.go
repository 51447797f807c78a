package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestReseller is a reseller at its console: it changes its brand, publishes it and
// goes back; it brings an address of its own, opens the shop there and removes it. It is
// walked on a phone, and every step judged at a desk too.
func TestReseller(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	tab, manage := come(t, g, drive, "reseller", "nimbus")
	staff, console := come(t, g, drive, "staff", "")
	tab.Look(browser.Phone)
	brand(t, g, drive, tab, manage)
	address(t, g, drive, tab, manage, func(host string) {
		staff.Look(browser.Phone)
		staff.Go(console + "/resellers")
		staff.ClickText("tbody th a", "^Nimbus Cloud$")
		staff.Wait("h1", "^Nimbus Cloud$")
		staff.Follow(`.tabs a[href$="/domains"]`)
		staff.Wait("main", host)
		staff.Wait("main", "[Cc]ertificate")
		both(staff, "console_reseller_domain")
	})
}

// headline is what the shop says first, as visitors are served it.
func headline(g guide, t *testing.T, words string) {
	t.Helper()
	until(t, client(t, g), "http://nimbus.localhost:"+httpPort(t, g)+"/", http.StatusOK, words)
}

// clothes are a shop's theme and logo as a visitor's browser has them.
func clothes(t *testing.T, visitor *browser.Page, home string) (theme, picture string) {
	t.Helper()
	visitor.Go(home)
	return read(t, visitor, themeSheet), read(t, visitor, logo)
}

// drawing is a picture file of a plain square.
func drawing(t *testing.T) string {
	t.Helper()
	square := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(square, square.Bounds(), image.NewUniform(color.NRGBA{R: 0x7c, G: 0x3a, B: 0xed, A: 0xff}), image.Point{}, draw.Src)
	name := filepath.Join(t.TempDir(), "logo.png")
	f, err := os.Create(name)
	must(t, err)
	must(t, png.Encode(f, square))
	must(t, f.Close())
	return name
}

// brand takes a draft to the visitors and back: words, colour, theme and logo.
func brand(t *testing.T, g guide, drive *browser.Browser, tab *browser.Page, manage string) {
	t.Helper()
	home := "http://nimbus.localhost:" + httpPort(t, g) + "/"
	visitor := drive.Page(t, home, browser.Phone)
	wasTheme, wasLogo := clothes(t, visitor, home)
	const before = "A calm place for your servers"
	now := "Servers under a wide sky " + strconv.FormatInt(time.Now().UnixMilli()%1e6, 36)
	headline(g, t, before)
	tab.Go(manage + "/brand")
	both(tab, "brand")
	tab.Fill("headline", now)
	tab.Fill("brand", "#7c3aed")
	tab.Click(`.choice:has(input[name="theme"][value="forge"])`)
	tab.Click(`input[name="subline"]`) // leaving a field saves the draft
	tab.Wait("#brand-side h2", "changes? against")
	tab.Wait("#brand-side", "Headline")
	both(tab, "brand_draft")
	tab.WaitFrame("iframe.brand-frame", "h1", "/"+now+"/i") // a theme may set it in capitals
	must(t, tab.MustElement("#f-logo").SetFiles([]string{drawing(t)}))
	tab.Follow(`form:has(#f-logo) button`)
	tab.Wait("#brand-side", "Logo")
	both(tab, "brand_logo")
	headline(g, t, before) // a draft is nobody's but the reseller's
	if theme, picture := clothes(t, visitor, home); theme != wasTheme || picture != wasLogo {
		t.Errorf("a draft shows: %s, %s", theme, picture)
	}

	tab.Fill("note", "Spring")
	tab.Follow(`form[action="/manage/brand/publish"] button`)
	both(tab, "brand_published")
	headline(g, t, now)
	if theme, picture := clothes(t, visitor, home); !strings.HasPrefix(theme, "/assets/shop-forge-") || picture == wasLogo || picture == "" {
		t.Errorf("published: %s, %s; it was %s, %s", theme, picture, wasTheme, wasLogo)
	}
	both(visitor, "brand_as_visitors_see_it")

	tab.Go(manage + "/brand/history")
	tab.Wait("tbody th", "Spring")
	both(tab, "brand_history")
	tab.Follow("tbody tr:nth-child(2) th a")
	both(tab, "brand_version")
	tab.Follow(`form[action$="/rollback"] button[type="submit"]`)
	headline(g, t, before)
	if theme, picture := clothes(t, visitor, home); theme != wasTheme || picture != wasLogo {
		t.Errorf("rolled back: %s, %s; it was %s, %s", theme, picture, wasTheme, wasLogo)
	}
}

// address brings an address of the reseller's own to life and takes it away again.
func address(t *testing.T, g guide, drive *browser.Browser, tab *browser.Page, manage string, lookToo func(host string)) {
	t.Helper()
	const host = "shop.nimbus.test"
	c := client(t, g)
	if _, _, err := get(c, g.secure(host)); err == nil {
		t.Fatalf("%s answers before it was added", host)
	}
	tab.Go(manage + "/domains")
	both(tab, "domains")
	tab.Fill("host", "https://"+strings.ToUpper(host)+"/plans")
	tab.Follow(`form[action="/manage/domains"] button[type="submit"]`)
	tab.Wait("h1", "^"+host+"$")
	page := tab.MustInfo().URL
	both(tab, "domain_pending")
	publish(t, g, drive, tab)

	tab.Click(`form[action$="/check"] button`)
	// The page asks for news by itself: nothing below reloads it.
	tab.Wait("#domain-state .status", "^Live")
	both(tab, "domain_live")
	said := tab.Text("#domain-state .timeline")
	for _, step := range []string{"ownership proved", "certificate"} {
		if !strings.Contains(strings.ToLower(said), step) {
			t.Errorf("the history does not tell %q:\n%s", step, said)
		}
	}
	lookToo(host)
	until(t, c, g.secure(host), http.StatusOK, "A calm place for your servers")
	site := drive.Page(t, g.secure(host), browser.Phone)
	site.Wait("h1", "A calm place for your servers")
	both(site, "own_address")

	// What a visitor has open must not outlive the removal.
	roots := c.Transport.(*http.Transport).TLSClientConfig.RootCAs
	config := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(g.TLSPort))
	for range 2 { // the second one is resumed
		open, err := tls.Dial("tcp", at, config)
		must(t, err)
		if status, err := ask(open, host); err != nil || status != http.StatusOK {
			t.Fatalf("%s answers %d: %v", host, status, err)
		}
		if err := open.Close(); err != nil {
			t.Log(err)
		}
	}
	open, err := tls.Dial("tcp", at, config)
	must(t, err)
	defer open.Close()
	if !open.ConnectionState().DidResume {
		t.Error("a connection was not resumed, so the next check proves nothing")
	}
	if status, err := ask(open, host); err != nil || status != http.StatusOK {
		t.Fatalf("%s answers %d: %v", host, status, err)
	}

	tab.Go(page)
	tab.Fill("confirm", host)
	tab.Follow(`form[action$="/remove"] button[type="submit"]`)
	both(tab, "domain_removed")
	gone := time.Now().Add(time.Second)
	for {
		status, err := ask(open, host)
		again, resumed := tls.Dial("tcp", at, config)
		if resumed == nil {
			_ = again.Close()
		}
		if (err != nil || status == http.StatusMisdirectedRequest) && resumed != nil {
			break
		}
		if time.Now().After(gone) {
			t.Fatalf("a second after its removal %s answers %d (%v) to who had it open, and takes a resumed connection: %v", host, status, err, resumed == nil)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, _, err := get(client(t, g), g.secure(host)); err == nil {
		t.Errorf("%s still answers", host)
	}
}

// ask sends one request over an open connection.
func ask(c net.Conn, host string) (status int, err error) {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	buf := make([]byte, 32<<10)
	for err == nil {
		_, err = res.Body.Read(buf)
	}
	return res.StatusCode, nil
}

// publish sets the records the domain's page names, on the demo's DNS page.
func publish(t *testing.T, g guide, drive *browser.Browser, tab *browser.Page) {
	t.Helper()
	rows, err := tab.Timeout(patience).Elements("#domain-state tbody tr")
	must(t, err)
	dns := drive.Page(t, g.DNS, browser.Desktop)
	set := 0
	for _, row := range rows {
		kind, err := row.Element("th")
		must(t, err)
		cells, err := row.Elements("td")
		must(t, err)
		text := func(i int) string {
			code, err := cells[i].Elements("code, [data-copy]")
			must(t, err)
			if len(code) == 0 {
				return ""
			}
			s, err := code[0].Text()
			must(t, err)
			return strings.TrimSpace(s)
		}
		what, err := kind.Text()
		must(t, err)
		name, value := text(0), text(1)
		if what = strings.TrimSpace(what); what != "TXT" && what != "CNAME" || value == "" {
			continue
		}
		dns.Fill("name", name)
		must(t, dns.MustElement(`select[name="type"]`).Select([]string{"^" + what + "$"}, true, "regex"))
		dns.Fill("value", value)
		dns.Follow(`form[action="/dns"] button`)
		dns.Wait("tbody th", name)
		set++
	}
	if set < 2 {
		t.Fatalf("%d records were set; the page names an owner's record and one for traffic", set)
	}
	both(dns, "dns")
}
