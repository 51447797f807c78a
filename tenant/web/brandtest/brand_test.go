// Package brandtest tries the pages of the brand as a reseller's team would, through
// the real front, sign-in, themes and stores.
package brandtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"image"
	"image/png"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/web"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

const password = "four words in a row"

// street is a directory that reads the tenants as they are now.
type street struct {
	w  *tenancytest.World
	mu sync.Mutex
}

func (s *street) Lookup(host string) (tenancy.Tenant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range []tenancy.Tenant{s.w.A, s.w.B} {
		if t.PrimaryHost == host {
			err := s.w.Owner.QueryRow(context.Background(), "SELECT theme, brand_version, content_version FROM central.tenants WHERE id = $1", t.ID.Number()).
				Scan(&t.Theme, &t.BrandVersion, &t.ContentVersion)
			return t, err == nil
		}
	}
	return tenancy.Tenant{}, false
}

// flaky is a store that can be switched off.
type flaky struct {
	media.Store
	down bool
}

func (f *flaky) Put(ctx context.Context, key, kind string, b []byte) error {
	if f.down {
		return errors.New("connection refused")
	}
	return f.Store.Put(ctx, key, kind, b)
}

type shop struct {
	*tenancytest.World
	front *surface.Front
	store *flaky
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newShop(t *testing.T) *shop {
	t.Helper()
	w := tenancytest.New(t)
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	passwords, err := identity.NewPasswords(4)
	must(t, err)
	names := []string{"base", "aurora", "forge"}
	dist, err := fs.Sub(themes.Dist, "dist")
	must(t, err)
	assets, err := branding.OpenAssets(dist) // nil where nothing was built: the words do not depend on them
	if !errors.Is(err, branding.ErrNotBuilt) {
		must(t, err)
	}
	pages, err := branding.LoadThemes(themes.Files, names, branding.Funcs(branding.FuncOptions{Now: w.Clock.Now, Assets: assets}))
	must(t, err)
	dir, err := media.OpenDir(t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	s := &shop{World: w, store: &flaky{Store: dir}}
	desk := branding.NewDesk(names)
	site := &web.Site{Brands: desk, Media: media.NewLibrary(s.store, 0), SignIn: signin.Parts{
		Passwords: passwords, Sessions: identity.NewSessions(rdb, w.Clock.Now), Keys: ring, Clock: w.Clock.Now, Mail: mail.NewOutbox(ring),
		Throttle: identity.NewThrottle(rdb, ring.DeriveKey("devices"), w.Clock.Now),
	}}
	tenants, err := surface.New(surface.Config{
		Name: "tenant", Themes: pages, Assets: dist, Sessions: site.SignIn.Sessions, Central: w.Central, Log: slog.New(slog.DiscardHandler), Clock: w.Clock.Now,
		FormKey: ring.DeriveKey("forms"), BodyLimit: 8 << 20, Routes: site.Routes(), Site: site.Shown,
		Areas: []surface.Area{
			{Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in"},
			{Name: "client", Prefix: "/client", World: identity.Customer, SignIn: "/sign-in", Themed: true},
			{Name: "shop", World: identity.Customer, SignIn: "/sign-in", Themed: true},
		},
	})
	must(t, err)
	s.front = &surface.Front{Hosts: &street{w: w}, Pool: w.Pool, Tenants: tenants, Console: tenants, ConsoleHost: "console.localhost", Themes: pages, Log: slog.New(slog.DiscardHandler)}
	hash, err := passwords.Hash(t.Context(), password)
	must(t, err)
	for _, tenant := range []tenancy.Tenant{w.A, w.B} {
		for role, email := range map[identity.Role]string{identity.ResellerOwner: "ann@example.com", identity.ResellerAgent: "sue@example.com"} {
			must(t, w.DB(tenant).Update(t.Context(), func(tx *tenancy.Tx) error {
				_, err := identity.People{World: identity.Reseller}.Add(t.Context(), tx, identity.NewPerson{Email: email, Name: "Ann Lee", Role: role, Verified: true}, hash)
				return err
			}))
		}
	}
	return s
}

// visitor keeps cookies and the last page.
type visitor struct {
	t       *testing.T
	shop    *shop
	host    string
	cookies map[string]string
	htmx    bool
	page    string
	status  int
	where   string
	header  fasthttp.ResponseHeader
}

func (s *shop) browse(t *testing.T, of tenancy.Tenant) *visitor {
	return &visitor{t: t, shop: s, host: of.PrimaryHost, cookies: map[string]string{}}
}

func (s *shop) signIn(t *testing.T, of tenancy.Tenant, email string) *visitor {
	t.Helper()
	b := s.browse(t, of)
	b.get("/manage/sign-in").post("/manage/sign-in", "email", email, "password", password)
	if b.status != 303 {
		t.Fatalf("sign in: %d %s", b.status, b.page)
	}
	return b
}

func (b *visitor) send(method, path, kind, body string) *visitor {
	b.t.Helper()
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(path)
	req.Header.SetHost(b.host)
	if method != "GET" {
		req.Header.SetContentType(kind)
		req.SetBodyString(body)
		req.Header.Set("Origin", "http://"+b.host)
	}
	if b.htmx {
		req.Header.Set("HX-Request", "true")
	}
	for k, v := range b.cookies {
		req.Header.SetCookie(k, v)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil)
	b.shop.front.Handler()(&ctx)
	ctx.Response.Header.VisitAllCookie(func(_, v []byte) {
		var c fasthttp.Cookie
		if c.ParseBytes(v) == nil {
			b.cookies[string(c.Key())] = string(c.Value())
		}
	})
	b.page, b.status, b.where = string(ctx.Response.Body()), ctx.Response.StatusCode(), string(ctx.Response.Header.Peek("Location"))
	ctx.Response.Header.CopyTo(&b.header)
	return b
}

func (b *visitor) get(path string) *visitor { b.t.Helper(); return b.send("GET", path, "", "") }

var field = regexp.MustCompile(`name="(_csrf|revision|published)" value="([^"]*)"`)

// post sends the form of the page in view: its hidden fields come along.
func (b *visitor) post(path string, fields ...string) *visitor {
	b.t.Helper()
	form := url.Values{}
	for _, m := range field.FindAllStringSubmatch(b.page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send("POST", path, "application/x-www-form-urlencoded", form.Encode())
}

func (b *visitor) upload(purpose, name, kind string, file []byte) *visitor {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, m := range field.FindAllStringSubmatch(b.page, -1) {
		if m[1] == "_csrf" {
			must(b.t, w.WriteField("_csrf", html.UnescapeString(m[2])))
			break
		}
	}
	must(b.t, w.WriteField("purpose", purpose))
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}, "Content-Type": {kind}})
	must(b.t, err)
	_, err = part.Write(file)
	must(b.t, err)
	must(b.t, w.Close())
	return b.send("POST", "/manage/brand/pictures", w.FormDataContentType(), body.String())
}

func (b *visitor) want(what string, status int, contains string) *visitor {
	b.t.Helper()
	text := html.UnescapeString(b.page)
	if b.status != status || !strings.Contains(text+" "+b.where, contains) {
		b.t.Fatalf("%s: %d to %q, want %d and %q, in\n%s", what, b.status, b.where, status, contains, text)
	}
	return b
}

func aPNG(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, 20, 10))))
	return b.Bytes()
}

