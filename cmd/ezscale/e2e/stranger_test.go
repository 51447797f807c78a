package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestMarket is one purchase seen by everybody: strangers buy a server each, the shop's
// owner looks after one of them, staff and the reseller see what it comes to wholesale,
// and somebody else opens a shop.
func TestMarket(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	var desk *stranger
	t.Run("strangers", func(t *testing.T) {
		for _, width := range widths {
			s := newStranger(g, width)
			if !width.Phone {
				desk = s
			}
			t.Run(width.Name, func(t *testing.T) {
				t.Parallel()
				s.t = t
				s.tab = drive.Page(t, s.home, width)
				s.walk(width.Phone)
			})
		}
	})
	if t.Failed() {
		t.FailNow() // the rest looks at what they bought
	}
	for name, part := range map[string]func(*testing.T, guide, *browser.Browser, *stranger){
		"reseller": lookAfter, "staff": runThePlatform, "partner": payStatement, "new reseller": openShop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, g, drive, desk)
		})
	}
}

const strangersPassword = "a lamp beside the harbour"

// stranger is somebody who finds a shop: they choose a server, sign up inside the
// checkout, pay, watch it come alive, use it and cancel it. At a desk the card is
// declined first; on a phone the bank asks first.
type stranger struct {
	t           *testing.T
	g           guide
	tab         *browser.Page
	home        string
	name, email string
	service     string // the address of its page
}

func newStranger(g guide, width browser.View) *stranger {
	mark := strconv.FormatInt(time.Now().UnixMilli()%1e9, 36) + width.Name
	return &stranger{g: g, home: g.site("nimbus"), name: "Sam " + mark, email: mark + "@example.test"}
}

func (s *stranger) walk(phone bool) {
	s.tab.Allow("402") // a declined card is an answer of the simulator's
	s.choose()
	s.signUp()
	invoice := s.order()
	if phone {
		s.askedByTheBank()
	} else {
		s.declined()
	}
	s.alive()
	s.access()
	s.use()
	s.rebuild()
	s.bill(invoice)
	s.mails()
	s.secondCard()
	s.cancel()
}

func (s *stranger) see(name string) {
	s.t.Helper()
	see(s.tab, "buy_"+name)
}

// choose goes from the home page to the checkout; the price follows the choices.
func (s *stranger) choose() {
	s.tab.Wait("h1", "A calm place for your servers")
	s.tab.Go(s.home + "/products/cloud-vps")
	s.tab.Follow(`a[href="/products/cloud-vps/drift"]`)
	s.tab.Wait(".sum-total", `12\.00`)
	s.see("plan")
	s.tab.ClickText(".pick-one", "Amsterdam")
	s.tab.Wait(".sum-chosen", "Amsterdam")
	s.tab.ClickText(".pick-one", "Debian 12")
	s.tab.Wait(".sum-chosen", "Debian 12")
	s.see("plan_chosen")
	s.tab.Follow(`#configurator button[type="submit"]:not([name]):not([formaction])`)
	s.tab.Wait("h1", "^Checkout$")
}

// signUp gives name and address, enters the code from the mail and a billing address.
// The cart survives all of it.
func (s *stranger) signUp() {
	s.see("checkout_who")
	s.tab.Fill("name", s.name)
	s.tab.Fill("email", s.email)
	s.tab.Follow(`form[action="/checkout/code"] button`)
	s.see("checkout_code")
	s.tab.Fill("code", s.code())
	s.tab.Fill("password", strangersPassword)
	s.tab.Follow(`form[action="/checkout/enter"] button`)
	s.see("checkout_address")
	for name, value := range map[string]string{"line1": "1 Long Street", "postcode": "10115", "city": "Berlin"} {
		s.tab.Fill(name, value)
	}
	must(s.t, s.tab.MustElement(`[name="country"]`).Select([]string{`[value="DE"]`}, true, rod.SelectorTypeCSSSector))
	s.tab.Follow(`form[action="/checkout/address"] button`)
}

