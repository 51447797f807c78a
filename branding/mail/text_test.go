package mail

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/themes"
)

func TestAShopsOwnWords(t *testing.T) {
	l := letters(t)
	own := Text{Subject: "Hi {{ data.name }}", Body: "Pay {{ data.open }}{% if data.number != \"\" %} for {{ data.number }}{% endif %}."}
	if err := l.Check(nimbus(), InvoiceDue, own); err != nil {
		t.Fatal(err)
	}
	got, err := l.RenderOwn(nimbus(), InvoiceDue, Sample(InvoiceDue), own)
	if err != nil || got.Subject != "Hi Zoë Berg" || !strings.Contains(got.Text, "Pay €23.79 for INV-2026-00042.") || strings.Contains(got.Text, "turned off") || !strings.Contains(got.Text, "Pay the invoice:") {
		t.Errorf("%q\n%s\n%v", got.Subject, got.Text, err)
	}
	for name := range Templates {
		if err := l.Check(nimbus(), name, l.BuiltIn("base", name)); err != nil {
			t.Errorf("the built-in words of %s: %v", name, err)
		}
	}
	for what, body := range map[string]string{
		"a loop": "{% for i in (1..1000000000) %}x{% endfor %}", "trimmed": "{%- for i in (1..9) -%}x{% endfor %}", "a table": "{% tablerow i in (1..9) %}x{% endtablerow %}",
		"a capture": "{% capture x %}y{% endcapture %}", "an assignment": "{% assign x = 1 %}", "an include": "{% include 'x' %}", "raw": "{% raw %}x{% endraw %}",
		"unknown data": "{{ data.password }}", "an open end": "{% if true %}", "an unknown filter": "{{ data.name | explode }}", "too long": strings.Repeat("x", maxBody+1), "nothing": "  ", "a null": "a\x00b",
	} {
		err := l.Check(nimbus(), InvoiceDue, Text{Subject: "x", Body: body})
		if f := fault.From(err); !fault.Is(err, "mail_text.invalid") || f.Fields["body"] == "" || f.Fields["subject"] != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzOwnWords(f *testing.F) {
	for _, s := range []string{"{{ data.name }}", "{% if %}", "{%for", "{{ data.name | append: data.name }}", "{% case data.name %}{% when 'x' %}y{% endcase %}", "{{", "}}{%"} {
		f.Add(s)
	}
	l, err := LoadLetters(themes.Files, []string{"base"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := l.Check(nimbus(), InvoiceDue, Text{Subject: "x", Body: s})
		if err != nil && !fault.Is(err, "mail_text.invalid") {
			t.Fatal(err)
		}
	})
}
