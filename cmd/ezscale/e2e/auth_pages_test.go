package e2e

import (
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestAuthPages looks at the pages by which people come in, in each world: sign-in,
// with a wrong password, sign-up, forgotten password before and after, a dead link,
// and for who has no second factor yet its set-up and the recovery codes.
func TestAuthPages(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	seen := map[string]bool{}
	for _, l := range g.Logins {
		if seen[l.World] || l.World == "" {
			continue
		}
		seen[l.World] = true
		t.Run(l.World, func(t *testing.T) {
			at, err := url.Parse(l.URL)
			must(t, err)
			home, prefix := at.Scheme+"://"+at.Host, ""
			if l.World == "reseller" {
				prefix = "/manage"
			}
			tab := drive.Page(t, home+prefix+"/sign-in", browser.Desktop)
			tab.Allow("404", "401", "422", "410")
			tab.CheckViews(l.World + "_auth_sign-in")
			tab.Fill("email", "nobody@example.com")
			tab.Fill("password", "not the password")
			tab.Follow(`form[action$="/sign-in"] button[type="submit"]`)
			tab.CheckViews(l.World + "_auth_sign-in_refused")
			tab.Go(home + prefix + "/forgot")
			tab.CheckViews(l.World + "_auth_forgot")
			tab.Fill("email", "nobody@example.com")
			tab.Follow(`main form button[type="submit"]`)
			tab.CheckViews(l.World + "_auth_forgot_sent")
			tab.Go(home + prefix + "/link/password/none")
			tab.CheckViews(l.World + "_auth_link_dead")
			if l.World == "customer" {
				tab.Go(home + "/sign-up")
				tab.CheckViews("customer_auth_sign-up")
			}
		})
	}
	t.Run("second factor", func(t *testing.T) { setUpSecondFactor(t, g, drive) })
}

// setUpSecondFactor goes through the set-up as a customer whom no other test signs in as.
func setUpSecondFactor(t *testing.T, g guide, drive *browser.Browser) {
	t.Helper()
	for _, l := range g.Logins {
		if l.Email != "mina@latenightlan.test" {
			continue
		}
		at, err := url.Parse(l.URL)
		must(t, err)
		home := at.Scheme + "://" + at.Host
		tab := drive.Page(t, l.URL, browser.Desktop)
		signIn(t, tab, l)
		tab.Go(home + "/client/security")
		tab.CheckViews("customer_security")
		tab.Go(home + "/client/security/second-factor")
		tab.CheckViews("customer_second_factor")
		tab.ClickText("summary", "cannot scan") // the secret stands behind it
		secret := secretShown.FindString(tab.Text("main"))
		if secret == "" {
			t.Fatalf("the page shows no secret: %s", tab.Text("main"))
		}
		code, err := totp.GenerateCode(spaces.ReplaceAllString(secret, ""), time.Now())
		must(t, err)
		tab.Fill("code", code)
		tab.Follow(`main form button[type="submit"]`)
		tab.CheckViews("customer_recovery_codes")
		return
	}
	t.Fatal("the demo has no customer without a second factor")
}

var (
	secretShown = regexp.MustCompile(`\b(?:[A-Z2-7]{4}[  ]?){6,}[A-Z2-7]{0,4}`)
	spaces      = regexp.MustCompile(`\s`)
)
