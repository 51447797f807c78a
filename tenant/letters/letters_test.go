package letters_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/letters"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var by = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func builtIn(t testing.TB) *mail.Letters {
	t.Helper()
	l, err := mail.LoadLetters(themes.Files, []string{"base"})
	must(t, err)
	return l
}

func sender() mail.Sender {
	return mail.Sender{Brand: branding.Plain("Nimbus", branding.Tokens{}, branding.Texts{}), FromAddress: "hello@nimbus.example", BaseURL: "https://nimbus.example", Host: "nimbus.example"}
}

func list(t testing.TB, db *tenancy.DB) (found []letters.Own) {
	t.Helper()
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) (err error) {
		found, err = letters.List(t.Context(), tx)
		return err
	}))
	return found
}

// A shop's own words are its own, are kept as they were checked, and can be taken back.
func TestOwnWords(t *testing.T) {
	w := tenancytest.New(t)
	a, b := w.DB(w.A), w.DB(w.B)
	text := mail.Text{Subject: "  Please pay {{ data.number }} ", Body: "Dear {{ data.name }},\r\n\r\npay.\n"}
	must(t, builtIn(t).Check(sender(), mail.InvoiceDue, text))
	must(t, letters.Save(t.Context(), a, mail.InvoiceDue, text, by))
	got := list(t, a)
	if len(got) != 1 || got[0].Subject != "Please pay {{ data.number }}" || got[0].Body != "Dear {{ data.name }},\n\npay." || got[0].ChangedBy != "Olga" {
		t.Fatalf("%+v", got)
	}
	if theirs := list(t, b); len(theirs) != 0 {
		t.Errorf("the neighbour has them too: %+v", theirs)
	}
	must(t, letters.Reset(t.Context(), b, mail.InvoiceDue, by)) // they have none: nothing happens
	text.Subject = "Second thoughts"
	must(t, letters.Save(t.Context(), a, mail.InvoiceDue, text, by))
	if got := list(t, a); len(got) != 1 || got[0].Subject != "Second thoughts" {
		t.Errorf("%+v", got)
	}
	letter, err := builtIn(t).RenderOwn(sender(), mail.InvoiceDue, mail.Sample(mail.InvoiceDue), mail.Text{Subject: got[0].Subject, Body: got[0].Body})
	if err != nil || letter.Subject != "Please pay INV-2026-00042" || !strings.Contains(letter.Text, "Dear Zoë Berg") || !strings.Contains(letter.HTML, "/client") {
		t.Errorf("%+v, %v", letter, err)
	}
	must(t, letters.Reset(t.Context(), a, mail.InvoiceDue, by))
	must(t, letters.Reset(t.Context(), a, mail.InvoiceDue, by))
	if got := list(t, a); len(got) != 0 {
		t.Errorf("they are there still: %+v", got)
	}
	var trail []string
	must(t, a.View(t.Context(), func(tx *tenancy.Tx) error {
		entries, err := audit.List(t.Context(), tx, audit.Filter{})
		for _, e := range entries {
			trail = append(trail, e.Action)
		}
		return err
	}))
	if strings.Join(trail, " ") != "mail_text.reset mail_text.changed mail_text.changed" {
		t.Errorf("trail: %v", trail)
	}
}

