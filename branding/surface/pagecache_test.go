package surface_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// kiosk is a front with a page cache whose handlers count how often they are asked.
type kiosk struct {
	*surface.Front
	cache  *surface.PageCache
	made   atomic.Int64
	broken atomic.Bool   // handlers fail
	gate   chan struct{} // when not nil, handlers wait for it
	hosts  hosts
}

func openKiosk(t testing.TB, maxBytes int64) *kiosk {
	t.Helper()
	k := &kiosk{cache: surface.NewPageCache(surface.PageCacheConfig{
		Paths: []string{"/", "/products/*", "/missing", "/cookie", "/form", "/big*"}, Query: []string{"page"}, Ignored: []string{"utm_source"}, MaxBytes: maxBytes,
	})}
	page := func(c *fiber.Ctx) error {
		n := k.made.Add(1)
		if k.gate != nil {
			<-k.gate
		}
		if k.broken.Load() {
			return errors.New("the database is away")
		}
		t, _ := surface.Tenant(c)
		c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
		return c.SendString(fmt.Sprintf("%s %s%s page %q make %d", t.Slug, surface.BaseURL(c), c.Path(), c.Query("page"), n))
	}
	get := func(path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: "GET", Path: path, Needs: identity.Public, Handler: h}
	}
	cfg := ground
	cfg.Cache = k.cache.CachePages
	cfg.Routes = []surface.Route{
		get("/", page), get("/products/:p", page), get("/private", page),
		get("/missing", func(*fiber.Ctx) error { k.made.Add(1); return fault.New(fault.NotFound, "test.missing", "No.") }),
		get("/cookie", func(c *fiber.Ctx) error { c.Cookie(&fiber.Cookie{Name: "x", Value: "y"}); return page(c) }),
		get("/form", func(c *fiber.Ctx) error { k.made.Add(1); return c.SendString(surface.FormToken(c)) }),
		get("/big/:n", func(c *fiber.Ctx) error { k.made.Add(1); return c.SendString(strings.Repeat("x", 3000)) }),
	}
	of := func(n int64, slug string) tenancy.Tenant {
		return tenancy.Tenant{ID: mustID(t, n), Slug: slug, Name: slug, Status: tenancy.Active, Theme: "base", Locale: "en", Currency: "EUR", ContentVersion: 1}
	}
	k.hosts = hosts{"nimbus.localhost": of(1, "nimbus"), "shop.nimbus.localhost": of(1, "nimbus"), "forge.localhost": of(2, "forge")}
	k.Front = &surface.Front{Hosts: k.hosts, Pool: mustPool(t), Tenants: mustSurface(t, cfg), Log: ground.Log}
	return k
}

// get asks for a path of a host, with more header lines, and returns what came and
// whether a handler was asked.
func (k *kiosk) get(t testing.TB, host, path string, headers ...string) (res *http.Response, text string, made bool) {
	t.Helper()
	before := k.made.Load()
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	res = ask(t, k.Front, "192.0.2.1", request+"\r\n")
	return res, body(t, res), k.made.Load() != before
}

func (k *kiosk) change(host string, f func(*tenancy.Tenant)) {
	t := k.hosts[host]
	f(&t)
	k.hosts[host] = t
}

