package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/proto"
)

// axeRun asks what WCAG 2.2 AA demands, as far as a program can tell. It answers nothing
// when the rules are not loaded yet. Of a long table the first rows are judged, which
// stand for the others: judging is what most of the time of a walk goes to.
const axeRun = `() => typeof axe === 'undefined' ? '' : axe.run({include: [['html']], exclude: [['tbody > tr:nth-child(n+5)'], ['.timeline > :nth-child(n+5)'], ['option:nth-child(n+5)']]}, {
	runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']},
	resultTypes: ['violations'],
	iframes: false, // they have no rules loaded and would be waited for
	preload: false, // it would add styles of its own, which the page's policy forbids
}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map(n => n.target.join(' ') + ' — ' + n.failureSummary)}))))`

// Check fails the test for everything that went wrong since the page was opened or
// last checked: console, policy, layout and accessibility.
func (p *Page) Check(what string) {
	p.t.Helper()
	for _, trouble := range p.Trouble() {
		p.t.Errorf("%s (%s): %s", what, p.view.Name, trouble)
	}
}

// CheckViews looks at the page in each view, fails the test as Check does and takes its
// picture; afterwards it is looked at as before. The rules of accessibility are asked in one of the views,
// the other one with the next page: most of the time of a walk goes to them, and pages
// are made of the same parts. With pictures they are asked in all.
func (p *Page) CheckViews(name string) {
	p.t.Helper()
	defer p.Look(p.view)
	p.CheckNext(name)
}

// CheckNext is CheckViews of one page of many: the last view it is looked at in is kept for
// the next, so that pages are opened in each of them in turn.
func (p *Page) CheckNext(name string) {
	p.t.Helper()
	p.turn++
	views := Views()
	if p.view == views[len(views)-1] {
		slices.Reverse(views)
	}
	for i, view := range views {
		if view != p.view {
			p.Look(view)
		}
		var trouble []string
		if len(views) > 2 || (i+p.turn/2)%len(views) == 0 {
			trouble = p.Trouble()
		} else {
			trouble = p.unsightly()
		}
		for _, text := range trouble {
			p.t.Errorf("%s at %s (%s): %s", name, p.MustInfo().URL, view.Name, text)
		}
		p.Screenshot(name)
	}
}

// Trouble is what Check would complain of, and forgets it.
func (p *Page) Trouble() []string {
	p.t.Helper()
	return append(p.unsightly(), p.axeViolations()...)
}

// unsightly is all trouble but that with the rules of accessibility.
func (p *Page) unsightly() []string {
	p.t.Helper()
	p.settle()
	trouble := p.violations()
	if wide := p.tooWide(); wide != "" {
		trouble = append(trouble, wide)
	}
	trouble = append(trouble, p.misplaced()...)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.trouble {
		if !p.allowed(text) {
			trouble = append(trouble, text)
		}
	}
	p.trouble = nil
	return trouble
}

// settle waits until no part of the page is being replaced: what goes is shown faintly
// for a moment, which is no page to be judged.
func (p *Page) settle() {
	p.t.Helper()
	err := rod.Try(func() {
		p.Timeout(patience).MustWait(`() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, .htmx-added')`)
	})
	must(p.t, "wait for a page that stands still", err)
}

func (p *Page) allowed(text string) bool {
	for _, ok := range p.ignore {
		if strings.Contains(text, ok) {
			return true
		}
	}
	return false
}

func (p *Page) violations() []string {
	p.t.Helper()
	got, err := p.Eval(`() => { const v = JSON.stringify(window.__violations); window.__violations = []; return v }`)
	must(p.t, "read the policy's violations", err)
	var all []string
	must(p.t, "read the policy's violations", json.Unmarshal([]byte(got.Value.Str()), &all))
	for i := range all {
		all[i] = "content policy: " + all[i]
	}
	return all
}