func TestADraftIsSeenOnlyByItsTeamUntilItIsPublished(t *testing.T) {
	s := newShop(t)
	ann, other := s.signIn(t, s.A, "ann@example.com"), s.signIn(t, s.B, "ann@example.com")
	visitor := s.browse(t, s.A)

	ann.get("/manage/brand").want("the page", 200, "Nothing is published yet")
	if csp := string(ann.header.Peek("Content-Security-Policy")); !strings.Contains(csp, "frame-src 'self'") {
		t.Errorf("policy %s", csp)
	}
	ann.post("/manage/brand", "theme", "aurora", "brand", "#ffe14d", "headline", "Servers with manners", "facts", "Since: 2019", "questions", "Is it fast?\nYes.",
		"custom_css", "h1 { letter-spacing: 0 }").want("save", 303, "/manage/brand")
	ann.get("/manage/brand").want("the draft", 200, "Adjusted so that everybody can read it").want("the draft", 200, "#ffe14d").want("the draft", 200, "Since: 2019")
	visitor.get("/")
	if strings.Contains(visitor.page, "Servers with manners") {
		t.Error("a visitor sees the draft")
	}
	ann.get("/manage/brand/preview").want("the frame", 200, "Servers with manners")
	if csp := string(ann.header.Peek("Content-Security-Policy")); !strings.Contains(csp, "frame-ancestors 'self'") || string(ann.header.Peek("Cache-Control")) != "no-store" {
		t.Errorf("the frame: policy %s", csp)
	}
	visitor.get("/manage/brand/preview")
	if visitor.status == 200 {
		t.Error("a visitor sees the frame")
	}

	ann.get("/manage/brand").post("/manage/brand/preview-link").want("a link", 200, "/preview/")
	link := regexp.MustCompile(`/preview/[A-Za-z0-9_-]+`).FindString(ann.page)
	visitor.get(link).want("the link", 200, "Servers with manners")
	if string(visitor.header.Peek("X-Robots-Tag")) != "noindex, nofollow" || string(visitor.header.Peek("Cache-Control")) != "no-store" {
		t.Errorf("the preview may be kept: %s", visitor.header.String())
	}
	s.browse(t, s.B).get(link).want("the link at another shop", 404, "")
	s.browse(t, s.A).get("/preview/%00%ff").want("garbage", 404, "")

	ann.get("/manage/brand").post("/manage/brand/publish", "note", "First").want("publish", 303, "/manage/brand")
	visitor.get("/").want("the shop", 200, "Servers with manners")
	sheet := regexp.MustCompile(`/brand/[0-9a-f]{32}\.css`).FindString(visitor.page)
	visitor.get(sheet).want("the stylesheet", 200, ".ez-shop h1{letter-spacing:0;}")
	if cc := string(visitor.header.Peek("Cache-Control")); !strings.Contains(cc, "immutable") {
		t.Errorf("the stylesheet is kept as %q", cc)
	}
	s.browse(t, s.B).get(sheet).want("the stylesheet at another shop", 404, "")
	visitor.get(link).want("the link after publishing", 404, "does not work any more")
	other.get("/manage/brand").want("the other team", 200, "Nothing is published yet")
	other.get("/manage/brand/history/1").want("the other's version", 404, "")
	other.get("/manage/brand").post("/manage/brand/history/1/rollback", "published", "0").want("the other's rollback", 404, "")

	ann.get("/manage/brand").post("/manage/brand", "theme", "forge", "headline", "Louder").get("/manage/brand").post("/manage/brand/publish").want("publish again", 303, "")
	ann.get("/manage/brand/history").want("history", 200, "First")
	ann.get("/manage/brand/history/1").want("a version", 200, "What going back would change").post("/manage/brand/history/1/rollback").want("back", 303, "history")
	visitor.get("/").want("the shop", 200, "Servers with manners")
}

