package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/web"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// street is a front with a world's tenants behind it, each at <slug>.localhost.
type street map[string]tenancy.Tenant

func (s street) Lookup(host string) (tenancy.Tenant, bool) { t, ok := s[host]; return t, ok }

// mustFront serves the shops of a world's tenants, with every theme and no cache.
func mustFront(t testing.TB, w *tenancytest.World, tenants ...tenancy.Tenant) *surface.Front {
	t.Helper()
	assets := mustAssets(t)
	set, err := branding.LoadThemes(themes.Files, []string{"base", "aurora", "forge"}, branding.Funcs(branding.FuncOptions{Assets: assets, Now: w.Clock.Now}))
	if err != nil {
		t.Fatal(err)
	}
	site := &web.Site{Brands: branding.NewDesk([]string{"base", "aurora", "forge"})}
	cfg := surface.Config{
		Name:   "tenant",
		Areas:  []surface.Area{{Name: "shop", World: identity.Customer, SignIn: "/sign-in", Themed: true}, {Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in"}},
		Routes: append(web.ShopRoutes(site), sheets(site)), Themes: set, Site: site.Shown, Assets: dist(t),
		Log: slog.New(slog.DiscardHandler), Clock: w.Clock.Now, FormKey: bytes.Repeat([]byte("k"), 32),
	}
	s, err := surface.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hosts := street{}
	for _, one := range tenants {
		hosts[one.Slug+".localhost"] = one
	}
	return &surface.Front{Hosts: hosts, Pool: w.Pool, Tenants: s, Log: cfg.Log}
}

// sheets serves the brands' stylesheets, as the site's own route does.
func sheets(site *web.Site) surface.Route {
	return surface.Route{Method: fiber.MethodGet, Path: "/brand/:sheet", Needs: identity.Public, Handler: func(c *fiber.Ctx) error {
		brand, err := site.Brands.Brand(c.UserContext(), surface.DB(c))
		if err != nil {
			return err
		}
		css, _ := brand.CSS()
		c.Set(fiber.HeaderContentType, "text/css; charset=utf-8")
		return c.Send(css)
	}}
}

// open fills a tenant's shelf and publishes a brand.
func open(t testing.TB, db *tenancy.DB, brand branding.Content) {
	t.Helper()
	ctx := context.Background()
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000001', ?0 || '-cloud', 'vps', 'Cloud <servers>', 'Servers & more', 1, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000002', ?0 || '-web', 'web_hosting', 'Web hosting', 'Sites and mail', 2, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000003', ?0 || '-secret', 'vps', 'Not for sale', '', 3, 'hidden', now(), now())`,
			`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at) VALUES
			 ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'small', 'Small', 'For a test', '[{"label":"Memory","value":"2 GB"}]', false, 1, 'public', now(), now()),
			 ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'large', 'Large', 'For a shop', '[{"label":"Memory","value":"8 GB"},{"label":"Snapshots","value":"7"}]', true, 2, 'public', now(), now())`,
			`INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES
			 ('00000000-0000-7000-8000-000000000011', 'EUR', 'monthly', 490, 0),
			 ('00000000-0000-7000-8000-000000000012', 'EUR', 'monthly', 1990, 500),
			 ('00000000-0000-7000-8000-000000000012', 'EUR', 'annual', 19900, 0)`,
		} {
			if _, err := tx.NewRaw(q, db.Tenant().Slug).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, db, brand)
}

// ask sends a GET through the front.
func ask(t testing.TB, f *surface.Front, host, path string) (status int, header http.Header, body string) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	if err := req.Read(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))); err != nil {
		t.Fatalf("the test's own request: %v", err)
	}
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
	f.Handler()(&ctx)
	var out bytes.Buffer
	if _, err := ctx.Response.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(&out), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func aurora() branding.Content {
	return branding.Content{Theme: "aurora", Tokens: branding.Tokens{Brand: "#0f7b6c"}, Texts: branding.Texts{
		Headline: "Calm servers", Subline: "From Hamburg", SupportEmail: "hello@alpha.example",
		Facts:     []branding.Fact{{Label: "Location", Value: "Hamburg"}},
		Questions: []branding.Question{{Question: "How fast?", Answer: "Fast. <script>alert(1)</script> [x](javascript:alert(1))"}},
		Terms:     "# Terms\n\nBe <b>kind</b>. <script>alert(2)</script>",
	}}
}

func forge() branding.Content {
	return branding.Content{Theme: "forge", Tokens: branding.Tokens{Brand: "#ff5a1f", Scheme: "dark"}, Texts: branding.Texts{Headline: "Servers that do not blink", Imprint: "Beta Ltd"}}
}

