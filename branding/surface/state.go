package surface

import (
	"bytes"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy"
)

// StateView is what the pages state/… get: what is shown in place of a site.
type StateView struct {
	State  string // unknown, misdirected, suspended, trial_ended, maintenance, archived, error
	Note   string // for the reseller's team, in the words of whoever set the state
	Manage bool   // the reseller's team asked, not a visitor
	Status int
	Code   string // of the fault, for state error
	Text   string // of the fault
	SignIn string // where to sign in, when that would help
}

var stateTitles = map[string]string{
	"unknown":     "There is no site here",
	"misdirected": "Please open this address again",
	"suspended":   "This site is paused",
	"trial_ended": "This site is paused",
	"maintenance": "Back in a moment",
	"archived":    "This site has closed",
}

// stateTexts stand in when a theme has no page for a state, so that an answer never
// depends on a template.
var stateTexts = map[string]string{
	"unknown":     "No site is served under this name. Please check the address.",
	"misdirected": "Your browser used a connection that was opened for another site.",
	"suspended":   "This site does not answer at the moment. Please try again later.",
	"trial_ended": "This site does not answer at the moment. Please try again later.",
	"maintenance": "We are changing something and will be back shortly.",
	"archived":    "This site is no longer here.",
}

// stateAnswer is how a tenant that does not serve answers.
func stateAnswer(s tenancy.Status) (status int, retry time.Duration) {
	switch s {
	case tenancy.Maintenance:
		return fasthttp.StatusServiceUnavailable, time.Minute
	case tenancy.Archived:
		return fasthttp.StatusGone, 0
	default:
		return fasthttp.StatusServiceUnavailable, time.Hour
	}
}

// writeState writes the page state/<page>, or plain words when it cannot be rendered.
func writeState(ctx *fasthttp.RequestCtx, themes *branding.Themes, status int, page string, p Page) {
	ctx.Response.SetStatusCode(status)
	ctx.Response.Header.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	if themes != nil {
		var out bytes.Buffer
		if err := themes.Render(&out, "base", "state", "state/"+page, p); err == nil {
			ctx.Response.SetBody(out.Bytes())
			return
		}
	}
	view, _ := p.View.(StateView)
	text := view.Text
	if text == "" {
		text = stateTexts[page]
	}
	ctx.Response.SetBodyString(bare(p.Title, text, p.RequestID))
}

// bare is a page that needs no template.
func bare(title, text, requestID string) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>`)
	b.WriteString(template.HTMLEscapeString(title))
	b.WriteString("</title></head><body><main><h1>" + template.HTMLEscapeString(title) + "</h1><p>" + template.HTMLEscapeString(text) + "</p>")
	if requestID != "" {
		b.WriteString("<p>Reference: <code>" + template.HTMLEscapeString(requestID) + "</code></p>")
	}
	b.WriteString("</main></body></html>\n")
	return b.String()
}

func retryAfter(h *fasthttp.ResponseHeader, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(d/time.Second)))
	}
}

func bareFault(text string) string {
	return `<p role="alert">` + template.HTMLEscapeString(text) + "</p>\n"
}