func TestPageCache(t *testing.T) {
	k := openKiosk(t, 0)
	_, first, _ := k.get(t, "nimbus.localhost", "/")
	for _, test := range []struct {
		name, host, path string
		headers          []string
		made             bool // a handler was asked
		same             bool // the text is the first one's
	}{
		{"the same page again", "nimbus.localhost", "/", nil, false, true},
		{"spelled differently", "NIMBUS.LocalHost.", "/", nil, false, true},
		{"with what says where a visitor came from", "nimbus.localhost", "/?utm_source=mail", nil, false, true},
		{"another path", "nimbus.localhost", "/products/a", nil, true, false},
		{"another page of a list", "nimbus.localhost", "/?page=2", nil, true, false},
		{"the same page of the list", "nimbus.localhost", "/?page=2", nil, false, false},
		{"a parameter nobody knows", "nimbus.localhost", "/?x=1", nil, true, false},
		{"it again: it is not kept", "nimbus.localhost", "/?x=1", nil, true, false},
		{"a path that pretends to be a list's page", "nimbus.localhost", "/products/a%00page=2", nil, true, false},
		{"another tenant", "forge.localhost", "/", nil, true, false},
		{"another host of the tenant, whose address it names", "shop.nimbus.localhost", "/", nil, true, false},
		{"another port", "nimbus.localhost:8080", "/", nil, true, false},
		{"somebody signed in", "nimbus.localhost", "/", []string{"Cookie: ez_customer=" + strings.Repeat("a", 40)}, true, false},
		{"a program with a token", "nimbus.localhost", "/", []string{"Authorization: Bearer x"}, true, false},
		{"a fragment", "nimbus.localhost", "/", []string{"HX-Request: true"}, true, false},
		{"a page that is not public", "nimbus.localhost", "/private", nil, true, false},
		{"a page that is not public, again", "nimbus.localhost", "/private", nil, true, false},
		{"the first page is still there", "nimbus.localhost", "/", nil, false, true},
		{"with a cookie that is nobody's session", "nimbus.localhost", "/", []string{"Cookie: theme=dark"}, false, true},
	} {
		res, text, made := k.get(t, test.host, test.path, test.headers...)
		if made != test.made || (text == first) != test.same || res.StatusCode != 200 {
			t.Errorf("%s: %d %q, made: %v; the first was %q", test.name, res.StatusCode, text, made, first)
		}
	}
	if res, _, _ := k.get(t, "nimbus.localhost", "/"); res.Header.Get("Content-Security-Policy") == "" || res.Header.Get("X-Request-Id") == "" ||
		res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("a page from memory lost headers: %v", res.Header)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	k := openKiosk(t, 0)
	for _, path := range []string{"/missing", "/cookie", "/form"} {
		k.get(t, "nimbus.localhost", path)
		if _, _, made := k.get(t, "nimbus.localhost", path); !made {
			t.Errorf("%s was kept", path)
		}
	}
	// A visitor's form token is theirs: nobody is shown a page with it.
	res, token, _ := k.get(t, "nimbus.localhost", "/form")
	cookie := strings.SplitN(res.Header.Get("Set-Cookie"), ";", 2)[0]
	if cookie == "" || token == "" {
		t.Fatal("no token")
	}
	if _, other, made := k.get(t, "nimbus.localhost", "/form", "Cookie: "+cookie); !made || other == "" {
		t.Error("a page with a token came from memory")
	}
	if s := k.cache.Stats(); s.Pages != 0 {
		t.Errorf("kept: %+v", s)
	}
}

func TestVersionsAndTags(t *testing.T) {
	k := openKiosk(t, 0)
	res, first, _ := k.get(t, "nimbus.localhost", "/")
	tag := res.Header.Get("ETag")
	if tag == "" || res.Header.Get("Cache-Control") != "private, no-cache" {
		t.Fatalf("%v", res.Header)
	}
	for _, have := range []string{tag, `"other", W/` + tag, "*"} {
		if res, text, made := k.get(t, "nimbus.localhost", "/", "If-None-Match: "+have); res.StatusCode != 304 || text != "" || made {
			t.Errorf("If-None-Match %s: %d %q", have, res.StatusCode, text)
		}
	}
	if res, _, _ := k.get(t, "nimbus.localhost", "/", `If-None-Match: "other"`); res.StatusCode != 200 {
		t.Error(res.StatusCode)
	}
	for name, f := range map[string]func(*tenancy.Tenant){
		"content":  func(t *tenancy.Tenant) { t.ContentVersion++ },
		"brand":    func(t *tenancy.Tenant) { t.BrandVersion++ },
		"language": func(t *tenancy.Tenant) { t.Locale = "de" },
		"currency": func(t *tenancy.Tenant) { t.Currency = "USD" },
	} {
		k.change("nimbus.localhost", f)
		res, text, made := k.get(t, "nimbus.localhost", "/")
		if !made || text == first || res.Header.Get("ETag") == tag {
			t.Errorf("a change of the %s does not show", name)
		}
		if _, _, made := k.get(t, "nimbus.localhost", "/"); made {
			t.Errorf("after a change of the %s the page is not kept", name)
		}
	}
	if s := k.cache.Stats(); s.Pages != 3 { // one for each language and currency; versions replace each other
		t.Errorf("%+v", s)
	}
}

