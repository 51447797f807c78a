package e2e

import (
	"strings"
	"testing"

	"github.com/go-rod/rod"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// TestTwins is a reseller who tries a dearer price in a twin beside one of things as they
// are, lives two months in each, compares them and removes one.
func TestTwins(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	tab, manage := come(t, g, drive, "reseller", "pixelforge")
	made := make([]string, 2)
	for i, w := range []struct{ name, raise string }{{"As it is", "0"}, {"A tenth dearer", "10"}} {
		tab.Go(manage + "/twins")
		tab.Fill("name", w.name)
		tab.Fill("raise", w.raise)
		if i == 1 {
			tab.Click(`input[name="running"]`)
		}
		tab.Follow(`form[action="/manage/twins"] button[type="submit"]`)
		tab.Wait("h1", "^"+w.name+"$")
		made[i] = tab.MustInfo().URL
		await(t, tab, "#twin .btn-primary", "A year ahead") // made by a job; the page asks by itself
		for range 2 {
			tab.Follow(`button[value="month"]`)
			await(t, tab, "#twin .btn-primary", "A year ahead")
		}
		if said := tab.Text("#twin .facts"); strings.Contains(said, "failed") {
			t.Errorf("jobs failed in %q:\n%s", w.name, said)
		}
		tab.Wait("#twin", "Wholesale")
	}
	both(tab, "twin")
	tab.Go(manage + "/twins")
	both(tab, "twins")
	tab.Follow(`form[action="/manage/twins/compare"] button[type="submit"]`)
	tab.Wait("main", "A tenth dearer")
	both(tab, "twins_compared")
	tab.Go(made[0] + "/mails")
	both(tab, "twin_mails")
	tab.Follow("tbody th a")
	both(tab, "twin_mail")
	tab.Go(made[1])
	tab.Follow(`form[action$="/drop"] button`)
	await(t, tab, "#twins", "As it is")
	if _, err := tab.Timeout(patience).ElementByJS(rod.Eval(`() => { const e = document.querySelector('#twins'); return e && !e.innerText.includes('A tenth dearer') ? e : null }`)); err != nil {
		t.Errorf("the removed twin stays listed: %v", err)
	}
}
