package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestMoney is a customer who pays ahead by PayPal, gets a gift and buys one by bank
// transfer, and the shop, which makes the gift and finds the transfer in its bank's list;
// and one whose bank wanted to be asked, and who pays by the letter that says so.
func TestMoney(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	tab, shop := come(t, g, drive, "customer", "pixelforge")
	desk, manage := come(t, g, drive, "reseller", "pixelforge")
	tab.Look(browser.Phone)

	tab.Go(shop + "/client/credit")
	had := pence(t, tab)
	tab.Fill("amount", "20.00")
	tab.Follow(`form[action="/client/credit/top-up"] button`)
	tab.ClickText(".choice", "PayPal")
	both(tab, "pay_ahead")
	agree(t, tab)
	tab.Go(shop + "/client/credit")
	if now := pence(t, tab); now != had+2000 {
		t.Fatalf("%d pence of credit became %d by 20.00", had, now)
	}

	desk.Go(manage + "/gift-codes")
	desk.Fill("name", "For the outage")
	desk.Fill("amount", "5.00")
	desk.Follow(`form[action="/manage/gift-codes"] button`)
	both(desk, "gift_codes_made")
	tab.Fill("code", codes.FindString(desk.MustElement("textarea").MustText()))
	tab.Follow(`form[action="/client/credit/redeem"] button`)
	if now := pence(t, tab); now != had+2500 {
		t.Fatalf("%d pence of credit became %d by a gift of 5.00", had+2000, now)
	}

	tab.Fill("gift_amount", "7.50")
	tab.Follow(`form[action="/client/credit/gifts"] button`)
	tab.ClickText(".choice", "Bank transfer")
	tab.Follow(`form[data-pay] button[type="submit"]`)
	both(tab, "transfer_asked")
	reference := references.FindString(tab.Text("main"))
	if reference == "" {
		t.Fatalf("no reference to write on the transfer:\n%s", tab.Text("main"))
	}
	handIn(t, desk, manage, "Date;Amount;Currency;Name;Reference\n"+time.Now().Format(time.DateOnly)+";7.50;GBP;C Doyle;Gift "+reference+"\n")
	both(desk, "bank_matched")
	desk.Follow(`form[action="/manage/payments/bank/apply"] button[type="submit"]:not([formaction])`)
	desk.Go(manage + "/payments/bank?state=applied")
	desk.Wait("tbody", "C Doyle")
	both(desk, "bank_applied")

	tab.Go(shop + "/client/credit")
	tab.Follow(`form[action$="/show"] button`)
	code := codes.FindString(tab.Text("section[aria-labelledby='h-code']"))
	if len(code) < 4 || !strings.Contains(tab.Text("section[aria-labelledby='h-gifts']"), "… "+code[len(code)-4:]) {
		t.Errorf("the code %q is not the one the list names:\n%s", code, tab.Text("main"))
	}
	both(tab, "gift_bought")
	t.Run("by letter", func(t *testing.T) { payByLetter(t, g, drive, "ayla@demirmods.test") })
}

var (
	codes      = regexp.MustCompile(`[0-9A-Z]{4}(-[0-9A-Z]{4}){3}`)
	references = regexp.MustCompile(`[A-Z]+-\d{4}-\d{5}`)
)

// payByLetter is a customer whose renewal could not be collected, because the bank of
// their card wants to be asked: what they bought is suspended, a letter leads to a page
// that wants no password, the bank is asked, and the server is on again.
func payByLetter(t *testing.T, g guide, drive *browser.Browser, email string) {
	t.Helper()
	at := slices.IndexFunc(g.Logins, func(l login) bool { return l.Email == email })
	own := enter(t, drive, g.Logins[at])
	own.Follow(`main a[href^="/client/services/"]`)
	own.Wait(".service-head .status", "Suspended")
	both(own, "letter_suspended")

	var letter string
	for _, m := range mailsTo(t, g, email) {
		if strings.Contains(m.Text, "bank") && payLink.MatchString(m.Text) {
			letter = m.Text
		}
	}
	tab := drive.Page(t, payLink.FindString(letter), browser.Phone)
	tab.Wait("h1", "Pay invoice")
	both(tab, "letter_pay")
	tab.Click(`input[value="card"]`)
	typeCard(tab, "4000002500003155")
	began := time.Now()
	tab.FollowTo(payButton, "/authenticate/")
	tab.FollowTo("#confirm", "/pay/")
	await(t, tab, "h1", "Thank you")
	both(tab, "letter_paid")
	await(t, own, ".service-head .status", "Running") // on the page as it stands open
	if took := time.Since(began); took > time.Minute {
		t.Errorf("what was suspended ran again after %s", took)
	}
	both(own, "letter_released")
	own.Follow(`main a[href$="/billing"]`)
	own.Follow(`main a[href^="/client/subscriptions/"]`)
	own.Wait("main .status", "Active")
	see(own, "letter_active")
}

var payLink = regexp.MustCompile(`https?://[^\s/]+/pay/[\w-]+`)

// pence is the credit the page shows.
func pence(t *testing.T, tab *browser.Page) int {
	t.Helper()
	digits := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return r
		}
		return -1
	}, tab.Text(".figures dd"))
	n, err := strconv.Atoi(digits)
	must(t, err)
	return n
}

// agree presses the pay button and agrees at the simulated PayPal.
func agree(t *testing.T, tab *browser.Page) {
	t.Helper()
	tab.Click(`form[data-pay] button[type="submit"]`)
	await(t, tab, "#pays", "Agree")
	tab.Follow("#pays")
	await(t, tab, "main", "[Pp]aid|[Rr]eceived|[Cc]redit")
}

// handIn uploads a bank's list.
func handIn(t *testing.T, desk *browser.Page, manage, list string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bank.csv")
	must(t, os.WriteFile(file, []byte(list), 0o600))
	desk.Go(manage + "/payments/bank")
	desk.MustElement(`input[name="file"]`).MustSetFiles(file)
	desk.Follow(`form[enctype] button[type="submit"]`)
}
