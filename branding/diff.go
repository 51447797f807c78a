package branding

import (
	"fmt"
	"strings"
)

// Change is one difference between two versions.
type Change struct {
	Field, Label string
	From, To     string // empty: not set
	Long         bool   // text of several lines
}

type field struct {
	key, label, value string
	long              bool
}

// fields is the content as an ordered list, the same for any content.
func fields(c Content) []field {
	t, x := c.Tokens, c.Texts
	return []field{
		{"theme", "Theme", c.Theme, false},
		{"brand", "Brand colour", t.Brand, false},
		{"accent", "Accent colour", t.Accent, false},
		{"background", "Background", t.Background, false},
		{"surface", "Surface", t.Surface, false},
		{"text", "Text colour", t.Text, false},
		{"font", "Font", t.Font, false},
		{"radius", "Corners", t.Radius, false},
		{"density", "Density", t.Density, false},
		{"scheme", "Appearance", t.Scheme, false},
		{"logo", "Logo", t.Logo, false},
		{"logo_dark", "Logo on dark", t.LogoDark, false},
		{"favicon", "Icon", t.Favicon, false},
		{"headline", "Headline", x.Headline, false},
		{"subline", "Sub-line", x.Subline, false},
		{"facts", "Facts", factLines(x.Facts), true},
		{"questions", "Questions", questionLines(x.Questions), true},
		{"sender_name", "Sender's name", x.SenderName, false},
		{"sender_email", "Sender's address", x.SenderEmail, false},
		{"support_email", "Support address", x.SupportEmail, false},
		{"mail_footer", "Footer of mails", x.MailFooter, true},
		{"imprint", "Imprint", x.Imprint, true},
		{"terms", "Terms", x.Terms, true},
		{"privacy", "Privacy", x.Privacy, true},
		{"custom_css", "Custom CSS", c.CustomCSS, true},
	}
}

func factLines(all []Fact) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s: %s\n", f.Label, f.Value)
	}
	return b.String()
}

func questionLines(all []Question) string {
	var b strings.Builder
	for _, q := range all {
		fmt.Fprintf(&b, "%s\n%s\n\n", q.Question, q.Answer)
	}
	return b.String()
}

// Diff is what changes from a to b, in the order a form shows it.
func Diff(a, b Content) []Change {
	var changes []Change
	to := fields(b)
	for i, f := range fields(a) {
		if f.value != to[i].value {
			changes = append(changes, Change{Field: f.key, Label: f.label, From: f.value, To: to[i].value, Long: f.long})
		}
	}
	return changes
}
