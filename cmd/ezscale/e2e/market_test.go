package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/input"
	"github.com/go-rod/rod/lib/proto"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// both judges what the tab shows at each width, without loading it again.
func both(tab *browser.Page, name string) {
	for _, width := range []browser.View{browser.Phone, browser.Desktop} { // it ends as the flows are walked
		tab.Look(width)
		see(tab, name)
	}
}

// come signs somebody of the guide in and returns their tab and where their pages begin.
func come(t *testing.T, g guide, drive *browser.Browser, world, tenant string) (*browser.Page, string) {
	t.Helper()
	who := g.login(t, world, tenant)
	return enter(t, drive, who), strings.TrimSuffix(who.URL, "/sign-in")
}

// inside are the cookies of who signed in already: a code is good once and for half a
// minute, so that nobody waits for the next.
var inside sync.Map

// enter opens somebody's first page, in the session they have or a new one.
func enter(t *testing.T, drive *browser.Browser, who login) *browser.Page {
	t.Helper()
	tab := drive.Page(t, who.URL, browser.Desktop)
	if kept, ok := inside.Load(who.URL + who.Email); ok {
		must(t, tab.SetCookies(proto.CookiesToParams(kept.([]*proto.NetworkCookie))))
		tab.Go(who.URL) // who is signed in is led on
		return tab
	}
	signIn(t, tab, who)
	cookies, err := tab.Cookies(nil)
	must(t, err)
	inside.Store(who.URL+who.Email, cookies)
	return tab
}

// await is for what a platform has to do first.
func await(t *testing.T, tab *browser.Page, selector, text string) {
	t.Helper()
	if _, err := tab.Timeout(patience).ElementR(selector, text); err != nil {
		t.Fatalf("%s never says %s: %v\n%s", selector, text, err, tab.Text("main"))
	}
}

// choose picks an option of a select by its value.
func choose(t *testing.T, tab *browser.Page, name, value string) {
	t.Helper()
	e, err := tab.Timeout(patience).Element(`select[name="` + name + `"]`)
	must(t, err)
	must(t, e.Select([]string{`[value="` + value + `"]`}, true, rod.SelectorTypeCSSSector))
}

// lookAfter is the shop's owner after a sale: they find the order, suspend and release
// the service, give a part of the money back, and sell something new.
func lookAfter(t *testing.T, g guide, drive *browser.Browser, s *stranger) {
	tab, manage := come(t, g, drive, "reseller", "nimbus")
	both(tab, "manage_dashboard")
	tab.Go(manage + "/orders?q=" + strings.ReplaceAll(s.name, " ", "+"))
	tab.Follow("tbody th a")
	tab.Wait("main", "is paid")
	both(tab, "manage_order")
	order := tab.MustInfo().URL

	tab.Follow(`main a[href^="/manage/services/"]`)
	tab.Wait("main .timeline", "Renamed from")
	both(tab, "manage_service")
	tab.Fill("reason", "Too much mail from it")
	tab.Follow(`form[action$="/suspend"] button`)
	await(t, tab, "main .status", "Suspended")
	see(tab, "manage_service_suspended")
	tab.Follow(`form[action$="/release"] button`)
	await(t, tab, "main .status", "Running")

	tab.Go(order)
	tab.Follow(`main a[href^="/manage/invoices/"]`)
	both(tab, "manage_invoice")
	tab.Fill("refund_amount", "3.00")
	tab.Fill("refund_reason", "Slow on the first day")
	tab.Follow(`form[action$="/refund"] button[type="submit"]`)
	tab.Wait("main", "CN-")
	tab.Wait("main", `\$3\.00`)
	both(tab, "manage_refunded")
	tab.Go(order)
	tab.Follow(`main a[href^="/manage/customers/"]`)
	both(tab, "manage_customer")

	tab.Go(manage + "/settings/payments")
	tab.Follow(`form[action$="/stripe/check"] button`)
	tab.Wait("main .status", "^Works")
	both(tab, "manage_payments_tested")
	ownWords(tab, manage)
	sell(t, g, tab, manage)
	tab.Go(manage + "/reports")
	both(tab, "manage_reports")
}

