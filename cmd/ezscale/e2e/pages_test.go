package e2e

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// officeOf is the business whose offices are walked in every run.
const officeOf = "nimbus"

// maxPages bounds what one person's walk looks at.
const maxPages = 80

// TestScreenshots walks every page that a visitor, a customer, a reseller and staff
// can reach by links, at each width and in each scheme, and judges each. Offices look
// the same for every business: one's is walked. With -screenshots all are, and the
// pictures kept.
func TestScreenshots(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	for _, s := range g.Sites {
		if s.Slug == "" {
			continue
		}
		t.Run("visitor of "+s.Slug, func(t *testing.T) { walk(t, drive, nil, s.HTTP, "", "visitor_"+s.Slug) })
	}
	seen := map[string]bool{}
	for _, l := range g.Logins {
		kind := l.World + " " + l.Tenant
		office := l.World == "reseller" || l.World == "partner"
		if seen[kind] || office && l.Tenant != officeOf && *screenshots == "" {
			continue
		}
		seen[kind] = true
		t.Run(kind, func(t *testing.T) {
			tab := enter(t, drive, l)
			walk(t, drive, tab, tab.MustInfo().URL, map[string]string{"reseller": "/manage", "customer": "/client"}[l.World], strings.ReplaceAll(strings.TrimSpace(kind), " ", "_"))
		})
	}
	t.Run("every page", everyPage)
}

// signIn fills the sign-in page the tab shows and proves the second factor where one is asked for.
func signIn(t *testing.T, tab *browser.Page, l login) {
	t.Helper()
	tab.Check("sign-in")
	tab.Fill("email", l.Email)
	tab.Fill("password", l.Password)
	tab.Follow(`form[action$="/sign-in"] button[type="submit"]`)
	if l.Secret == "" {
		return
	}
	tab.Fill("code", code(t, l.Secret))
	tab.Follow(`main form button[type="submit"]`)
}

// spent are the steps of time whose codes were used, by secret: each code is good once.
var spent = map[string]int64{}

// code is one that was not used yet; the server takes the next step's too.
func code(t *testing.T, secret string) string {
	t.Helper()
	const period = 30
	step := max(time.Now().Unix()/period, spent[secret]+1)
	for step > time.Now().Unix()/period+1 {
		time.Sleep(100 * time.Millisecond)
	}
	spent[secret] = step
	c, err := totp.GenerateCode(secret, time.Unix(step*period, 0))
	must(t, err)
	return c
}

// links are the addresses of this host that the page leads to.
const links = `() => JSON.stringify([...document.querySelectorAll('a[href]')].filter(a => a.origin === location.origin && !a.hasAttribute('download')).map(a => a.pathname + a.search))`

var (
	changing = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\b\d+\b`)
	notPages = regexp.MustCompile(`^/(media|brand|assets)/|\.(csv|json|xml|svg|txt|pem|pdf|yaml)(\?|$)|sign-out|/events$|/pdf$|preview`)
	// kinds are addresses that differ by a name of what they show, and not by a number.
	kinds = []struct {
		of   *regexp.Regexp
		kind string
	}{
		{regexp.MustCompile(`^/products/[^/]+`), "/products/N"},
		{regexp.MustCompile(`^/products/N/[^/]+`), "/products/N/N"},
		{regexp.MustCompile(`^/legal/.+`), "/legal/N"},
		{regexp.MustCompile(`^/manage/mail-texts/.+`), "/manage/mail-texts/N"},
		{regexp.MustCompile(`^/wholesale/skus/vps-.+`), "/wholesale/skus/N"},
		{regexp.MustCompile(`/do/[a-z]+$`), "/do/N"},
	}
)

// pattern is what pages of one kind have in common, so that one of a hundred resellers is looked at.
func pattern(path string) string {
	bare, _, _ := strings.Cut(path, "?")
	bare = changing.ReplaceAllString(bare, "N")
	for _, k := range kinds {
		bare = k.of.ReplaceAllString(bare, k.kind)
	}
	return bare
}

// walk looks at every page below a path that can be reached from start: what else there is
// of a shop, its visitors' walk sees. tab carries the session; nil is a visitor.
func walk(t *testing.T, drive *browser.Browser, tab *browser.Page, start, below, name string) {
	t.Helper()
	if tab == nil {
		tab = drive.Page(t, start, browser.Desktop)
	}
	at, err := url.Parse(start)
	must(t, err)
	world, _, _ := strings.Cut(name, "_")
	queue, known := []string{at.RequestURI()}, map[string]bool{pattern(at.Path): true}
	for n := 0; n < len(queue); n++ {
		if n == maxPages {
			t.Fatalf("more than %d kinds of page: %v", maxPages, queue)
		}
		path := queue[n]
		tab.Go(at.Scheme + "://" + at.Host + path)
		came(surfaceOf[world], path)
		tab.CheckNext(name + strings.TrimSuffix(strings.ReplaceAll(pattern(path), "/", "_"), "_"))
		found, err := tab.Eval(links)
		must(t, err)
		var paths []string
		must(t, json.Unmarshal([]byte(found.Value.Str()), &paths))
		for _, p := range paths {
			if strings.HasPrefix(p, below) && !notPages.MatchString(p) && !known[pattern(p)] {
				known[pattern(p)] = true
				queue = append(queue, p)
			}
		}
	}
	t.Logf("%s: %d pages", name, len(queue))
}
