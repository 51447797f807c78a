package e2e

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

var accounts = regexp.MustCompile(`acct_\w+`)

// TestConnect is a reseller who connects an account at Stripe's own form, and hears by the
// platform's endpoint, which registered itself, what Stripe thinks of it; staff see that it is
// connected. In the end the shop's own keys count again.
func TestConnect(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	desk, manage := come(t, g, drive, "reseller", "pixelforge")
	staff, console := come(t, g, drive, "staff", "")
	staff.Go(console + "/wholesale/connect")
	staff.Wait("main", "Registered")
	both(staff, "connect_endpoint")

	settings := manage + "/settings/payments"
	desk.Go(settings)
	desk.Follow(`form[action$="/stripe/connect"] button`)
	desk.Wait("h1", "Stripe")
	form := *desk.MustElement(`main a[href*="/connect/"]`).MustAttribute("href")
	desk.FollowTo(`main a[href*="/connect/"]`, "/connect/")
	desk.FollowTo(`button[value="finish"]`, "/settings/payments")
	desk.Wait("main", "Connected: acct_")
	both(desk, "connected")
	staff.Go(console + "/wholesale/connect")
	if says := staff.Text(".facts"); !strings.Contains(says, "1") {
		t.Errorf("no account is counted as connected:\n%s", says)
	}

	// Stripe thinks otherwise: nobody looks, and the page says so.
	stripeLab(t, form, "/lab/account/"+accounts.FindString(desk.Text("main")), url.Values{"ready": {"off"}})
	for until := time.Now().Add(30 * time.Second); !strings.Contains(desk.Text("main"), "does not let it take payments yet"); {
		if time.Now().After(until) {
			t.Fatalf("what Stripe told of the account did not arrive:\n%s", desk.Text("main"))
		}
		time.Sleep(250 * time.Millisecond)
		desk.Go(settings)
	}
	desk.Follow(`form[action$="/stripe/disconnect"] button`)
	desk.Wait("main", "Connect with Stripe")
}