// TestAPageIsItsKeysOnly: a page that lies where another key leads is not that key's.
func TestAPageIsItsKeysOnly(t *testing.T) {
	k := openKiosk(t, 0)
	for round := range 2 {
		for _, host := range []string{"nimbus.localhost", "forge.localhost"} {
			_, text, made := k.get(t, host, "/")
			if slug, _, _ := strings.Cut(host, "."); !made || !strings.HasPrefix(text, slug+" ") {
				t.Errorf("round %d: %s is shown %q, made: %v", round, host, text, made)
			}
			if _, again, made := k.get(t, host, "/"); made || again != text {
				t.Errorf("round %d: %s is shown %q, and then %q", round, host, text, again)
			}
		}
		if !k.cache.Swap() {
			t.Fatal("there are not two pages")
		}
	}
}

func TestPagesFromMemoryAreCompressed(t *testing.T) {
	k := openKiosk(t, 0)
	plain, text, _ := k.get(t, "nimbus.localhost", "/big/1")
	if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Cookie, Accept-Encoding" {
		t.Fatalf("%v", plain.Header)
	}
	packed, short, made := k.get(t, "nimbus.localhost", "/big/1", "Accept-Encoding: br, gzip, deflate")
	z, err := gzip.NewReader(strings.NewReader(short))
	if err != nil || made || packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
		t.Fatal(err, made, packed.Header)
	}
	if read, err := io.ReadAll(z); err != nil || string(read) != text || len(short) > len(text)/4 {
		t.Errorf("%d bytes of %d: %v", len(short), len(text), err)
	}
	tags := []string{plain.Header.Get("ETag"), packed.Header.Get("ETag")}
	if tags[0] == tags[1] || tags[1] == "" {
		t.Errorf("two forms of a page, tags %q", tags)
	}
	for _, tag := range tags {
		res, text, _ := k.get(t, "nimbus.localhost", "/big/1", "Accept-Encoding: gzip", "If-None-Match: "+tag)
		if res.StatusCode != 304 || text != "" || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", tag, res.StatusCode, res.Header)
		}
	}
	for name, ask := range map[string][]string{
		"/big/1":   {"Accept-Encoding: gzip;q=0, identity"},
		"/":        {"Accept-Encoding: gzip", `If-None-Match: , "other"`}, // too short to gain by it
		"/private": {"Accept-Encoding: gzip"},
	} {
		if res, _, _ := k.get(t, "nimbus.localhost", name, ask...); res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s %v: %d %v", name, ask, res.StatusCode, res.Header)
		}
	}
}

func TestTheLastPageIsShownWhileWeAreDown(t *testing.T) {
	k := openKiosk(t, 0)
	_, first, _ := k.get(t, "nimbus.localhost", "/")
	k.broken.Store(true)
	if res, text, made := k.get(t, "nimbus.localhost", "/"); made || text != first || res.StatusCode != 200 {
		t.Error("a page that is still good was made anew")
	}
	k.change("nimbus.localhost", func(t *tenancy.Tenant) { t.ContentVersion++ })
	res, text, made := k.get(t, "nimbus.localhost", "/")
	if !made || text != first || res.StatusCode != 200 || res.Header.Get("Warning") == "" {
		t.Errorf("%d %q", res.StatusCode, text)
	}
	if res, _, _ := k.get(t, "nimbus.localhost", "/products/never-seen"); res.StatusCode != 500 {
		t.Error("a page we never had: ", res.StatusCode)
	}
	if res, text, _ := k.get(t, "forge.localhost", "/"); res.StatusCode != 500 || strings.Contains(text, "nimbus") {
		t.Error("another tenant's page was shown")
	}
	k.broken.Store(false)
	if _, text, _ := k.get(t, "nimbus.localhost", "/"); text == first {
		t.Error("the old page stays after we are back")
	}
}

