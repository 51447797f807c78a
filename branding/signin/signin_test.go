package signin_test

import (
	"bufio"
	"bytes"
	"context"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// town is two tenants and the console, served by the real front, themes and outbox.
type town struct {
	*tenancytest.World
	redis     *miniredis.Miniredis
	front     *surface.Front
	passwords *identity.Passwords
	letters   *letters
	dir       *directory
	sessions  *identity.Sessions
}

// letters passes mails on and remembers what they say.
type letters struct {
	next *mail.Outbox
	mu   sync.Mutex
	all  []mail.Message
}

func (l *letters) Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error {
	if err := l.next.Enqueue(ctx, tx, m); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, m)
	return nil
}

// last is the newest letter to an address; the test fails when there is none.
func (l *letters) last(t testing.TB, to, template string) mail.Message {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.all) - 1; i >= 0; i-- {
		if l.all[i].To == to && l.all[i].Template == template {
			return l.all[i]
		}
	}
	t.Fatalf("no %s was written to %s", template, to)
	return mail.Message{}
}

func (l *letters) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

type directory struct {
	mu sync.Mutex
	of map[string]tenancy.Tenant
}

func (d *directory) Lookup(host string) (tenancy.Tenant, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.of[host]
	return t, ok
}

func (d *directory) put(t tenancy.Tenant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of[t.PrimaryHost] = t
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustTown(t testing.TB) *town {
	t.Helper()
	w := tenancytest.New(t)
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	k, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(k)
	must(t, err)
	pw, err := identity.NewPasswords(4)
	must(t, err)
	pages, err := branding.LoadThemes(themes.Files, []string{"base"}, branding.Funcs(branding.FuncOptions{Now: w.Clock.Now}))
	must(t, err)
	tw := &town{World: w, redis: mr, passwords: pw, letters: &letters{next: mail.NewOutbox(ring)}, dir: &directory{of: map[string]tenancy.Tenant{}}}
	tw.dir.put(w.A)
	tw.dir.put(w.B)
	parts := signin.Parts{
		Passwords: pw, Sessions: identity.NewSessions(rdb, w.Clock.Now), Throttle: identity.NewThrottle(rdb, ring.DeriveKey("devices"), w.Clock.Now),
		Keys: ring, Clock: w.Clock.Now, Mail: tw.letters,
	}
	inTenant := func(c *fiber.Ctx) identity.Plane { return identity.InTenant(surface.DB(c)) }
	customers := &signin.Pages{
		Parts: parts, World: identity.Customer, Layout: "client", Home: "/client", Plane: inTenant,
		SignUp: func(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, p identity.Person, company string) error {
			return nil
		},
	}
	team := &signin.Pages{Parts: parts, World: identity.Reseller, Prefix: "/manage", Layout: "manage", Home: "/manage", Plane: inTenant}
	tw.sessions = parts.Sessions
	staff := &signin.Pages{Parts: parts, World: identity.Staff, Layout: "console", Home: "/", Plane: func(*fiber.Ctx) identity.Plane { return identity.InCentral(w.Central) }}
	hello := func(c *fiber.Ctx) error {
		p, _ := surface.Principal(c)
		return c.SendString("hello " + p.Email)
	}
	base := surface.Config{
		Themes: pages, Sessions: parts.Sessions, Central: w.Central, Log: slog.New(slog.DiscardHandler), Clock: w.Clock.Now,
		FormKey: ring.DeriveKey("forms"),
	}
	tenants, console := base, base
	tenants.Name = "tenant"
	tenants.Areas = []surface.Area{
		{Name: "shop", World: identity.Customer, SignIn: "/sign-in"},
		{Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in", MustTOTP: func(t tenancy.Tenant) bool { return t.RequireTOTP }},
	}
	tenants.Routes = append(append(team.Routes(), customers.Routes()...),
		surface.Route{Method: "GET", Path: "/", Needs: identity.Public, Handler: func(c *fiber.Ctx) error { return c.SendString("the shop") }},
		surface.Route{Method: "GET", Path: "/client", Needs: identity.SignedIn, Handler: hello},
		surface.Route{Method: "GET", Path: "/manage", Needs: identity.DashboardRead, Handler: hello},
		surface.Route{Method: "GET", Path: "/manage/team", Needs: identity.TeamManage, Handler: hello},
		surface.Route{Method: "POST", Path: "/manage/team", Needs: identity.TeamManage, Handler: hello},
	)
	console.Name = "console"
	console.Areas = []surface.Area{{Name: "console", World: identity.Staff, SignIn: "/sign-in", MustTOTP: func(tenancy.Tenant) bool { return true }}}
	console.Routes = append(staff.Routes(), surface.Route{Method: "GET", Path: "/", Needs: identity.ResellersRead, Handler: hello})
	ts, err := surface.New(tenants)
	must(t, err)
	cs, err := surface.New(console)
	must(t, err)
	tw.front = &surface.Front{Hosts: tw.dir, Pool: w.Pool, Tenants: ts, Console: cs, ConsoleHost: "console.localhost", Themes: pages, Log: base.Log}
	return tw
}

const goodPassword = "four words in a row"

func (tw *town) add(t testing.TB, plane identity.Plane, w identity.World, role identity.Role, email string) identity.Person {
	t.Helper()
	hash, err := tw.passwords.Hash(t.Context(), goodPassword)
	must(t, err)
	var p identity.Person
	must(t, plane.Update(t.Context(), func(tx tenancy.Statements) error {
		p, err = identity.People{World: w}.Add(t.Context(), tx, identity.NewPerson{Email: email, Name: "Ada Lovelace", Role: role, Verified: true}, hash)
		return err
	}))
	return p
}

func (tw *town) pass(d time.Duration) {
	tw.Clock.Advance(d)
	tw.redis.FastForward(d)
}

// browser keeps cookies and remembers the last page, as a person does.
type browser struct {
	t       testing.TB
	tw      *town
	host    string
	ip      string
	https   bool
	sni     string
	cookies map[string]string
	page    string
	status  int
	where   string // Location
	headers map[string]string
}

func (tw *town) browse(t testing.TB, host string) *browser {
	return &browser{t: t, tw: tw, host: host, ip: "192.0.2.1", cookies: map[string]string{}, headers: map[string]string{}}
}

// tlsConn is a connection that says it came by TLS for a name.
type tlsConn struct {
	net.Conn
	ip, sni string
}

func (c tlsConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.ip), Port: 1} }
func (c tlsConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }
func (c tlsConn) Handshake() error     { return nil }

