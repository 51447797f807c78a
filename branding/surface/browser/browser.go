// Package browser drives a headless Chromium in tests and judges the pages it sees:
// an error in the console, a violation of the content policy, a request that failed or
// an accessibility rule that is broken fails the test. It is for tests alone and knows
// no page of ours.
package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/launcher"
	"github.com/go-rod/rod/lib/launcher/flags"
	"github.com/go-rod/rod/lib/proto"
	"github.com/go-rod/rod/lib/utils"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// View is how a page is looked at.
type View struct {
	Name   string // in the names of screenshots
	Width  int
	Height int
	Dark   bool
	Phone  bool // touch, and a phone's pixel density in pictures
}

// The views every page must pass.
var (
	Desktop     = View{Name: "desktop", Width: 1280, Height: 900}
	DesktopDark = View{Name: "desktop-dark", Width: 1280, Height: 900, Dark: true}
	Phone       = View{Name: "phone", Width: 390, Height: 844, Phone: true}
	PhoneDark   = View{Name: "phone-dark", Width: 390, Height: 844, Phone: true, Dark: true}
)

// Views is how a page is looked at in a test: each width and each scheme once, and all
// four when screenshots are taken.
func Views() []View {
	if os.Getenv(screenshots) != "" {
		return []View{Desktop, DesktopDark, Phone, PhoneDark}
	}
	return []View{Desktop, PhoneDark}
}

// screenshots names the folder that pictures go to; without it none are taken.
const screenshots = "EZSCALE_SCREENSHOTS"

// patience bounds each wait for something to appear.
const patience = 20 * time.Second

// lifetime bounds what one tab is used for; pictures of every page take their time.
func lifetime() time.Duration {
	if os.Getenv(screenshots) != "" {
		return 30 * time.Minute
	}
	return 5 * time.Minute
}

// Browser is one headless browser with a profile of its own.
type Browser struct {
	rod *rod.Browser
	axe string
}

// Open starts a browser that ends with the test. Names below .localhost and .test
// reach this machine; nothing else is reachable.
func Open(t testing.TB) *Browser {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	axe, err := os.ReadFile(filepath.Join(tenancytest.Root(), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("the accessibility rules are missing: run npm ci (%v)", err)
	}
	l := launcher.New().Bin(path).Leakless(false).Headless(true).NoSandbox(true)
	// What is painted is painted in the browser's own process, and nothing is started for
	// a window nobody sees: an eighth of a walk's processor time went there.
	for _, flag := range []flags.Flag{"disable-gpu", "in-process-gpu", "disable-extensions", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars", "ignore-certificate-errors"} {
		l = l.Set(flag)
	}
	l = l.Set("host-resolver-rules", "MAP *.localhost 127.0.0.1, MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost").
		Set("font-render-hinting", "none")
	url, err := l.Launch()
	if err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	b := rod.New().ControlURL(url)
	if err := b.Connect(); err != nil {
		l.Kill()
		t.Fatalf("connect to %s: %v", path, err)
	}
	t.Cleanup(func() {
		_ = b.Close()
		l.Kill()
		l.Cleanup()
	})
	return &Browser{rod: b, axe: string(axe)}
}

// Page is one tab, with everything that went wrong in it.
type Page struct {
	*rod.Page
	t       testing.TB
	axe     string
	view    View
	turn    int // of CheckViews
	mu      sync.Mutex
	trouble []string
	ignore  []string
}

// watch notes violations of the content policy; it runs before the page's own scripts.
const watch = `window.__violations = [];
document.addEventListener('securitypolicyviolation', e => window.__violations.push(e.effectiveDirective + ' ' + e.blockedURI + ' ' + (e.sourceFile || '') + ':' + e.lineNumber + ' ' + e.sample));`

// Page opens url in a new tab without cookies of other pages and waits until it is
// loaded. The test fails when that takes too long.
func (b *Browser) Page(t testing.TB, url string, v View) *Page {
	t.Helper()
	private, err := b.rod.Incognito()
	must(t, "open a window", err)
	tab, err := private.Page(proto.TargetCreateTarget{})
	must(t, "open a tab", err)
	p := &Page{Page: tab.Sleeper(often).Timeout(lifetime()), t: t, axe: b.axe, view: v}
	// The tab goes with its window: on its own it would ask whether to leave a form that
	// was changed, and nobody answers.
	t.Cleanup(func() { _ = private.Close() })
	p.listen(tab)
	p.Look(v)
	_, err = tab.EvalOnNewDocument(watch)
	must(t, "watch the policy", err)
	p.Go(url)
	return p
}

// often is how what is waited for is looked for: soon, and then four times a second.
func often() utils.Sleeper {
	return utils.BackoffSleeper(15*time.Millisecond, 250*time.Millisecond, nil)
}

// Look changes how the page is looked at.
func (p *Page) Look(v View) {
	p.t.Helper()
	p.view = v
	scale := 1.0
	if v.Phone && os.Getenv(screenshots) != "" {
		scale = 2 // four times as much to paint, which nothing but a picture shows
	}
	must(p.t, "set the size", p.SetViewport(&proto.EmulationSetDeviceMetricsOverride{Width: v.Width, Height: v.Height, DeviceScaleFactor: scale, Mobile: v.Phone}))
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	must(p.t, "set the scheme", proto.EmulationSetEmulatedMedia{Features: []*proto.EmulationMediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}.Call(p))
}

// Go opens url in the same tab and waits until it is loaded.
func (p *Page) Go(url string) {
	p.t.Helper()
	must(p.t, "open "+url, p.Timeout(patience).Navigate(url))
	p.Loaded()
}

// Loaded waits until the page and what it asks for are there.
func (p *Page) Loaded() {
	p.t.Helper()
	must(p.t, "load the page", p.Timeout(patience).WaitLoad())
	_, err := p.Timeout(patience).Eval(`() => document.fonts.ready.then(() => true)`)
	must(p.t, "load the fonts", err)
}

// Allow lets the page's trouble pass where it contains one of these texts: a test
// that asks for a 404 says so.
func (p *Page) Allow(texts ...string) { p.ignore = append(p.ignore, texts...) }

// listen notes what the page complains of.
func (p *Page) listen(tab *rod.Page) {
	must(p.t, "listen to the console", proto.LogEnable{}.Call(tab))
	go tab.EachEvent(
		func(e *proto.RuntimeConsoleAPICalled) {
			if e.Type != proto.RuntimeConsoleAPICalledTypeError && e.Type != proto.RuntimeConsoleAPICalledTypeWarning {
				return
			}
			var words []string
			for _, a := range e.Args {
				words = append(words, a.Value.String()+a.Description)
			}
			if text := strings.Join(words, " "); !leftBehind(text) {
				p.note("console: " + text)
			}
		},
		func(e *proto.RuntimeExceptionThrown) {
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			p.note("exception: " + text)
		},
		func(e *proto.LogEntryAdded) {
			if e.Entry.Level == proto.LogLogEntryLevelError {
				p.note("log: " + e.Entry.Text + " " + e.Entry.URL)
			}
		},
	)()
}

// leftBehind is what htmx says of a request that was under way when its page was left;
// of one that failed it says more.
func leftBehind(text string) bool {
	return strings.HasPrefix(text, "htmx:sendAbort") || strings.HasPrefix(text, "htmx:afterRequest")
}

func (p *Page) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = append(p.trouble, text)
}