// tooWide reports a page that scrolls sideways, and the first element that makes it: what
// lies in a part that scrolls by itself does not.
func (p *Page) tooWide() string {
	p.t.Helper()
	got, err := p.Eval(`() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return '';
		const kept = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== 'visible') return true; return false };
		const e = [...document.body.querySelectorAll('*')].find(e => e.getBoundingClientRect().right > width + 1 && !kept(e));
		return 'scrolls sideways: ' + document.documentElement.scrollWidth + ' px of ' + width + (e ? ', first ' + e.outerHTML.slice(0, 200) : '');
	}`)
	must(p.t, "measure the page", err)
	return got.Value.Str()
}

// misplaced reports words that lie under something to press, and boxes to tick that were
// pushed off the line of their words.
func (p *Page) misplaced() []string {
	p.t.Helper()
	got, err := p.Eval(`() => {
		const seen = e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
		const flows = e => { for (; e && e !== document.body; e = e.parentElement) if (['fixed', 'sticky'].includes(getComputedStyle(e).position) || e.matches('dialog, [popover]')) return false; return true };
		const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 4 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
		const presses = [...document.querySelectorAll('main :is(.btn, button, summary, input, select, textarea)')].filter(e => seen(e) && flows(e) && e.getBoundingClientRect().width > 2).map(e => [e, e.getBoundingClientRect()]);
		const found = [], words = document.createTreeWalker(document.querySelector('main') || document.body, NodeFilter.SHOW_TEXT);
		for (let n; n = words.nextNode();) {
			const at = n.parentElement;
			if (!n.data.trim() || !seen(at) || at.closest('.visually-hidden, select, textarea, svg') || !flows(at)) continue;
			const range = document.createRange();
			range.selectNodeContents(n);
			const lines = [...range.getClientRects()];
			for (const [e, r] of presses) if (!e.contains(at) && lines.some(l => meet(l, r))) found.push('"' + n.data.trim().slice(0, 60) + '" lies under ' + e.outerHTML.slice(0, 120));
			const box = at.closest('label')?.querySelector(':is([type=checkbox], [type=radio])');
			if (box && seen(box) && lines.length && lines[0].top > box.getBoundingClientRect().bottom && at.closest('label').innerText.trim().startsWith(n.data.trim())) found.push('"' + n.data.trim().slice(0, 60) + '" is not beside its box');
		}
		return JSON.stringify(found);
	}`)
	must(p.t, "look for what is misplaced", err)
	var all []string
	must(p.t, "look for what is misplaced", json.Unmarshal([]byte(got.Value.Str()), &all))
	return all
}

func (p *Page) axeViolations() []string {
	p.t.Helper()
	got, err := p.Timeout(patience).Eval(axeRun)
	must(p.t, "run the accessibility rules", err)
	if got.Value.Str() == "" { // a document that was not judged before
		// The debugger's own evaluation is not bound by the page's policy.
		_, err = proto.RuntimeEvaluate{Expression: p.axe + ";true", AllowUnsafeEvalBlockedByCSP: true}.Call(p)
		must(p.t, "load the accessibility rules", err)
		got, err = p.Timeout(patience).Eval(axeRun)
		must(p.t, "run the accessibility rules", err)
	}
	var found []struct {
		ID, Help string
		Nodes    []string
	}
	must(p.t, "read the accessibility report", json.Unmarshal([]byte(got.Value.Str()), &found))
	var all []string
	for _, f := range found {
		all = append(all, fmt.Sprintf("accessibility: %s: %s\n  %s", f.ID, f.Help, strings.Join(f.Nodes, "\n  ")))
	}
	return all
}

// Screenshot writes the whole page to <EZSCALE_SCREENSHOTS>/<name>.<view>.png; without
// that variable it does nothing, so that tests leave no files behind.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	folder := os.Getenv(screenshots)
	if folder == "" {
		return
	}
	must(p.t, "make "+folder, os.MkdirAll(folder, 0o755))
	png, err := p.Page.Screenshot(true, &proto.PageCaptureScreenshot{Format: proto.PageCaptureScreenshotFormatPng})
	must(p.t, "take a screenshot", err)
	file := filepath.Join(folder, strings.ReplaceAll(name, "/", "_")+"."+p.view.Name+".png")
	must(p.t, "write "+file, os.WriteFile(file, png, 0o644))
}
