package e2e

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

var intents = regexp.MustCompile(`pi_\w+`)

// TestDispute is a customer who pays ahead by card and has their bank ask the money back: the
// credit does not count while the bank decides, the shop sees by when it may answer, and when
// the shop wins the credit is the customer's again.
func TestDispute(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	tab, shop := come(t, g, drive, "customer", "nimbus")
	desk, manage := come(t, g, drive, "reseller", "nimbus")

	tab.Go(shop + "/client/credit")
	had := pence(t, tab)
	tab.Fill("amount", "31.40")
	tab.Follow(`form[action="/client/credit/top-up"] button`)
	tab.Click(`input[value="card"]`)
	typeCard(tab, "4242424242424242")
	frame := *tab.MustElement("#pay-card iframe").MustAttribute("src")
	tab.FollowTo(payButton, "/client/credit")
	credit := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(250 * time.Millisecond) {
			tab.Go(shop + "/client/credit")
			if now := pence(t, tab); now == want {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%d cents of credit, not %d:\n%s", now, want, tab.Text("main"))
			}
		}
	}
	credit(had + 3140)

	desk.Go(manage + "/payments")
	desk.Follow("tbody th a")
	desk.Wait("main", `31\.40`)
	payment := desk.MustInfo().URL
	intent := intents.FindString(desk.Text("main"))
	dispute := stripeLab(t, frame, "/lab/dispute", url.Values{"payment_intent": {intent}, "amount": {"3140"}})
	credit(had)
	tab.Wait("main", "isputed")
	both(tab, "credit_held")
	desk.Go(payment)
	desk.Wait("main", "does not count meanwhile")
	both(desk, "disputed_top_up")
	stripeLab(t, frame, "/lab/dispute/"+dispute, url.Values{"status": {"won"}})
	credit(had + 3140)
	both(tab, "credit_back")
	desk.Go(payment)
	desk.Wait("main", "[Ww]on")
	both(desk, "dispute_won")
}

// stripeLab tells the simulator of Stripe, which shows one of its pages at an address, what
// happens outside of the shop, and returns what it answers.
func stripeLab(t *testing.T, page, path string, form url.Values) string {
	t.Helper()
	at, err := url.Parse(page)
	must(t, err)
	res, err := http.PostForm(at.Scheme+"://"+at.Host+path, form)
	must(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer)
	}
	return strings.TrimSpace(string(answer))
}