func TestShopShowsItsOwnShelf(t *testing.T) {
	w := tenancytest.New(t)
	open(t, w.DB(w.A), aurora())
	open(t, w.DB(w.B), forge())
	a, b := w.A, w.B
	a.Theme, b.Theme = "aurora", "forge"
	f := mustFront(t, w, a, b, w.C)
	for _, test := range []struct {
		name, host, path string
		status           int
		has              []string
		hasNot           []string
	}{
		{"home of the one", "alpha.localhost", "/", 200, []string{"Calm servers", "Cloud &lt;servers&gt;", "€4.90", "€19.90", "How fast?", "plan-row", `href="/legal/terms"`, `rel="canonical" href="http://alpha.localhost/"`}, []string{"<script>alert", "javascript:", "do not blink", "beta-cloud", "Not for sale"}},
		{"home of the other", "beta.localhost", "/", 200, []string{"Servers that do not blink", "tier-marked", `href="/products/beta-cloud"`, `href="/legal/imprint"`}, []string{"Calm servers", "alpha-cloud", `href="/legal/terms"`}},
		{"home of an empty shop", "gamma.localhost", "/", 200, []string{"Nothing is on the shelf yet"}, []string{"Calm", "blink"}},
		{"a product", "alpha.localhost", "/products/alpha-cloud", 200, []string{"Large", "Snapshots", "Recommended"}, nil},
		{"a product without plans", "alpha.localhost", "/products/alpha-web", 200, []string{"No plans yet"}, nil},
		{"a plan", "alpha.localhost", "/products/alpha-cloud/large", 200, []string{"€199.00", "€16.58", "€5.00", `action="/cart"`, ">Continue<"}, []string{"?subject=Order"}},
		{"a plan where nobody reads mail", "beta.localhost", "/products/beta-cloud/large", 200, []string{`action="/cart"`}, []string{"mailto:"}},
		{"a plan that is not there", "alpha.localhost", "/products/alpha-cloud/none", 404, nil, nil},
		{"another shop's product", "alpha.localhost", "/products/beta-cloud", 404, nil, []string{"beta"}},
		{"a hidden product", "alpha.localhost", "/products/alpha-secret", 404, nil, []string{"Not for sale"}},
		{"a product with a wild name", "alpha.localhost", "/products/%00%27%22%3E%3Cb%3E", 404, nil, []string{"<b>"}},
		{"terms", "alpha.localhost", "/legal/terms", 200, []string{"Be kind"}, []string{"<script>alert"}},
		{"another shop's imprint", "alpha.localhost", "/legal/imprint", 404, nil, []string{"Beta Ltd"}},
		{"contact", "alpha.localhost", "/contact", 200, []string{"hello@alpha.example", "Hamburg"}, nil},
		{"robots", "alpha.localhost", "/robots.txt", 200, []string{"Disallow: /manage", "Sitemap: http://alpha.localhost/sitemap.xml"}, nil},
		{"sitemap", "alpha.localhost", "/sitemap.xml", 200, []string{"<loc>http://alpha.localhost/products/alpha-cloud/large</loc>", "<loc>http://alpha.localhost/legal/terms</loc>"}, []string{"secret", "beta"}},
		{"favicon", "alpha.localhost", "/favicon.svg", 200, []string{">A</text>"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := ask(t, f, test.host, test.path)
			if status != test.status {
				t.Fatalf("status %d, want %d: %.400s", status, test.status, body)
			}
			for _, want := range test.has {
				if !strings.Contains(body, want) {
					t.Errorf("%q is missing in %s", want, body)
				}
			}
			for _, bad := range test.hasNot {
				if strings.Contains(body, bad) {
					t.Errorf("%q stands in %s", bad, body)
				}
			}
		})
	}
}

// TestAThemeSpeaksOfGamesWhereTheyAreSold: a theme is a look, and any shop may choose it.
func TestAThemeSpeaksOfGamesWhereTheyAreSold(t *testing.T) {
	w := tenancytest.New(t)
	a, b := w.A, w.B
	for _, shop := range []*tenancy.Tenant{&a, &b} {
		shop.Theme = "forge"
		brand := forge()
		brand.Texts.SupportEmail = "help@example.org"
		open(t, w.DB(*shop), brand)
	}
	err := w.DB(b).Update(context.Background(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE products SET type = 'game_server' WHERE position = 2").Exec(context.Background())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f := mustFront(t, w, a, b)
	for host, games := range map[string]bool{"alpha.localhost": false, "beta.localhost": true} {
		_, _, body := ask(t, f, host, "/")
		if strings.Contains(body, "What do you play?") != games || strings.Contains(body, "how many players") != games || strings.Contains(body, "What do you need?") == games {
			t.Errorf("%s: %s", host, body)
		}
	}
}

func TestCanonicalIsThePrimaryHost(t *testing.T) {
	w := tenancytest.New(t)
	open(t, w.DB(w.A), aurora())
	a := w.A
	a.PrimaryHost, a.Sandbox = "shop.example.com", true
	f := mustFront(t, w, a, w.B)
	if _, _, body := ask(t, f, "alpha.localhost", "/contact"); !strings.Contains(body, `rel="canonical" href="https://shop.example.com/contact"`) {
		t.Errorf("the canonical address is not on the primary host: %s", body)
	}
	if _, _, body := ask(t, f, "alpha.localhost", "/robots.txt"); !strings.Contains(body, "Disallow: /\n") {
		t.Errorf("a sandbox may be found: %s", body)
	}
}

func publish(t testing.TB, db *tenancy.DB, c branding.Content) {
	t.Helper()
	desk, by := branding.NewDesk([]string{"base", "aurora", "forge"}), branding.Actor{Actor: audit.System("test")}
	draft, err := desk.SaveDraft(context.Background(), db, branding.Edit{Content: c, By: by})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Publish(context.Background(), db, branding.PublishOrder{Revision: draft.Revision, By: by}); err != nil {
		t.Fatal(err)
	}
}

// dist is the folder of built bundles; nil when nothing was built.
func dist(t testing.TB) fs.FS {
	t.Helper()
	built, err := fs.Sub(themes.Dist, "dist")
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// mustAssets are the built bundles, or plain names where nothing was built: the
// words on a page do not depend on them.
func mustAssets(t testing.TB) *branding.Assets {
	t.Helper()
	a, err := branding.OpenAssets(dist(t))
	if errors.Is(err, branding.ErrNotBuilt) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}