func TestWhatIsWrongIsSaidAtItsFieldAndNothingTypedIsLost(t *testing.T) {
	s := newShop(t)
	ann := s.signIn(t, s.A, "ann@example.com")
	wrong := []string{"theme", "base", "brand", "red", "headline", "Kept words", "facts", "no colon", "custom_css", "p{}\n@import 'x';", "sender_email", "a@b.c\r\nBcc: e@x.y"}
	ann.get("/manage/brand").post("/manage/brand", wrong...).want("facts first", 422, "as Name: value").want("kept", 422, "Kept words")
	wrong[7] = "Since: 2019"
	ann.post("/manage/brand", wrong...).want("the colour", 422, "six digits").want("the CSS", 422, "Line 2: @import is not allowed").want("the address", 422, "such as hello@example.com").want("kept", 422, "Kept words")
	ann.htmx = true
	ann.get("/manage/brand").post("/manage/brand", wrong...).want("quietly", 200, "Custom CSS: Line 2").want("quietly", 200, "Not saved")
	ann.get("/manage/brand").post("/manage/brand", "theme", "base", "headline", "\x00\xff").want("garbage", 200, "Headline: ")
	ann.get("/manage/brand").post("/manage/brand", "theme", "base", "headline", "Fine").want("saved quietly", 200, "Draft, save 1")
	ann.htmx = false
	ann.get("/manage/brand").want("the draft", 200, "Fine").post("/manage/brand/publish", "revision", "x").want("a revision that is none", 409, "")
}