// Text waits for the element and returns what it shows.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	text, err := p.find(selector).Text()
	must(p.t, "read "+selector, err)
	return text
}

// Click waits for the element and clicks it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.press("click "+selector, func() (*rod.Element, error) { return p.Timeout(patience).Element(selector) })
}

// ClickText waits for an element of the selector that shows text (a regular expression) and clicks it.
func (p *Page) ClickText(selector, text string) {
	p.t.Helper()
	p.press(fmt.Sprintf("click %s that says %s", selector, text), func() (*rod.Element, error) { return p.Timeout(patience).ElementR(selector, text) })
}

// press clicks what is found. A page that follows by itself may put another element in
// its place between the two, so what cannot be clicked is looked for again.
func (p *Page) press(what string, find func() (*rod.Element, error)) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		e, err := find()
		must(p.t, what, err)
		if err = e.Timeout(patience/4).Click(proto.InputMouseButtonLeft, 1); err == nil {
			return
		}
		if time.Now().After(deadline) {
			must(p.t, what, err)
		}
	}
}

// Follow clicks and waits for the page it leads to.
func (p *Page) Follow(selector string) {
	p.t.Helper()
	wait := p.Timeout(patience).WaitNavigation(proto.PageLifecycleEventNameLoad)
	p.Click(selector)
	wait()
	p.Loaded()
}

// FollowTo clicks and waits until the address contains a text, by whatever way: a script
// may ask first and go then. The browser is asked for the address and not the page, which
// cannot answer while it is being left.
func (p *Page) FollowTo(selector, to string) {
	p.t.Helper()
	p.Click(selector)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		info, err := p.Info()
		must(p.t, "ask for the address", err)
		if strings.Contains(info.URL, to) {
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not lead to %s but to %s:\n%s", selector, to, info.URL, p.Text("main"))
		}
	}
	p.Loaded()
}

// Fill puts value into the field named name.
func (p *Page) Fill(name, value string) {
	p.t.Helper()
	e := p.find(`[name="` + name + `"]`)
	must(p.t, "empty "+name, e.SelectAllText())
	must(p.t, "fill "+name, e.Input(value))
}

// Wait waits until an element of the selector shows text (a regular expression).
func (p *Page) Wait(selector, text string) {
	p.t.Helper()
	_, err := p.Timeout(patience).ElementR(selector, text)
	must(p.t, fmt.Sprintf("wait for %s that says %s", selector, text), err)
}

func (p *Page) find(selector string) *rod.Element {
	p.t.Helper()
	e, err := p.Timeout(patience).Element(selector)
	must(p.t, "find "+selector, err)
	return e
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
