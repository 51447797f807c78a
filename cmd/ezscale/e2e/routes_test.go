package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// surfaces are where a world's pages are listed, and below what.
var surfaces = []struct{ name, list, below, not string }{
	{"shop", "tenant/web/testdata/route_permissions.golden", "", "/manage"},
	{"manage", "tenant/web/testdata/route_permissions.golden", "/manage", ""},
	{"console", "central/web/testdata/route_permissions.golden", "", ""},
	{"partner", "central/web/testdata/partner_permissions.golden", "", ""},
}

// surfaceOf is the surface that a walk of somebody of a world is of.
var surfaceOf = map[string]string{"visitor": "shop", "customer": "shop", "reseller": "manage", "partner": "partner", "staff": "console"}

// cameBy are the addresses that walks looked at, by surface.
var cameBy = struct {
	sync.Mutex
	paths map[string]map[string]bool
}{paths: map[string]map[string]bool{}}

func came(surface, path string) {
	cameBy.Lock()
	defer cameBy.Unlock()
	if cameBy.paths[surface] == nil {
		cameBy.paths[surface] = map[string]bool{}
	}
	bare, _, _ := strings.Cut(path, "?")
	cameBy.paths[surface][bare] = true
}

// noPages answer with a file, a part of a page or the way to another page.
var noPages = regexp.MustCompile(`\.(csv|pdf|zip|xml|json|ico|svg|txt)$|/(pdf|state|badge|address|saved)$|:file$|^/(r/:handle|people/:person)$|^/hooks/|/stripe/connected$|/wholesale/credits/`)

// elsewhere are pages that no link of the demo leads to, with the test that looks at each in
// a browser. Those of signing in are the same in every world.
var elsewhere = map[string]map[string]string{
	"shop": {
		"/checkout":                                         "TestMarket",
		"/client/invoices/:invoice/lines/:line":             "tenant/web: TestUsageInABrowser",
		"/client/invoices/:invoice/pay":                     "tenant/web: TestPayingInABrowser",
		"/client/payments/:payment":                         "TestMoney",
		"/client/security/prove":                            "TestMarket",
		"/client/subscriptions/:subscription/add":           "tenant/web: TestPagesNoLinkLeadsTo",
		"/client/subscriptions/:subscription/change/:offer": "tenant/web: TestPagesNoLinkLeadsTo",
		"/client/subscriptions/:subscription/usage":         "tenant/web: TestUsageInABrowser",
		"/client/webhooks/:endpoint":                        "tenant/web: TestPagesNoLinkLeadsTo",
		"/invitations/:offer":                               "tenant/web: TestPagesNoLinkLeadsTo",
		"/letters/:token":                                   "tenant/web: TestPagesNoLinkLeadsTo",
		"/pay/:token":                                       "TestMoney",
		"/pay/:token/payments/:payment":                     "TestMoney",
		"/preview/:token":                                   "TestMarket",
	},
	"manage": {
		"/manage/brand/preview":                             "TestReseller",
		"/manage/catalog/meters/:meter":                     "tenant/web: TestUsageInABrowser",
		"/manage/coupons/codes/:coupon":                     "tenant/web: TestPagesNoLinkLeadsTo",
		"/manage/domains/:id":                               "tenant/web: TestPagesNoLinkLeadsTo",
		"/manage/invoice-drafts/:draft":                     "tenant/web: TestPagesNoLinkLeadsTo",
		"/manage/invoices/:invoice/lines/:line":             "tenant/web: TestUsageInABrowser",
		"/manage/mail-texts/:template/preview":              "TestMarket",
		"/manage/settings/payments/stripe/connect":          "tenant/web: TestConnectingInABrowser",
		"/manage/subscriptions/:subscription/change/:offer": "tenant/web: TestPagesNoLinkLeadsTo",
		"/manage/subscriptions/:subscription/usage":         "tenant/web: TestUsageInABrowser",
		"/manage/twins/compare":                             "TestTwins",
		"/manage/twins/one/:twin":                           "TestTwins",
		"/manage/twins/one/:twin/mails":                     "TestTwins",
		"/manage/twins/one/:twin/mails/:letter":             "TestTwins",
		"/manage/webhooks/:hook":                            "tenant/web: TestPagesNoLinkLeadsTo",
	},
	"console": {
		"/domains/:id":                "TestReseller",
		"/platforms/:platform/repair": "central/web: TestPlatformsInABrowser",
		"/resellers/:id/balance":      "central/web: TestCollectingInABrowser", // not every reseller has one
		"/wholesale/preview":          "TestMarket",
	},
	"partner": {
		"/balance/statements":        "central/web: TestCollectingInABrowser",
		"/balance/statements/:month": "central/web: TestAResellersMoneyInABrowser",
		"/balance/top-up":            "central/web: TestAResellersMoneyInABrowser",
		"/payments/:payment":         "TestMarket",
		"/questions":                 "central/web: TestAResellersMoneyInABrowser",
		"/sign-up":                   "TestMarket",
		"/sign-up/code":              "TestMarket",
	},
}

// signing is the pages of who is not signed in, and of who proves who they are: TestAuthPages.
var signing = regexp.MustCompile(`/(sign-in|forgot|sign-in/code|sign-in/set-up|security/prove|security/second-factor)$|/link/:purpose/:token$`)

// everyPage holds the list of routes against what walks came by: a page that neither a link
// leads to nor a test is named for is looked at by nobody.
func everyPage(t *testing.T) {
	for _, s := range surfaces {
		text, err := os.ReadFile(filepath.Join(tenancytest.Root(), s.list))
		must(t, err)
		var routes []string
		for _, line := range strings.Split(string(text), "\n") {
			f := strings.Fields(line)
			if len(f) > 1 && f[0] == "GET" && strings.HasPrefix(f[1], s.below) && (s.not == "" || !strings.HasPrefix(f[1], s.not)) {
				routes = append(routes, f[1])
			}
		}
		walked := map[string]bool{}
		for path := range cameBy.paths[s.name] {
			walked[routeOf(path, routes)] = true
		}
		for _, r := range routes {
			named := elsewhere[s.name][r]
			switch {
			case noPages.MatchString(r) || signing.MatchString(r):
			case !walked[r] && named == "":
				t.Errorf("nobody looks at %s of the %s in a browser: no link of the demo leads there, and no test is named for it", r, s.name)
			case walked[r] && named != "":
				t.Logf("%s of the %s is walked, too", r, s.name)
			}
		}
		for r := range elsewhere[s.name] {
			if !slices.Contains(routes, r) {
				t.Errorf("%s is no page of the %s any more", r, s.name)
			}
		}
	}
}

// routeOf is the route an address is of: the one with the fewest names of things in it.
func routeOf(path string, routes []string) (best string) {
	at := strings.Split(path, "/")
	for _, r := range routes {
		parts := strings.Split(r, "/")
		fits := len(parts) == len(at)
		for i := 0; fits && i < len(at); i++ {
			fits = parts[i] == at[i] || strings.HasPrefix(parts[i], ":") && at[i] != ""
		}
		if fits && (best == "" || strings.Count(r, ":") < strings.Count(best, ":")) {
			best = r
		}
	}
	return best
}