// ownWords puts a mail in the shop's words, looks at it and takes them back.
func ownWords(tab *browser.Page, manage string) {
	tab.Go(manage + "/mail-texts")
	both(tab, "manage_mail_texts")
	tab.Follow(`a[href$="/mail-texts/service_ready"]`)
	tab.Fill("subject", "Come in: {{ data.service }} is up")
	tab.Follow(`button[value="preview"]`)
	tab.Wait("section .strong", "^Come in: .+ is up$")
	both(tab, "manage_mail_text")
	tab.Follow(`form[data-guard] button:not([name])`)
	tab.Wait("main", "In your own words")
	tab.Follow(`form[action$="/reset"] button`)
	tab.Wait("main", "built-in words")
}

// sell makes a plan of a wholesale product and finds it in the shop; what is left of the
// price is shown before it is saved.
func sell(t *testing.T, g guide, tab *browser.Page, manage string) {
	t.Helper()
	slug := "puff-" + strconv.FormatInt(time.Now().UnixMilli()%1e8, 36)
	const save = `main form .form-actions button[type="submit"]`
	tab.Go(manage + "/catalog")
	both(tab, "manage_catalog")
	tab.Follow(`a[href$="/plans/new"]`)
	tab.Follow(`a[href$="sku=vps-1"]`)
	tab.Fill("name", "Puff")
	tab.Fill("slug", slug)
	tab.Allow("422") // which the wrong price is answered with
	tab.Fill("price.USD.monthly", "12,x")
	tab.Follow(save)
	tab.Text(".price-row .error")
	tab.Fill("price.USD.monthly", "7.50")
	tab.Click(`[name="summary"]`)
	tab.Wait("#margins", `\$7\.50`)
	tab.Wait("#margins", "%")
	both(tab, "manage_plan_new")
	tab.Follow(save)
	until(t, client(t, g), g.site("nimbus")+"/products/cloud-vps/"+slug, http.StatusOK, "$7.50")
}

// runThePlatform is staff: price book, a month's preview, what runs for all tenants and
// where there is room for more, and a reseller's team that must use a second factor.
func runThePlatform(t *testing.T, g guide, drive *browser.Browser, s *stranger) {
	tab, console := come(t, g, drive, "staff", "")
	tab.Go(console + "/wholesale/prices")
	both(tab, "console_prices")
	now := time.Now().UTC()
	from := now.AddDate(1, 0, int(now.UnixMilli()%300)) // prices of one product begin on different days
	choose(t, tab, "sku", "vps-8")
	choose(t, tab, "currency", "USD")
	tab.Fill("price", "18.25")
	tab.MustEval(`(day) => { document.querySelector('[name="from"]').value = day }`, from.Format(time.DateOnly))
	tab.Follow(`main form[action="/wholesale/prices"] button[type="submit"]`)
	tab.Wait("main tbody", from.Format("2 Jan 2006"))
	tab.Go(console + "/wholesale")
	both(tab, "console_wholesale")
	tab.Go(console + "/wholesale/preview?period=" + now.Format("2006-01"))
	tab.Wait("tbody th", "Nimbus Cloud")
	both(tab, "console_preview")
	tab.Go(console + "/services?q=Nimbus")
	tab.Wait("main tbody", "Nimbus Cloud")
	both(tab, "console_services")
	tab.Follow("tbody th a")
	both(tab, "console_service")
	tab.Go(console + "/platforms")
	tab.Follow("tbody th a")
	tab.Wait("main", "New York")
	both(tab, "console_platform")
	tab.Go(console + "/business")
	both(tab, "console_business")
	palette(t, tab)
	policy(t, g, drive, tab)
}

