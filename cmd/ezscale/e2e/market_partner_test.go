package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// payStatement is the reseller at the partner centre: what last month cost, line by line,
// a question about one, a card that is kept, and the invoice paid with it.
func payStatement(t *testing.T, g guide, drive *browser.Browser, _ *stranger) {
	tab, centre := come(t, g, drive, "partner", "nimbus")
	tab.Wait("main", "tier growth")
	both(tab, "partner_overview")
	tab.Follow("main tbody th a")
	invoice := tab.MustInfo().URL
	both(tab, "partner_invoice")
	download(t, tab, `main a[href$="/pdf"]`, tab.Text("h1")+".pdf")
	tab.Follow(`tbody tr:has(.mono) a[href*="/lines/"]`)
	tab.Wait("tbody details", "Began")
	tab.Fill("text", "Which of our customers is this?")
	both(tab, "partner_line")
	tab.Follow(`form[action$="/question"] button`)
	tab.Wait(".notice", "Thank you")

	tab.Look(browser.Phone)
	tab.Go(centre + "/billing")
	typeCard(tab, "4242424242424242")
	see(tab, "partner_card")
	tab.FollowTo(`form[data-pay="setup"] button`, "/billing")
	tab.Wait("main", `Visa •••• 4242`)
	both(tab, "partner_billing")
	tab.Go(invoice)
	tab.Follow(`main a[href$="/pay"]`)
	both(tab, "partner_pay")
	tab.Follow(`form[data-pay="payment"] button[type="submit"]`)
	tab.Wait(".notice", "is paid")
	tab.Wait("main .status", "Paid")
	both(tab, "partner_paid")

	tab.Go(centre + "/prices")
	tab.Wait("tbody", `\$`)
	both(tab, "partner_prices")
	tab.Go(centre + "/shop")
	tab.Wait("main", "nimbus")
	both(tab, "partner_shop")
}

// openShop is a new reseller: they sign up, their shop is there within two minutes, and
// its console leads them to a first order, which they place and pay as a customer.
func openShop(t *testing.T, g guide, drive *browser.Browser, _ *stranger) {
	centre := strings.TrimSuffix(g.login(t, "partner", "nimbus").URL, "/sign-in")
	mark := strconv.FormatInt(time.Now().UnixMilli()%1e8, 36)
	s := &stranger{t: t, g: g, name: "Ada Quay", email: "ada-" + mark + "@harbour.test"}
	tab := drive.Page(t, centre+"/sign-up", browser.Desktop)
	both(tab, "open_sign_up")
	tab.Fill("name", s.name)
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
	both(tab, "open_manage")
	firstPlan(t, tab)
	tab.Go(shop + "/manage")
	tab.Follow(`main a[href="/manage/settings/payments"]`)
	tab.ClickText("label", "Offer test cards")
	tab.Follow(`form[action$="/sandbox"] button`)
	tab.Go(shop + "/manage")
	tab.Wait("main", "Place a test order")
	see(tab, "open_manage_ready")
	testOrder(t, s, drive.Page(t, shop, browser.Phone))
	tab.Go(shop + "/manage/orders")
	tab.Wait("main tbody", s.name)
	tab.Go(shop + "/manage")
	both(tab, "open_manage_sold")
}

// firstPlan is what the console's list begins with: a product, and a plan made of the
// smallest server.
func firstPlan(t *testing.T, tab *browser.Page) {
	t.Helper()
	tab.Follow(`main a[href="/manage/catalog"]`)
	tab.Follow(`main a[href="/manage/catalog/new"]`)
	tab.Fill("name", "Boats")
	tab.Fill("slug", "boats")
	tab.Follow(`main form .form-actions button[type="submit"]`)
	tab.Follow(`main a[href$="/plans/new"]`)
	tab.Follow(`a[href$="sku=vps-1"]`)
	tab.Fill("name", "Dinghy")
	tab.Fill("slug", "dinghy")
	tab.Fill("price.EUR.monthly", "9.00")
	tab.Follow(`main form .form-actions button[type="submit"]`)
	tab.Wait("main", "Dinghy")
}

// testOrder buys the plan on a phone with a card that moves no money.
func testOrder(t *testing.T, s *stranger, tab *browser.Page) {
	t.Helper()
	s.tab = tab
	see(tab, "open_site")
	tab.Follow(`main a[href^="/products/boats"]`)
	if tab.MustHas(`main a[href="/products/boats/dinghy"]`) {
		tab.Follow(`main a[href="/products/boats/dinghy"]`)
	}
	see(tab, "open_plan")
	tab.Follow(`#configurator button[type="submit"]:not([name]):not([formaction])`)
	s.email = "test-" + s.email
	s.signUp()
	s.order()
	see(tab, "open_pay")
	tab.Click(`input[value="sandbox:works"]`)
	s.follow(payButton, "/client/orders/")
	await(t, tab, "#order .cart-items a", "Dinghy")
	tab.Follow("#order .cart-items a")
	await(t, tab, ".service-head .status", "Running")
	see(tab, "open_running")
}