func (b *browser) send(method, path string, form url.Values) *browser {
	b.t.Helper()
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(path)
	req.Header.SetHost(b.host)
	req.Header.SetUserAgent("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
	if method != "GET" {
		req.Header.SetContentType("application/x-www-form-urlencoded")
		req.SetBodyString(form.Encode())
		scheme := "http"
		if b.https {
			scheme = "https"
		}
		req.Header.Set("Origin", scheme+"://"+b.host)
	}
	for k, v := range b.headers {
		req.Header.Set(k, v)
		if v == "" {
			req.Header.Del(k)
		}
	}
	for k, v := range b.cookies {
		req.Header.SetCookie(k, v)
	}
	var ctx fasthttp.RequestCtx
	if b.https {
		ctx.Init2(tlsState{tlsConn{ip: b.ip, sni: b.sni}}, nil, true)
		req.CopyTo(&ctx.Request)
	} else {
		ctx.Init(&req, &net.TCPAddr{IP: net.ParseIP(b.ip), Port: 1}, nil)
	}
	b.tw.front.Handler()(&ctx)
	var out bytes.Buffer
	_, err := ctx.Response.WriteTo(&out)
	must(b.t, err)
	res, err := http.ReadResponse(bufio.NewReader(&out), nil)
	must(b.t, err)
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != b.https || strings.HasPrefix(c.Name, "__Host-") != b.https {
			b.t.Errorf("cookie %+v", c)
		}
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	must(b.t, err)
	b.page, b.status, b.where = body.String(), res.StatusCode, res.Header.Get("Location")
	return b
}

var tokenField = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

func (b *browser) get(path string) *browser { b.t.Helper(); return b.send("GET", path, nil) }

// post fills the form of the page in view: its token comes along.
func (b *browser) post(path string, fields ...string) *browser {
	b.t.Helper()
	form := url.Values{}
	if m := tokenField.FindStringSubmatch(b.page); m != nil {
		form.Set("_csrf", html.UnescapeString(m[1]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.send("POST", path, form)
}

func (b *browser) follow() *browser { b.t.Helper(); return b.get(b.where) }

// want fails the test unless the last answer was this.
func (b *browser) want(what string, status int, contains string) *browser {
	b.t.Helper()
	text := html.UnescapeString(b.page)
	if b.status != status || !strings.Contains(text+" "+b.where, contains) {
		b.t.Fatalf("%s: %d to %q, want %d and %q, in\n%s", what, b.status, b.where, status, contains, text)
	}
	return b
}

func (b *browser) signIn(prefix, email, password string) *browser {
	b.t.Helper()
	b.get(prefix + "/sign-in")
	return b.post(prefix+"/sign-in", "email", email, "password", password)
}

var secretField = regexp.MustCompile(`data-copy="([A-Z2-7 ]+)"`)

// setUp reads the secret off the page and answers with its code.
func (b *browser) setUp(path string) (secret string) {
	b.t.Helper()
	m := secretField.FindStringSubmatch(b.page)
	if m == nil {
		b.t.Fatalf("no secret on the page:\n%s", b.page)
	}
	b.post(path, "code", b.tw.code(b.t, m[1]))
	return m[1]
}

func (tw *town) code(t testing.TB, secret string) string {
	t.Helper()
	c, err := identity.CodeAt(secret, tw.Clock.Now())
	must(t, err)
	return c
}

var codeItem = regexp.MustCompile(`<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>`)

func TestStaffSetUpASecondFactorFirst(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InCentral(tw.Central), identity.Staff, identity.StaffAdmin, "root@ezscale.test")
	b := tw.browse(t, "console.localhost")
	b.get("/").want("not signed in", 303, "/sign-in")
	b.signIn("", "root@ezscale.test", goodPassword).want("password", 303, "/sign-in/set-up")
	b.get("/").want("half signed in", 303, "/sign-in")
	b.get("/sign-in").want("the sign-in page knows the step", 303, "/sign-in/set-up")
	b.follow().want("set up", 200, "data:image/png;base64,")
	b.post("/sign-in/set-up", "code", "000000").want("a wrong code", 422, "This code is not right")
	secret := b.setUp("/sign-in/set-up")
	b.want("recovery codes", 200, "I have saved them")
	codes := codeItem.FindAllStringSubmatch(b.page, -1)
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	b.get("/").want("signed in", 200, "hello root@ezscale.test")

	tw.pass(time.Minute)
	again := tw.browse(t, "console.localhost")
	again.signIn("", "root@ezscale.test", goodPassword).want("password", 303, "/sign-in/code")
	again.follow().want("code page", 200, "six digits")
	used := tw.code(t, secret)
	again.post("/sign-in/code", "code", used).want("code", 303, "/")
	again.get("/").want("signed in", 200, "hello")

	replay := tw.browse(t, "console.localhost")
	replay.signIn("", "root@ezscale.test", goodPassword).follow()
	replay.post("/sign-in/code", "code", used).want("the same code again", 422, "This code is not right")
	replay.get("/sign-in/code?recovery=1").want("recovery", 200, "Use a recovery code")
	replay.post("/sign-in/code", "recovery", codes[0][1]).want("recovery code", 303, "/")
	replay.get("/").want("signed in", 200, "hello")
	if got := tw.letters.last(t, "root@ezscale.test", mail.NewSignIn); got.Data["device"] != "Firefox on Linux" {
		t.Errorf("the owner reads %v", got.Data)
	}
	report, err := audit.InspectCentral(t.Context(), tw.Central)
	if err != nil || !report.Holds() || report.Entries != 2 {
		t.Errorf("trail: %+v, %v", report, err)
	}
	again.get("/security").want("security", 200, "9 recovery codes")
	again.post("/security/second-factor/remove").want("replace", 303, "/sign-in/set-up")
	again.get("/").want("nothing before a new one is set up", 303, "/sign-in")
}

func TestCookiesOfOthersOpenNothing(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	tw.add(t, identity.InTenant(tw.DB(tw.B)), identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Reseller, identity.ResellerDesign, "art@alpha.test")

	team := tw.browse(t, "alpha.localhost")
	team.signIn("/manage", "ada@alpha.test", goodPassword).want("team", 303, "/manage")
	team.get("/manage").want("team", 200, "hello ada@alpha.test")
	customer := tw.browse(t, "alpha.localhost")
	customer.signIn("", "cus@alpha.test", goodPassword).want("customer", 303, "/client")
	customer.get("/client").want("customer", 200, "hello cus@alpha.test")
	artist := tw.browse(t, "alpha.localhost")
	artist.signIn("/manage", "art@alpha.test", goodPassword)
	artist.get("/manage/team").want("without the permission", 403, "Your role does not include this")

	steal := func(from *browser, host, name, as string) *browser {
		b := tw.browse(t, host)
		b.cookies[as] = from.cookies[name]
		return b
	}
	for _, c := range []struct {
		name string
		b    *browser
		path string
	}{
		{"a team's cookie at another tenant", steal(team, "beta.localhost", "ez_reseller", "ez_reseller"), "/manage"},
		{"a customer's cookie at /manage", steal(customer, "alpha.localhost", "ez_customer", "ez_reseller"), "/manage"},
		{"a team's cookie in the client area", steal(team, "alpha.localhost", "ez_reseller", "ez_customer"), "/client"},
		{"a team's cookie at the console", steal(team, "console.localhost", "ez_reseller", "ez_staff"), "/"},
		{"a cookie of garbage", func() *browser {
			b := tw.browse(t, "alpha.localhost")
			b.cookies["ez_reseller"] = strings.Repeat("x", 3000)
			return b
		}(), "/manage"},
	} {
		c.b.get(c.path).want(c.name, 303, "/sign-in")
	}
	customer.get("/manage").want("a customer looks at /manage", 303, "/manage/sign-in")
	customer.signIn("/manage", "cus@alpha.test", goodPassword).want("a customer signs in at /manage", 422, "not right")
}

func TestSignInGivesANewSession(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "eve@alpha.test")
	attacker := tw.browse(t, "alpha.localhost")
	attacker.signIn("", "eve@alpha.test", goodPassword)
	victim := tw.browse(t, "alpha.localhost")
	victim.cookies["ez_customer"] = attacker.cookies["ez_customer"] // planted
	victim.get("/client").want("the planted session", 200, "hello eve@")
	victim.get("/sign-in").want("sends a signed-in person on", 303, "/client")
	victim.get("/client/../security")
	victim.page = "" // the victim's own form: the sign-in page of another tab
	victim.cookies["ez_customer"] = "planted-token-that-names-no-session"
	victim.signIn("", "cus@alpha.test", goodPassword).want("sign in", 303, "/client")
	if got := victim.cookies["ez_customer"]; got == "planted-token-that-names-no-session" || got == attacker.cookies["ez_customer"] {
		t.Fatal("the planted token became the victim's session")
	}
	attacker.get("/client").want("the attacker is still themselves", 200, "hello eve@")
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.signIn("/manage", "ada@alpha.test", goodPassword)
	page := b.get("/manage/security").want("a page with a form", 200, "_csrf").page
	try := func(name string, status int, contains string, headers map[string]string, fields ...string) {
		t.Helper()
		b.page, b.headers = page, headers
		b.post("/manage/team", fields...).want(name, status, contains)
		b.headers = map[string]string{}
	}
	try("our own form", 200, "hello", nil)
	try("no Origin, right token", 200, "hello", map[string]string{"Origin": ""})
	try("no Origin, no token", 403, "reload the page", map[string]string{"Origin": ""}, "_csrf", "")
	try("a foreign Origin, right token", 403, "another site", map[string]string{"Origin": "http://evil.test"})
	try("Origin null", 403, "another site", map[string]string{"Origin": "null"})
	try("the sibling tenant's Origin", 403, "another site", map[string]string{"Origin": "http://beta.localhost"})
	try("another port's Origin", 403, "another site", map[string]string{"Origin": "http://alpha.localhost:8443"})
	try("Sec-Fetch-Site: cross-site", 403, "another site", map[string]string{"Sec-Fetch-Site": "cross-site"})
	try("a wrong token", 403, "reload the page", nil, "_csrf", "wrong")
	try("htmx with the token in its header", 200, "hello", map[string]string{"X-Csrf-Token": html.UnescapeString(tokenField.FindStringSubmatch(page)[1])}, "_csrf", "")
	other := tw.browse(t, "alpha.localhost")
	other.get("/sign-in")
	stranger := tokenField.FindStringSubmatch(other.page)[1]
	try("a visitor's token", 403, "reload the page", nil, "_csrf", stranger)
	other.cookies = map[string]string{}
	other.post("/sign-in", "email", "x@y.test").want("a sign-in form without its cookie", 403, "reload the page")
	other.send("POST", "/sign-out", url.Values{}).want("signing out by a foreign page", 403, "reload")
}

func TestLettersNeverTellWhoIsKnown(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	answer := func(path string, fields ...string) string {
		b := tw.browse(t, "alpha.localhost")
		b.get(path)
		b.post(path, fields...).want(path, 200, "Look into your mail")
		return tokenField.ReplaceAllString(strings.ReplaceAll(strings.ReplaceAll(b.page, "cus@alpha.test", "X"), "new@alpha.test", "X"), "")
	}
	known, unknown := answer("/forgot", "email", "cus@alpha.test"), answer("/forgot", "email", "new@alpha.test")
	if stripToken(known) != stripToken(unknown) {
		t.Error("a forgotten password is answered differently for a known address")
	}
	if tw.letters.count() != 1 {
		t.Errorf("%d letters for one known address", tw.letters.count())
	}
	known, unknown = answer("/sign-up", "name", "N", "email", "cus@alpha.test"), answer("/sign-up", "name", "N", "email", "new@alpha.test")
	if stripToken(known) != stripToken(unknown) {
		t.Error("signing up is answered differently for a known address")
	}
	tw.letters.last(t, "cus@alpha.test", mail.AddressKnown)
	link := tw.letters.last(t, "new@alpha.test", mail.VerifyAddress).Data["link"]

	b := tw.browse(t, "alpha.localhost")
	b.get(link).want("a mail scanner opens the link", 200, "Choose your password")
	b.get(link).want("and the person", 200, "new@alpha.test")
	b.post(link, "password", "short").want("a short password", 422, "at least 10 characters")
	two := tw.browse(t, "alpha.localhost")
	two.get(link)
	b.post(link, "password", goodPassword).want("choose", 303, "/client")
	b.follow().want("signed in", 200, "hello new@alpha.test")
	two.post(link, "password", "somebody else's words").want("the second click", 410, "has been used")
	two.get(link).want("and again", 410, "has been used")
	tw.browse(t, "beta.localhost").get(link).want("at another tenant", 410, "has been used")
	tw.browse(t, "alpha.localhost").get("/link/other/"+strings.Repeat("a", 43)).want("another purpose", 404, "no such page")
	tw.browse(t, "alpha.localhost").get("/manage"+link).want("another world", 410, "has been used")
	for range 4 {
		answer("/forgot", "email", "cus@alpha.test")
	}
	if n := tw.letters.count(); n > 6 {
		t.Errorf("one address was written to %d times", n)
	}
}

func stripToken(page string) string {
	return regexp.MustCompile(`<meta name="csrf-token"[^>]*>`).ReplaceAllString(page, "")
}

func TestResetEndsSessionsAndKeepsTheSecondFactor(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.signIn("/manage", "ada@alpha.test", goodPassword)
	b.get("/manage/security/second-factor").want("set up", 200, "data:image/png")
	secret := b.setUp("/manage/security/second-factor")
	b.want("codes", 200, "I have saved them")
	b.get("/manage").want("still in", 200, "hello")

	thief := tw.browse(t, "alpha.localhost")
	thief.get("/manage/forgot")
	thief.post("/manage/forgot", "email", "ada@alpha.test").want("forgot", 200, "Look into your mail")
	link := tw.letters.last(t, "ada@alpha.test", mail.ResetPassword).Data["link"]
	if !strings.HasPrefix(link, "/manage/link/reset/") {
		t.Fatalf("link %q", link)
	}
	thief.get(link)
	thief.post(link, "password", "another good password").want("a new password still needs the code", 303, "/manage/sign-in/code")
	thief.get("/manage").want("without the code", 303, "/manage/sign-in")
	b.get("/manage").want("older sessions ended", 303, "/manage/sign-in")
	tw.pass(time.Minute)
	thief.get("/manage/sign-in/code")
	thief.post("/manage/sign-in/code", "code", tw.code(t, secret)).want("with the code", 303, "/manage")
	thief.follow().want("in", 200, "hello")
}

func TestARuleYoungerThanTheSession(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.signIn("/manage", "ada@alpha.test", goodPassword)
	b.get("/manage").want("before", 200, "hello")
	strict := tw.A
	strict.RequireTOTP = true
	tw.dir.put(strict)
	b.get("/manage").want("after", 303, "/manage/sign-in")
	b.follow().want("the step", 303, "/manage/sign-in/set-up")
	b.follow().want("set up", 200, "It takes a minute")
	b.setUp("/manage/sign-in/set-up")
	b.get("/manage").want("with a second factor", 200, "hello")
}

func TestARuleThatIsLifted(t *testing.T) {
	tw := mustTown(t)
	strict := tw.A
	strict.RequireTOTP = true
	tw.dir.put(strict)
	plane := identity.InTenant(tw.DB(tw.A))
	ada := tw.add(t, plane, identity.Reseller, identity.ResellerOwner, "ada@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.signIn("/manage", "ada@alpha.test", goodPassword)
	b.get("/manage").want("before", 303, "/manage/sign-in")
	b.get("/manage/sign-in/set-up").want("set up", 200, "It takes a minute")
	tw.dir.put(tw.A)
	b.get("/manage?x=1").want("after", 303, "/manage/sign-in")
	b.follow().want("the step", 303, "/manage/sign-in/set-up")
	b.follow().want("nothing to set up", 303, "/manage")
	b.get("/manage").want("in", 200, "hello")
	// Such a session lives as long as any other, and knows of no second factor.
	tw.pass(time.Hour)
	b.get("/manage").want("an hour later", 200, "hello")
	all, err := tw.sessions.List(t.Context(), identity.Reseller, tw.A.ID, ada.ID)
	must(t, err)
	if len(all) != 1 || all[0].SecondFactor {
		t.Errorf("%+v", all)
	}
	// Who has a second factor is asked for it, whatever the rule.
	tw.dir.put(strict)
	b.get("/manage").want("the rule is back", 303, "/manage/sign-in")
	b.get("/manage/sign-in/set-up").want("set up", 200, "It takes a minute")
	b.setUp("/manage/sign-in/set-up")
	tw.dir.put(tw.A)
	other := tw.browse(t, "alpha.localhost")
	other.signIn("/manage", "ada@alpha.test", goodPassword)
	other.get("/manage/sign-in/set-up").want("no way around the code", 303, "/manage/sign-in")
	other.get("/manage").want("still outside", 303, "/manage/sign-in")
}

func TestSecurityPage(t *testing.T) {
	tw := mustTown(t)
	p := tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	here, there := tw.browse(t, "alpha.localhost"), tw.browse(t, "alpha.localhost")
	here.signIn("", "cus@alpha.test", goodPassword)
	there.signIn("", "cus@alpha.test", goodPassword)
	here.get("/security").want("both sessions", 200, "End all others")
	here.post("/security/password", "current", "wrong", "password", "another good password").want("wrong present password", 422, "not your present password")
	here.get("/security")
	here.post("/security/password", "current", goodPassword, "password", "cus@alpha.test").want("the address as password", 422, "other than your e-mail")
	here.get("/security")
	here.post("/security/password", "current", goodPassword, "password", "another good password").want("changed", 303, "/security")
	here.follow().want("flash", 200, "Your password is changed")
	there.get("/client").want("the other session", 303, "/sign-in")
	there.signIn("", "cus@alpha.test", "another good password").want("the new password", 303, "/client")
	here.get("/security")
	here.post("/security/sessions/end-others").want("end others", 303, "/security")
	there.get("/client").want("ended", 303, "/sign-in")
	tw.pass(11 * time.Minute)
	here.get("/security/second-factor").want("not fresh", 303, "/security/prove?next=%2Fsecurity%2Fsecond-factor")
	here.follow()
	here.post("/security/prove", "current", "nonsense", "next", "/security/second-factor").want("wrong", 422, "not your present password")
	here.post("/security/prove", "current", "another good password", "next", "//evil.test").want("no way out", 303, "/security")
	here.get("/security/second-factor").want("fresh", 200, "data:image/png")
	must(t, tw.DB(tw.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return identity.People{World: identity.Customer}.Disable(t.Context(), tx, p.ID)
	}))
	here.get("/client").want("access withdrawn", 303, "/sign-in")
	here.get("/sign-in")
	here.post("/sign-out").want("signing out", 303, "/sign-in")
}

func TestRedisGoneAndBack(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.signIn("", "cus@alpha.test", goodPassword)
	page := b.get("/security").page
	tw.redis.Close()
	b.get("/").want("public pages", 200, "the shop")
	b.get("/client").want("pages for people", 503, "nothing is lost")
	b.page = page
	b.post("/security/sessions/end-others").want("a form", 503, "nothing is lost")
	fresh := tw.browse(t, "alpha.localhost")
	fresh.get("/sign-in").want("the sign-in page", 200, "Sign in")
	fresh.post("/sign-in", "email", "cus@alpha.test", "password", goodPassword).want("signing in", 503, "nothing is lost")
	must(t, tw.redis.Restart())
	b.get("/client").want("back", 200, "hello cus@alpha.test")
}

func TestEveryoneIsThrottledAlone(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	owner := tw.browse(t, "alpha.localhost")
	owner.signIn("", "cus@alpha.test", goodPassword)
	owner.get("/security")
	owner.post("/sign-out")
	attacker := tw.browse(t, "alpha.localhost")
	for range 9 {
		attacker.signIn("", "cus@alpha.test", "a wrong password")
	}
	attacker.want("after too many", 429, "wait a quarter of an hour")
	attacker.signIn("", "cus@alpha.test", goodPassword).want("even with the right one", 429, "wait")
	owner.signIn("", "cus@alpha.test", goodPassword).want("the owner behind the same address", 303, "/client")
}

func TestSecureCookiesAndNamesOfConnections(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	b := tw.browse(t, "alpha.localhost")
	b.https, b.sni = true, "alpha.localhost"
	b.signIn("", "cus@alpha.test", goodPassword).want("sign in", 303, "/client")
	b.get("/client").want("signed in", 200, "hello")
	b.sni = "beta.localhost"
	b.get("/client").want("a connection opened for another tenant", 421, "another site")
	b.sni = "nobody.test"
	b.get("/client").want("a connection opened for nobody", 421, "another site")
	plain := tw.browse(t, "alpha.localhost")
	plain.cookies = b.cookies
	plain.get("/client").want("the secure cookie on a plain connection", 303, "/sign-in")
	example := tw.A
	example.PrimaryHost = "shop.example"
	tw.dir.put(example)
	public := tw.browse(t, "shop.example")
	public.get("/sign-in")
	if len(public.cookies) != 0 {
		t.Errorf("a plain connection that can be listened to got cookies: %v", public.cookies)
	}
}

func TestNextNeverLeadsAway(t *testing.T) {
	tw := mustTown(t)
	tw.add(t, identity.InTenant(tw.DB(tw.A)), identity.Customer, identity.CustomerMember, "cus@alpha.test")
	for next, want := range map[string]string{
		"/security": "/security", "//evil.test": "/client", "https://evil.test": "/client", `/\evil.test`: "/client",
		"/a\r\nSet-Cookie: x=1": "/client", "": "/client", "/ok?a=1": "/ok?a=1", "\x00": "/client",
	} {
		b := tw.browse(t, "alpha.localhost")
		b.get("/sign-in")
		b.post("/sign-in", "email", "cus@alpha.test", "password", goodPassword, "next", next)
		if b.status != 303 || b.where != want {
			t.Errorf("%q leads to %d %q", next, b.status, b.where)
		}
	}
}

func TestDevice(t *testing.T) {
	for ua, want := range map[string]string{
		"":                                  "An unknown device",
		"Mozilla/5.0 (X11; Linux) Firefox/": "Firefox on Linux",
		"Mozilla/5.0 (iPhone) AppleWebKit/605 Version/17 Safari/604": "Safari on iPhone",
		"\x00": "a browser",
	} {
		if got := signin.Device(ua); got != want {
			t.Errorf("%q: %q", ua, got)
		}
	}
}