// palette finds a reseller by its name with the keyboard alone.
func palette(t *testing.T, tab *browser.Page) {
	t.Helper()
	must(t, tab.KeyActions().Press(input.ControlLeft).Type('k').Release(input.ControlLeft).Do())
	tab.Wait("#palette [role=option]", "Overview")
	must(t, tab.InsertText("pixelf"))
	tab.Wait("#palette [role=option]", "PixelForge")
	see(tab, "console_palette")
	must(t, tab.Keyboard.Type(input.Enter))
	tab.Wait("h1", "^PixelForge$")
}

// policy has a reseller's team use a second factor: the owner cannot go on without one.
func policy(t *testing.T, g guide, drive *browser.Browser, tab *browser.Page) {
	t.Helper()
	page := tab.MustInfo().URL
	set := func() {
		tab.Go(page + "/settings")
		tab.ClickText("label", "must use a second factor")
		tab.Follow(`form:has(input[name="require_totp"]) button[type="submit"]`)
	}
	set()
	both(tab, "console_policy")
	leo := g.login(t, "reseller", "pixelforge")
	leads := func(to string) *browser.Page { // what is asked for is settled when somebody signs in
		team := drive.Page(t, leo.URL, browser.Desktop)
		signIn(t, team, leo)
		team.Go(strings.TrimSuffix(leo.URL, "/sign-in") + "/customers")
		team.Wait("h1", to)
		return team
	}
	both(leads("[Ss]econd factor"), "manage_must_set_up")
	set()
	leads("^Customers$")
}

// readStatement is the reseller at the partner centre.
func readStatement(t *testing.T, g guide, drive *browser.Browser, _ *stranger) {
	tab, centre := come(t, g, drive, "partner", "nimbus")
	tab.Wait("main", "tier growth")
	both(tab, "partner_overview")
	tab.Go(centre + "/prices")
	tab.Wait("tbody", `\$`)
	both(tab, "partner_prices")
	tab.Go(centre + "/shop")
	tab.Wait("main", "nimbus")
	both(tab, "partner_shop")
}

// openShop is a new reseller: they sign up, and their shop is there within two minutes.
func openShop(t *testing.T, g guide, drive *browser.Browser, _ *stranger) {
	centre := strings.TrimSuffix(g.login(t, "partner", "nimbus").URL, "/sign-in")
	mark := strconv.FormatInt(time.Now().UnixMilli()%1e8, 36)
	s := &stranger{t: t, g: g, email: "ada-" + mark + "@harbour.test"}
	tab := drive.Page(t, centre+"/sign-up", browser.Desktop)
	both(tab, "open_sign_up")
	tab.Fill("name", "Ada Quay")
	tab.Fill("email", s.email)
	tab.Fill("shop", "Pier "+mark)
	tab.Wait("#address-answer", `pier-`+mark+`\.localhost is free`)
	choose(t, tab, "country", "NL")
	began := time.Now()
	tab.Follow(`main form button[type="submit"]`)
	both(tab, "open_code")
	tab.Fill("code", s.code())
	tab.Fill("password", strangersPassword)
	tab.Follow(`main form button[type="submit"]`)
	tab.Wait("main", "Pier "+mark)
	both(tab, "open_shop")
	shop := "http://pier-" + mark + ".localhost:" + httpPort(t, g)
	until(t, client(t, g), shop+"/", http.StatusOK, "Pier "+mark)
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("the shop took %s", took)
	}
	tab.Go(shop + "/manage/sign-in")
	signIn(t, tab, login{Email: s.email, Password: strangersPassword})
	tab.Wait("main", "things want you")
	tab.Wait("main", "Place a test order")
	both(tab, "open_manage")
	site := drive.Page(t, shop, browser.Phone)
	see(site, "open_site")
}

var codeInMail = regexp.MustCompile(`\b\d{6}\b|\b[A-Z0-9]{4}-[A-Z0-9]{4}\b`)
