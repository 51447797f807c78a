package media

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/fault"
)

func TestSVGWithActiveContentIsRefusedAndNamed(t *testing.T) {
	for name, x := range map[string]struct{ body, says string }{
		"script":                  {`<script>alert(1)</script>`, "<script>"},
		"script of no case":       {`<SCRIPT>alert(1)</SCRIPT>`, "<SCRIPT>"},
		"handler":                 {`<path d="M0 0" onload="alert(1)"/>`, "onload"},
		"handler of no case":      {`<path d="M0 0" ONclick="alert(1)"/>`, "ONclick"},
		"foreign object":          {`<foreignObject><p/></foreignObject>`, "<foreignObject>"},
		"page inside":             {`<h:body xmlns:h="http://www.w3.org/1999/xhtml"/>`, "<body>"},
		"script in metadata":      {`<metadata><x><script/></x></metadata>`, "<script>"},
		"outer picture":           {`<image href="https://x.example/p.png"/>`, "<image>"},
		"outer use":               {`<use xlink:href="https://x.example/p.svg#a"/>`, "https://x.example"},
		"use of data":             {`<use href="data:image/svg+xml;base64,PHN2Zz4="/>`, "data:"},
		"javascript link":         {`<use href="javascript:alert(1)"/>`, "javascript:"},
		"spaced javascript":       {`<use href="  javascript:alert(1)"/>`, "javascript:"},
		"link":                    {`<a href="#x"><path d="M0 0"/></a>`, "<a>"},
		"animation":               {`<animate attributeName="href" to="javascript:alert(1)"/>`, "<animate>"},
		"set":                     {`<set attributeName="onmouseover" to="alert(1)"/>`, "<set>"},
		"style loads":             {`<style>p{background:url(https://x.example/)}</style>`, "url(https://x.example"},
		"style loads quoted":      {`<style>p{background:URL( "//x.example/")}</style>`, `//x.example/`},
		"style imports":           {`<style>@import "x.css";</style>`, "@import"},
		"style with escape":       {`<style>p{background:u\72l(x)}</style>`, "backslash"},
		"style in CDATA":          {`<style><![CDATA[p{background:url(//x)}]]></style>`, "url("},
		"attribute style loads":   {`<path d="M0 0" style="fill:url(https://x.example/#a)"/>`, "url(https://x.example"},
		"presentation loads":      {`<path d="M0 0" fill="url(https://x.example/#a)"/>`, "url(https://x.example"},
		"filter loads":            {`<path d="M0 0" filter="url(//x.example/#a)"/>`, "url(//x.example"},
		"presentation escaped":    {`<path d="M0 0" fill="\75rl(//x)"/>`, "backslash"},
		"expression":              {`<path d="M0 0" style="width:expression(alert(1))"/>`, "expression("},
		"element in style":        {`<style><script/></style>`, "within a style"},
		"reused reuse":            {`<g id="a"><use href="#b"/></g><g id="b"/><use href="#a"/>`, "millions"},
		"reuse of itself":         {`<g id="a"><use href="#a"/></g>`, "millions"},
		"instruction":             {`<?xml-stylesheet href="x.css"?>`, "xml-stylesheet"},
		"entity as a link scheme": {`<use href="java&#115;cript:alert(1)"/>`, "javascript:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cleanSVG(offer("a.svg", []byte(svgHead+"\n"+x.body+"</svg>")))
			if !fault.Is(err, "upload.active_content") || !strings.Contains(strings.ToLower(fault.From(err).Message), strings.ToLower(x.says)) {
				t.Errorf("got %v; want %q", err, x.says)
			}
		})
	}
}

func TestSVGDoctypeAndEntitiesAreRefused(t *testing.T) {
	for _, s := range []string{
		`<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + svgHead + `<text>&b;</text></svg>`,
		`<?xml version="1.0"?><!DOCTYPE svg SYSTEM "file:///etc/passwd">` + svgHead + `</svg>`,
	} {
		o := offer("a.svg", []byte(s))
		if _, err := cleanSVG(o); !fault.Is(err, "upload.active_content") {
			t.Errorf("%s: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"entity": svgHead + `<text>&b;</text></svg>`, "cut off": svgHead + "<g>", "two roots": svgHead + "</svg><svg/>",
		"deep": svgHead + strings.Repeat("<g>", 100) + strings.Repeat("</g>", 100) + "</svg>", "other root": `<svg xmlns="http://x.example/"/>`,
		"bad bytes": svgHead + "<text>\xff\xfe</text></svg>",
	} {
		if _, err := cleanSVG(offer("a.svg", []byte(s))); !fault.Is(err, "upload.broken") {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := svgHead + strings.Repeat("<g/>", maxElements) + "</svg>"
	if _, err := cleanSVG(offer("a.svg", []byte(many))); !fault.Is(err, "upload.too_many_elements") {
		t.Errorf("many elements: %v", err)
	}
	reuse := svgHead + `<g id="a">` + strings.Repeat("<g/>", 1000) + "</g>" + strings.Repeat(`<use href="#a"/>`, 200) + "</svg>"
	if _, err := cleanSVG(offer("a.svg", []byte(reuse))); !fault.Is(err, "upload.too_many_elements") {
		t.Errorf("many reused: %v", err)
	}
}

func TestSVGOfDrawingProgramsKeepsWhatDraws(t *testing.T) {
	m, err := cleanSVG(offer("a.svg", []byte(`<?xml version="1.0" encoding="UTF-8"?>
<!-- made by a program -->
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" width="40px" height="20" inkscape:version="1.2">
<metadata><rdf xmlns="x">made at home</rdf></metadata><inkscape:grid/>
<defs><style>.a{fill:url(#g);stroke:#fff}</style><linearGradient id="g"><stop offset="0" stop-color="#f00"/></linearGradient><symbol id="s"><rect width="4" height="4"/></symbol></defs>
<title>A &amp; B</title><path class="a" d="M0 0h40" data-name="x"/><use xlink:href="#s" x="2"/><path fill="url(#g)" style="opacity:.5" d="M1 1"/></svg>`)))
	if err != nil {
		t.Fatal(err)
	}
	want := `<svg xmlns="http://www.w3.org/2000/svg" width="40px" height="20"><defs><style>.a{fill:url(#g);stroke:#fff}</style><linearGradient id="g"><stop offset="0" stop-color="#f00"/></linearGradient><symbol id="s"><rect width="4" height="4"/></symbol></defs><title>A &amp; B</title><path class="a" d="M0 0h40"/><use href="#s" x="2"/><path fill="url(#g)" style="opacity:.5" d="M1 1"/></svg>`
	if string(m.bytes) != want || m.width != 40 || m.height != 20 {
		t.Errorf("%d × %d\n%s\nwant\n%s", m.width, m.height, m.bytes, want)
	}
}

func FuzzSVG(f *testing.F) {
	for _, s := range []string{`<path d="M0 0" style="fill:url(#a)"/>`, `<use href="#a"/><g id="a"/>`, `<style>.a{fill:red}</style>`, `<text>&lt;script></text>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m, err := cleanSVG(offer("a.svg", []byte(svgHead+body+"</svg>")))
		if err != nil {
			return
		}
		lower := strings.ToLower(string(m.bytes))
		for _, bad := range []string{"<script", "<foreignobject", "<!", "<?", " onload=", "<a ", "<image"} {
			if strings.Contains(lower, bad) {
				t.Fatalf("%q became %q", body, m.bytes)
			}
		}
		again, err := cleanSVG(offer("a.svg", m.bytes))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%q became %q, which becomes %q, %v", body, m.bytes, again.bytes, err)
		}
	})
}