// What a shop may not put in its own words is what goes to others than its customers,
// and what is no letter at all.
func TestOnlyCustomersLetters(t *testing.T) {
	w := tenancytest.New(t)
	for _, name := range []string{"", "none", mail.Alert, mail.WholesaleInvoice, mail.Invitation, mail.ServiceFailed, "invoice_due\x00", "../invoice_due"} {
		for what, err := range map[string]error{
			"save": letters.Save(t.Context(), w.DB(w.A), name, mail.Text{Subject: "a", Body: "b"}, by), "reset": letters.Reset(t.Context(), w.DB(w.A), name, by), "known": letters.Known(name),
		} {
			if !fault.Is(err, "mail_text.not_found") {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	for _, name := range letters.Customers() {
		if _, is := mail.Templates[name]; !is {
			t.Errorf("%s is no letter", name)
		}
	}
	for _, name := range []string{mail.AccountInvitation, mail.MembershipChanged, mail.InvoiceDue, mail.ServiceReady} {
		if !slices.Contains(letters.Customers(), name) {
			t.Errorf("%s cannot be changed", name)
		}
	}
}

// Words that would run, reach or grow are refused at the field before they are kept;
// what people are called is never taken for words.
func TestHostileWords(t *testing.T) {
	l := builtIn(t)
	for what, x := range map[string]struct{ text, says string }{
		"a loop":              {"{% for i in (1..999999999) %}x{% endfor %}", "cannot be used here"},
		"a loop in disguise":  {"{%- tablerow i in (1..9) -%}x{%- endtablerow -%}", "cannot be used here"},
		"an include":          {`{% include "/etc/passwd" %}`, "cannot be used here"},
		"a name of its own":   {"{% assign x = 'y' %}{{ x }}", "cannot be used here"},
		"a capture":           {"{% capture x %}y{% endcapture %}", "cannot be used here"},
		"a tag across lines":  {"{%\nfor i in (1..9) %}x{% endfor %}", "cannot be used here"},
		"raw":                 {"{% raw %}{{ data.name }}{% endraw %}", "cannot be used here"},
		"an unknown variable": {"Dear {{ data.password }}", "cannot be filled in"},
		"another unknown one": {"{{ secrets.key }}", "cannot be filled in"},
		"an unknown filter":   {"{{ data.name | system }}", "cannot be filled in"},
		"an open tag":         {"{% if data.name %}", "cannot be filled in"},
		"an open value":       {"{{ data.name", ""},
		"too many words":      {strings.Repeat("x", 9<<10), "at most"},
		"nothing":             {" \n ", "Please write something"},
		"what is no text":     {"a\x00b", "no mail can show"},
		"what is no UTF-8":    {"a\xffb", "no mail can show"},
	} {
		err := l.Check(sender(), mail.InvoiceDue, mail.Text{Subject: "Fine", Body: x.text})
		if x.says == "" { // harmless: it is shown as it stands, or refused; never an error of ours
			if err != nil && !fault.Is(err, "mail_text.invalid") {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if f := fault.From(err); f.Code != "mail_text.invalid" || !strings.Contains(f.Fields["body"], x.says) || f.Fields["subject"] != "" {
			t.Errorf("%s: %v %v", what, err, f.Fields)
		}
		if err := l.Check(sender(), mail.InvoiceDue, mail.Text{Subject: x.text, Body: "Fine"}); fault.From(err).Fields["subject"] == "" {
			t.Errorf("%s in the subject: %v", what, err)
		}
	}
	for _, good := range []string{"{% if data.off != \"\" %}Off on {{ data.off }}.{% else %}-{% endif %}", "{% unless data.open == \"\" %}{{ data.open | upcase }}{% endunless %}", "{% case data.number %}{% when \"1\" %}one{% else %}many{% endcase %}"} {
		if err := l.Check(sender(), mail.InvoiceDue, mail.Text{Subject: "Fine", Body: good}); err != nil {
			t.Errorf("%s: %v", good, fault.From(err).Fields)
		}
	}
	data := mail.Sample(mail.InvoiceDue)
	data["name"] = `{{ data.link }}{% for i in (1..9) %}<script>alert(1)</script>`
	letter, err := l.RenderOwn(sender(), mail.InvoiceDue, data, mail.Text{Subject: "For {{ data.name }}", Body: "Dear {{ data.name }}"})
	if err != nil || strings.Contains(letter.HTML, "<script") || strings.Contains(letter.Subject, "nimbus.example/client") || !strings.Contains(letter.Text, "{% for i in") {
		t.Errorf("a name is taken for words: %v\n%s", err, letter.Text)
	}
}