func TestAStampedeMakesAPageOnce(t *testing.T) {
	k := openKiosk(t, 0)
	k.gate = make(chan struct{})
	var visitors sync.WaitGroup
	texts := make(chan string, 50)
	for range 50 {
		visitors.Go(func() {
			_, text, _ := k.get(t, "nimbus.localhost", "/")
			texts <- text
		})
	}
	for k.cache.Stats().Misses < 50 {
		time.Sleep(time.Millisecond)
	}
	close(k.gate)
	visitors.Wait()
	close(texts)
	if n := k.made.Load(); n > 2 { // one, or two when the last came between the end of making and its keeping
		t.Errorf("50 visitors had the page made %d times", n)
	}
	for text := range texts {
		if !strings.HasPrefix(text, "nimbus ") {
			t.Errorf("a visitor got %q", text)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	const room = 256 << 10
	k := openKiosk(t, room)
	for n := range 500 {
		k.get(t, "nimbus.localhost", fmt.Sprintf("/big/%d", n))
	}
	s := k.cache.Stats()
	if s.Bytes > room || s.Pages < 10 || s.Pages > 100 {
		t.Errorf("%+v", s)
	}
	if _, _, made := k.get(t, "nimbus.localhost", "/big/499"); made {
		t.Error("the newest page is gone")
	}
}

// index is a directory over the central schema, as small as the test needs.
type index struct{ central *tenancy.Central }

func (d index) Load(ctx context.Context) (tenancy.Snapshot, error) {
	var snap tenancy.Snapshot
	err := d.central.View(ctx, func(tx *tenancy.CentralTx) error {
		var rows []struct {
			ID             tenancy.ID
			Slug           string
			ContentVersion int64
		}
		err := tx.NewRaw("SELECT id, slug, content_version FROM tenants").Scan(ctx, &rows)
		for _, r := range rows {
			snap.Entries = append(snap.Entries, tenancy.Entry{Host: r.Slug + ".test", Tenant: tenancy.Tenant{
				ID: r.ID, Slug: r.Slug, Status: tenancy.Active, Theme: "base", Locale: "en", ContentVersion: r.ContentVersion}})
		}
		return err
	})
	return snap, err
}

func (d index) Tenant(ctx context.Context, id tenancy.ID) (found []tenancy.Entry, err error) {
	snap, err := d.Load(ctx)
	for _, e := range snap.Entries {
		if e.Tenant.ID == id {
			found = append(found, e)
		}
	}
	return found, err
}

func (d index) Changes(ctx context.Context, _ string) (ids []tenancy.ID, next string, err error) {
	snap, err := d.Load(ctx)
	for _, e := range snap.Entries {
		ids = append(ids, e.Tenant.ID)
	}
	return ids, "", err
}

// TestAChangeShowsOnEveryNode: two nodes, each with its own memory of hosts and pages,
// over one database and without notifications.
func TestAChangeShowsOnEveryNode(t *testing.T) {
	w := tenancytest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	queries := new(atomic.Int64)
	node := func() *surface.Front {
		r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: index{w.Central}, Poll: 10 * time.Millisecond})
		if err := r.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = r.Run(ctx) })
		cfg := ground
		cfg.Cache = surface.NewPageCache(surface.PageCacheConfig{Paths: []string{"/"}}).CachePages
		cfg.Routes = []surface.Route{{Method: "GET", Path: "/", Needs: identity.Public, Handler: func(c *fiber.Ctx) error {
			queries.Add(1)
			var names string
			err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
				return tx.NewRaw("SELECT coalesce(string_agg(name, ','), 'nobody') FROM accounts").Scan(c.UserContext(), &names)
			})
			if err != nil {
				return err
			}
			return c.SendString(names)
		}}}
		return &surface.Front{Hosts: r, Pool: w.Pool, Tenants: mustSurface(t, cfg), Log: ground.Log}
	}
	nodes := []*surface.Front{node(), node()}
	show := func(f *surface.Front, host string) string {
		return body(t, ask(t, f, "192.0.2.1", "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"))
	}
	for range 3 {
		for _, f := range nodes {
			if got := show(f, "alpha.test") + show(f, "beta.test"); got != "nobodynobody" {
				t.Fatal(got)
			}
		}
	}
	if n := queries.Load(); n != 4 {
		t.Errorf("12 visits asked the database %d times, want once a node and tenant", n)
	}
	err := w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (gen_random_uuid(), 'Ada', 'EUR', ?, ?)", tx.Now(), tx.Now()).Exec(ctx)
		return errors.Join(err, tx.TouchSite(ctx, ""))
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range nodes {
		for end := time.Now().Add(20 * time.Second); show(f, "alpha.test") != "Ada"; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("node %d never shows the change", i)
			}
		}
		if got := show(f, "beta.test"); got != "nobody" {
			t.Errorf("beta shows %s", got)
		}
	}
	if n := queries.Load(); n != 6 {
		t.Errorf("the change asked the database %d times, want once a node", n-4)
	}
}
