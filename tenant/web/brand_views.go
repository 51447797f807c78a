package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// option is one entry of a select.
type option struct{ Value, Label string }

// themeChoice is one theme on its card.
type themeChoice struct {
	Key, Label, Note string
	Chosen           bool
}

// brandView is the page on which a brand is worked on.
type brandView struct {
	branding.Tokens
	branding.Texts
	FactLines, QuestionLines string
	CustomCSS                string
	Theme                    string
	Themes                   []themeChoice
	Fonts, Radii             []option
	Densities, Schemes       []option

	Revision, Published              int
	PublishedAt, SavedAt             time.Time
	SavedBy                          string
	Changes                          []branding.Change // of the draft against what is published
	Findings                         []string
	Problems                         []string // why the last change was not saved
	Conflict                         []branding.Change
	ConflictBy                       string
	LogoURL, LogoDarkURL, FaviconURL string
	Link                             string // of the preview, once
	CanWrite, CanPublish             bool
}

type historyView struct{ Versions []branding.Version }

// versionView is one version: what it changed, and what going back to it would.
type versionView struct {
	Number     int
	Version    branding.Version
	Published  int
	Before     int
	Made, Back []branding.Change
	CanPublish bool
}

// themeNotes say what each theme is like.
var themeNotes = map[string]themeChoice{
	"base":   {Label: "Base", Note: "Quiet and compact. Fits anything."},
	"aurora": {Label: "Aurora", Note: "Airy, with a serif headline. For hosting that feels like a studio."},
	"forge":  {Label: "Forge", Note: "Square and loud. For games and hardware."},
}

// brandFields are the fields of the form, in its order, as problems name them.
var brandFields = []struct{ key, label string }{
	{"theme", "Theme"}, {"brand", "Brand colour"}, {"accent", "Accent colour"}, {"background", "Background"}, {"surface", "Cards"},
	{"text", "Text colour"}, {"font", "Font"}, {"radius", "Corners"}, {"density", "Density"}, {"scheme", "Appearance"}, {"logo", "Logo"},
	{"logo_dark", "Logo on dark"}, {"favicon", "Icon"}, {"headline", "Headline"}, {"subline", "Sub-line"}, {"facts", "Facts"},
	{"questions", "Questions"}, {"sender_name", "Sender's name"}, {"sender_email", "Sender's address"}, {"support_email", "Support address"},
	{"mail_footer", "Footer of mails"}, {"imprint", "Imprint"}, {"terms", "Terms"}, {"privacy", "Privacy"}, {"custom_css", "Custom CSS"},
}

func newBrandView(content branding.Content, themes []string) brandView {
	v := brandView{Fonts: options(branding.Fonts), Radii: options(branding.Radii), Densities: options(branding.Densities), Schemes: options(branding.Schemes)}
	for _, key := range themes {
		t := themeNotes[key]
		if t.Key = key; t.Label == "" {
			t.Label = key
		}
		v.Themes = append(v.Themes, t)
	}
	v.fill(content)
	return v
}

// fill puts the content into the form.
func (v *brandView) fill(c branding.Content) {
	v.Tokens, v.Texts, v.CustomCSS, v.Theme = c.Tokens, c.Texts, c.CustomCSS, c.Theme
	for i := range v.Themes {
		v.Themes[i].Chosen = v.Themes[i].Key == c.Theme
	}
	var facts, questions strings.Builder
	for _, f := range c.Texts.Facts {
		facts.WriteString(f.Label + ": " + f.Value + "\n")
	}
	for _, q := range c.Texts.Questions {
		questions.WriteString(q.Question + "\n" + strings.ReplaceAll(q.Answer, "\n\n", "\n") + "\n\n")
	}
	v.FactLines, v.QuestionLines = strings.TrimSpace(facts.String()), strings.TrimSpace(questions.String())
}

func options(choices []branding.Choice) []option {
	all := []option{{"", "As the theme has it"}}
	for _, c := range choices {
		all = append(all, option{c.Key, c.Label})
	}
	return all
}

// contentOf reads the form over what is stored; pictures have forms of their own.
func contentOf(c *fiber.Ctx, stored branding.Content) (branding.Content, error) {
	t := branding.Tokens{
		Brand: c.FormValue("brand"), Accent: c.FormValue("accent"), Background: c.FormValue("background"), Surface: c.FormValue("surface"),
		Text: c.FormValue("text"), Font: c.FormValue("font"), Radius: c.FormValue("radius"), Density: c.FormValue("density"), Scheme: c.FormValue("scheme"),
		Logo: stored.Tokens.Logo, LogoDark: stored.Tokens.LogoDark, Favicon: stored.Tokens.Favicon,
	}
	x := branding.Texts{
		Headline: c.FormValue("headline"), Subline: c.FormValue("subline"), SenderName: c.FormValue("sender_name"),
		SenderEmail: c.FormValue("sender_email"), SupportEmail: c.FormValue("support_email"), MailFooter: c.FormValue("mail_footer"),
		Imprint: c.FormValue("imprint"), Terms: c.FormValue("terms"), Privacy: c.FormValue("privacy"),
	}
	content := branding.Content{Theme: c.FormValue("theme"), Tokens: t, Texts: x, CustomCSS: c.FormValue("custom_css")}
	wrong := map[string]string{}
	content.Texts.Facts = factsOf(c.FormValue("facts"), wrong)
	content.Texts.Questions = questionsOf(c.FormValue("questions"), wrong)
	return content, fault.Fields("brand.invalid", wrong)
}

// factsOf reads one fact a line, "Name: value".
func factsOf(s string, wrong map[string]string) []branding.Fact {
	var all []branding.Fact
	for _, line := range strings.Split(s, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		label, value, ok := strings.Cut(line, ":")
		if !ok {
			wrong["facts"] = "Write each fact on a line of its own, as Name: value."
			continue
		}
		all = append(all, branding.Fact{Label: strings.TrimSpace(label), Value: strings.TrimSpace(value)})
	}
	return all
}

// questionsOf reads paragraphs whose first line is the question and the rest the answer.
func questionsOf(s string, wrong map[string]string) []branding.Question {
	var all []branding.Question
	for _, p := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		q, a, ok := strings.Cut(p, "\n")
		if !ok {
			wrong["questions"] = "Write the answer below its question, and leave an empty line before the next."
			continue
		}
		all = append(all, branding.Question{Question: strings.TrimSpace(q), Answer: strings.TrimSpace(a)})
	}
	return all
}
