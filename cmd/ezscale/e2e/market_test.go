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
	"github.com/go-rod/rod/lib/proto"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// both judges what the tab shows at each width, without loading it again.
func both(tab *browser.Page, name string) { tab.CheckViews("flow_" + name) }

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

// await is for what a platform has to do first. The page may go on to another meanwhile.
func await(t *testing.T, tab *browser.Page, selector, text string) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err = tab.Timeout(time.Until(end)).ElementR(selector, text); err == nil {
			return
		}
	}
	t.Fatalf("%s never says %s: %v\n%s", selector, text, err, tab.Text("main"))
}

// choose picks an option of a select by its value.
func choose(t *testing.T, tab *browser.Page, name, value string) {
	t.Helper()
	e, err := tab.Timeout(patience).Element(`select[name="` + name + `"]`)
	must(t, err)
	must(t, e.Select([]string{`[value="` + value + `"]`}, true, rod.SelectorTypeCSSSector))
}

// typeCard types into the gateway's form, which is a frame of another origin.
func typeCard(tab *browser.Page, number string) {
	tab.FillFrame("#pay-card iframe", [2]string{"#number", number}, [2]string{"#expiry", "1234"}, [2]string{"#cvc", "123"})
}

// download asks for the file a link of the page leads to, with the session of the page.
func download(t *testing.T, tab *browser.Page, link, name string) {
	t.Helper()
	got := tab.MustEval(`(link) => fetch(document.querySelector(link).href).then(async r => [r.status, r.headers.get('content-type'), (await r.clone().text()).slice(0, 5), r.headers.get('content-disposition')].join(' '))`, link).Str()
	if !strings.HasPrefix(got, "200 application/pdf %PDF-") || !strings.Contains(got, name) {
		t.Errorf("the PDF answers %q and not %s", got, name)
	}
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
	ownWords(t, tab, manage)
	sell(t, g, tab, manage)
	tab.Go(manage + "/reports")
	both(tab, "manage_reports")
}

// ownWords puts a mail in the shop's words, looks at it and takes them back.
func ownWords(t *testing.T, tab *browser.Page, manage string) {
	t.Helper()
	tab.Go(manage + "/mail-texts")
	both(tab, "manage_mail_texts")
	tab.Follow(`a[href$="/mail-texts/service_ready"]`)
	tab.Fill("subject", "Come in: {{ data.service }} is up")
	tab.Click(`button[formtarget="mail-preview"]`)
	tab.WaitFrame(`iframe[name="mail-preview"]`, "p strong", "^Come in: .+ is up$") // as it is typed
	both(tab, "manage_mail_text")
	tab.Follow(`form[data-guard] button:not([formtarget])`)
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

var codeInMail = regexp.MustCompile(`\b\d{6}\b|\b[A-Z0-9]{4}-[A-Z0-9]{4}\b`)