// code is the one that was mailed.
func (s *stranger) code() string {
	s.t.Helper()
	for range 200 {
		for _, m := range mailsTo(s.t, s.g, s.email) {
			if c := codeInMail.FindString(m.Subject + "\n" + m.Text); c != "" {
				return c
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("no code was mailed to %s", s.email)
	return ""
}

// order places the order and comes to the page on which it is paid.
func (s *stranger) order() (invoice string) {
	s.tab.Wait("main form label", "I agree")
	s.see("checkout_order")
	s.tab.Click("#f-terms")
	s.follow(`form[action="/checkout"] button[type="submit"]`, "/pay")
	s.tab.Wait("h1", "Pay invoice")
	s.see("pay")
	return regexp.MustCompile(`/client/invoices/[0-9a-f-]+`).FindString(s.tab.MustInfo().URL)
}

func (s *stranger) follow(selector, to string) { s.t.Helper(); s.tab.FollowTo(selector, to) }

func (s *stranger) card(number string) { s.t.Helper(); typeCard(s.tab, number) }

const payButton = `form[data-pay="payment"] button[type="submit"]`

func (s *stranger) declined() {
	s.tab.Click(`input[value="card"]`)
	s.card("4000000000000002")
	s.tab.Click(payButton)
	s.tab.Wait("[data-pay-problem]", "declined")
	s.see("pay_declined")
	s.card("4242424242424242")
	s.tab.Click("#f-save")
	s.follow(payButton, "/client/orders/")
}

func (s *stranger) askedByTheBank() {
	s.tab.Click(`input[value="card"]`)
	s.card("4000002500003155")
	s.tab.Click("#f-save")
	s.follow(payButton, "/authenticate/")
	s.follow("#refuse", "/pay")
	s.tab.Wait(".notice", "not confirmed with your bank")
	s.see("pay_not_confirmed")
	s.tab.Click(`input[value="card"]`)
	s.card("4000002500003155")
	s.tab.Click("#f-save")
	s.follow(payButton, "/authenticate/")
	s.follow("#confirm", "/client/orders/")
}

// alive watches the order and then the service without loading anything again.
func (s *stranger) alive() {
	s.tab.Wait("h1", "^Order")
	s.see("order_paid")
	s.tab.Wait("#order .cart-items a", "Drift")
	s.see("order_service")
	s.tab.Follow("#order .cart-items a")
	s.service = s.tab.MustInfo().URL
	s.see("service_new")
	await(s.t, s.tab, ".service-head .status", "Running")
	s.tab.Wait(".service-head", `\d+\.\d+\.\d+\.\d+`)
	s.see("service_running")
}

// access reads the credentials, for which the password is asked for again.
func (s *stranger) access() {
	s.tab.Go(s.service + "/access")
	s.tab.Follow(`form[action$="/reveal"] button`)
	if strings.Contains(s.tab.MustInfo().URL, "/prove") {
		s.see("prove")
		s.tab.Fill("current", strangersPassword)
		s.tab.Follow(`form[action$="/prove"] button`)
		s.tab.Follow(`form[action$="/reveal"] button`)
	}
	s.tab.Wait("main", "ssh root@")
	s.see("service_access")
}

// use renames and restarts the server.
func (s *stranger) use() {
	s.tab.Go(s.service)
	s.tab.Fill("name", "Book shop")
	s.tab.Follow("#rename-form button")
	s.tab.Wait("h1", "^Book shop$")
	s.tab.ClickText(".controls button", "Restart")
	s.tab.Wait("main .timeline", "[Rr]estart")
	s.tab.Wait(".service-head .status", "Running")
	s.see("service_restarted")
}

func (s *stranger) rebuild() {
	s.tab.Go(s.service + "/rebuild")
	s.tab.ClickText(".choice", "Ubuntu")
	s.tab.Fill("confirm", "Book shop")
	s.see("service_rebuild")
	s.tab.Follow(`form[action$="/rebuild"] button[type="submit"]`)
	s.see("service_rebuilding")
	await(s.t, s.tab, ".service-head .status", "Running")
	s.tab.Wait("dl.facts", "Ubuntu")
}

// bill reads the invoice and its PDF.
func (s *stranger) bill(invoice string) {
	s.tab.Go(s.home + invoice)
	s.tab.Wait("h1", "Invoice")
	s.tab.Wait("main .status", "Paid")
	s.see("invoice")
	download(s.t, s.tab, `main a[href$="`+invoice+`.pdf"]`, ".pdf")
}

// mails are the news the stranger got, in the shop's name.
func (s *stranger) mails() {
	s.t.Helper()
	var told []string
	for _, m := range mailsTo(s.t, s.g, s.email) {
		told = append(told, m.Subject)
		if !strings.Contains(m.From, "Nimbus Cloud") {
			s.t.Errorf("%q comes from %s", m.Subject, m.From)
		}
	}
	all := strings.Join(told, "\n")
	for _, word := range []string{"code", "order", "invoice", "ready"} {
		if !strings.Contains(strings.ToLower(all), word) {
			s.t.Errorf("no mail tells of %q:\n%s", word, all)
		}
	}
	s.tab.Go(s.g.Mail)
	row, err := s.tab.Timeout(patience).ElementR("tbody tr", "is ready\\s+"+s.email)
	must(s.t, err)
	link, err := row.Element("a")
	must(s.t, err)
	s.tab.Go(link.MustProperty("href").Str())
	s.tab.Wait("dl", "Nimbus Cloud")
	s.tab.Wait("pre", "Book shop|Drift")
	s.see("mail")
}

func (s *stranger) secondCard() {
	s.tab.Go(s.home + "/client/payment-methods")
	s.see("methods")
	s.card("5555555555554444")
	s.tab.Click(`form[data-pay="setup"] button`)
	s.tab.Wait("th", "Mastercard •••• 4444")
	s.see("methods_two")
}

// cancel ends the subscription with what is paid, and says why.
func (s *stranger) cancel() {
	s.tab.Go(s.service + "/billing")
	s.see("service_billing")
	s.tab.Follow(`a[href^="/client/subscriptions/"]`)
	s.see("subscription")
	s.tab.Follow(`a[href$="/cancel"]`)
	s.see("cancel")
	must(s.t, s.tab.MustElement(`[name="reason"]`).Select([]string{`option:nth-child(2)`}, true, rod.SelectorTypeCSSSector))
	s.tab.Follow(`form[action$="/cancel"] button[type="submit"]`)
	s.tab.Wait(".notice", "ends on")
	s.see("cancelled")
}

type mailed struct{ From, Subject, Text string }

// mailsTo are the mails the trap holds for an address, read as a program does.
func mailsTo(t *testing.T, g guide, address string) []mailed {
	t.Helper()
	trap, err := url.Parse(g.Mail)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+trap.Port()+"/api/mails?to="+url.QueryEscape(address), nil)
	must(t, err)
	req.Host = trap.Host
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	var all []mailed
	must(t, json.NewDecoder(res.Body).Decode(&all))
	return all
}
