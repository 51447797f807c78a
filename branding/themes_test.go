package branding_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/themes"
)

func funcs() branding.FuncOptions {
	return branding.FuncOptions{Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }}
}

func TestEveryThemeParses(t *testing.T) {
	if _, err := branding.LoadThemes(themes.Files, []string{"base", "aurora", "forge"}, branding.Funcs(funcs())); err != nil {
		t.Fatal(err)
	}
}

// page renders one line of template with the house's functions and partials.
func page(t *testing.T, body string, data any) string {
	t.Helper()
	files := fstest.MapFS{
		"base/layouts/x.html": {Data: []byte(`{{template "content" .}}`)},
		"base/pages/x.html":   {Data: []byte(`{{define "content"}}` + body + `{{end}}`)},
	}
	for _, part := range []string{"parts", "forms", "head", "shell", "site", "site_head", "site_foot", "shop", "styles"} {
		b, err := themes.Files.ReadFile("base/partials/" + part + ".html")
		if err != nil {
			t.Fatal(err)
		}
		files["base/partials/"+part+".html"] = &fstest.MapFile{Data: b}
	}
	set, err := branding.LoadThemes(files, []string{"base"}, branding.Funcs(funcs()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := set.Render(&out, "base", "x", "x", data); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTemplateFunctions(t *testing.T) {
	at := time.Date(2026, 11, 21, 11, 57, 0, 0, time.UTC)
	for _, test := range []struct {
		name, body string
		data       any
		want       string
	}{
		{"an icon", `{{icon "copy"}}`, nil, `<svg class="icon" aria-hidden="true"><use href="/assets/icons.svg#copy"/></svg>`},
		{"minutes ago", `{{ago .}}`, at, `<time datetime="2026-11-21T11:57:00Z" data-ago title="21 Nov 2026, 11:57 UTC">3 minutes ago</time>`},
		{"in one day", `{{ago .}}`, at.Add(25 * time.Hour), `<time datetime="2026-11-22T12:57:00Z" data-ago title="22 Nov 2026, 12:57 UTC">in 1 day</time>`},
		{"never", `{{ago .}}`, time.Time{}, ``},
		{"one", `{{count 1 "domain" "domains"}}`, nil, `1 domain`},
		{"many", `{{count 12345 "domain" "domains"}}`, nil, "12\u202f345 domains"},
		{"bytes", `{{bytes 1536}}`, nil, `1.5 KiB`},
		{"percent", `{{percent .}}`, 64.74, `64.7 %`},
		{"the last month of a card", `{{expiry .}}`, time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC), `12/2034`},
		{"initials", `{{initials "Ada King Lovelace"}}`, nil, `AL`},
		{"a text that is missing", `{{text . "headline" "Servers"}}`, map[string]string{"headline": " "}, `Servers`},
		{"a path with a search", `{{query "/resellers" "q" . "page" 2}}`, "a&b", `/resellers?page=2&amp;q=a%26b`},
		{"a status", `{{template "status" (dict "Kind" "good" "Text" "Active")}}`, nil, `<span class="status status-good">Active</span>`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := page(t, test.body, test.data); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestFieldShowsItsError(t *testing.T) {
	data := map[string]any{"Errors": map[string]string{"email": "That is not an address."}}
	got := page(t, `{{template "field" (dict "Page" . "Name" "email" "Label" "Email" "Value" "a<b" "Help" "We write there.")}}`, data)
	for _, want := range []string{`aria-invalid="true"`, `aria-describedby="email-error email-help"`, `value="a&lt;b"`, `id="email-error">That is not an address.`, `<label for="f-email">Email</label>`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
}

func TestAssets(t *testing.T) {
	built := fstest.MapFS{
		"manifest.json":      {Data: []byte(`{"console.css":"console-abc.css"}`)},
		"console-abc.css":    {Data: []byte("x")},
		"console-abc.css.br": {Data: []byte("y")},
	}
	a, err := branding.OpenAssets(built)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.URL("console.css"); err != nil || got != "/assets/console-abc.css" {
		t.Errorf("console.css is at %q, %v", got, err)
	}
	if _, err := a.URL("other.css"); err == nil {
		t.Error("an asset that was not built has a path")
	}
	if _, err := branding.OpenAssets(fstest.MapFS{}); !errors.Is(err, branding.ErrNotBuilt) {
		t.Errorf("without a manifest: %v", err)
	}
	delete(built, "console-abc.css")
	if _, err := branding.OpenAssets(built); err == nil {
		t.Error("a manifest that names a missing file is accepted")
	}
}