func TestTwoPeopleAtOnceAreToldWhatDiffers(t *testing.T) {
	s := newShop(t)
	ann, bob := s.signIn(t, s.A, "ann@example.com"), s.signIn(t, s.A, "ann@example.com")
	ann.get("/manage/brand").post("/manage/brand", "theme", "base", "headline", "One").get("/manage/brand")
	bob.get("/manage/brand").post("/manage/brand", "theme", "base", "headline", "Two").want("bob", 303, "")
	ann.post("/manage/brand", "theme", "base", "headline", "Three").want("ann", 409, "while you were editing it").want("hers", 409, "Three").want("his", 409, "Two")
	ann.post("/manage/brand", "theme", "base", "headline", "Three").want("ann keeps hers", 303, "")
	first, second := s.signIn(t, s.A, "ann@example.com"), s.signIn(t, s.A, "ann@example.com")
	first.get("/manage/brand")
	second.get("/manage/brand")
	first.post("/manage/brand/publish").want("first", 303, "")
	second.post("/manage/brand/publish").want("second", 409, "published this brand a moment ago")
}

func TestPicturesOfThePage(t *testing.T) {
	s := newShop(t)
	ann := s.signIn(t, s.A, "ann@example.com")
	ann.get("/manage/brand").upload("logo", "logo.png", "image/png", aPNG(t)).want("a logo", 303, "")
	ann.get("/manage/brand")
	path := regexp.MustCompile(`/media/[0-9a-f-]{36}/[0-9a-f]{64}\.png`).FindString(ann.page)
	visitor := s.browse(t, s.A)
	visitor.get(path).want("the picture", 200, "PNG")
	for name, want := range map[string]string{"Content-Security-Policy": media.Policy, "X-Content-Type-Options": "nosniff", "Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable"} {
		if got := string(visitor.header.Peek(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s.browse(t, s.B).get(path).want("the picture at another shop", 404, "")
	id := strings.Split(path, "/")[2]
	b := s.signIn(t, s.B, "ann@example.com")
	b.get("/manage/brand").want("the other team's page", 200, "None yet.")
	if strings.Contains(b.page, id) {
		t.Error("the other team sees the picture")
	}
	ann.upload("logo", "logo.png", "image/png", []byte("<script>alert(1)</script>")).want("a page", 422, "is not a PNG, JPEG, WebP or SVG")
	ann.upload("favicon", "i.svg", "image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`)).want("a script", 422, "<script>")
	ann.upload("hat", "logo.png", "image/png", aPNG(t)).want("no such purpose", 422, "")
	s.store.down = true
	ann.upload("favicon", "i.png", "image/png", aPNG(t)).want("the store is down", 503, "Nothing is lost")
	s.store.down = false
	ann.get("/manage/brand").post("/manage/brand/pictures", "purpose", "logo", "remove", "1").want("removed", 303, "")
	ann.get("/manage/brand")
	if strings.Contains(ann.page, path) {
		t.Error("the logo is still in the draft")
	}
}

func TestSupportMayLookAndNotTouch(t *testing.T) {
	s := newShop(t)
	sue := s.signIn(t, s.A, "sue@example.com")
	sue.get("/manage/brand")
	allowed := sue.status == 200
	if allowed && strings.Contains(sue.page, "Save draft") {
		t.Error("a button that would be refused is shown")
	}
	for _, path := range []string{"/manage/brand", "/manage/brand/publish", "/manage/brand/pictures", "/manage/brand/discard", "/manage/brand/preview-link", "/manage/brand/history/1/rollback"} {
		sue.get("/manage/security")
		if sue.post(path, "theme", "base"); sue.status != 403 {
			t.Errorf("POST %s: %d", path, sue.status)
		}
	}
}
