package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod/lib/input"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// runThePlatform is staff: price book, billing and its audit, what runs for all tenants
// and where there is room for more, and a reseller's team that must use a second factor.
func runThePlatform(t *testing.T, g guide, drive *browser.Browser, _ *stranger) {
	tab, console := come(t, g, drive, "staff", "")
	setPrice(t, tab, console)
	billMonth(t, tab, console)
	tab.Go(console + "/services?q=Nimbus")
	tab.Wait("main tbody", "Nimbus Cloud")
	both(tab, "console_services")
	tab.Follow("tbody th a")
	both(tab, "console_service")
	tab.Go(console + "/platforms")
	both(tab, "console_platforms")
	tab.Follow("tbody th a")
	tab.Wait("main", "New York")
	both(tab, "console_platform")
	tab.Go(console + "/jobs?state=completed")
	tab.Follow("tbody th a")
	tab.Wait("h1", `\w+\.\w+`)
	both(tab, "console_job")
	tab.Go(console + "/business")
	both(tab, "console_business")
	palette(t, tab)
	policy(t, g, drive, tab)
}

// setPrice sets a price from a day on, which ends the one before.
func setPrice(t *testing.T, tab *browser.Page, console string) {
	t.Helper()
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
}

// billMonth looks at what this month comes to, at the last one as it was billed, down to
// when a server began, and has it audited.
func billMonth(t *testing.T, tab *browser.Page, console string) {
	t.Helper()
	now := time.Now().UTC()
	month, last := now.Format("2006-01"), now.AddDate(0, 0, -now.Day()).Format("2006-01")
	tab.Go(console + "/wholesale")
	both(tab, "console_wholesale")
	tab.Follow(`a[href="/wholesale/preview?period=` + month + `"]`)
	tab.Wait("tbody th", "Nimbus Cloud")
	both(tab, "console_preview")
	tab.Go(console + "/wholesale/preview?period=" + last)
	tab.Wait("main", "billed before; nothing would change")
	see(tab, "console_preview_again")
	tab.Go(console + "/wholesale")
	tab.Follow(`tbody a[href="/wholesale/invoices?period=` + last + `"]`)
	both(tab, "console_invoices")
	tab.ClickText("tbody tr:has(a[href^='/resellers/']) th a", ".")
	tab.Wait("h1", "-")
	both(tab, "console_invoice")
	download(t, tab, `main a[href$="/pdf"]`, tab.Text("h1")+".pdf")
	tab.Follow(`tbody tr:has(.mono) a[href*="/lines/"]`) // one of servers, and not the fee
	tab.ClickText("tbody summary", "Began")
	tab.Wait("tbody details dd", "/start")
	both(tab, "console_line")
	tab.Go(console + "/wholesale")
	tab.Follow(`a[href="/wholesale/audit?period=` + last + `"]`)
	tab.Wait(".notice-good", "No difference")
	if said := tab.Text("dl.figures"); !strings.Contains(strings.Join(strings.Fields(said), " "), "Differences 0") {
		t.Errorf("the audit says %q", said)
	}
	both(tab, "console_audit")
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
