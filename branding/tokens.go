package branding

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// defaultBrand is the colour of a brand that chose none.
const defaultBrand = "#2f5bea"

// Tokens are what a reseller chooses about its looks. Every field may be empty:
// the theme then decides. Colours are "#rrggbb".
type Tokens struct {
	Brand      string `json:"brand,omitempty"`
	Accent     string `json:"accent,omitempty"`
	Background string `json:"background,omitempty"` // of the light scheme; the dark one takes its tint
	Surface    string `json:"surface,omitempty"`
	Text       string `json:"text,omitempty"`
	Font       string `json:"font,omitempty"`    // a key of Fonts
	Radius     string `json:"radius,omitempty"`  // a key of Radii
	Density    string `json:"density,omitempty"` // a key of Densities
	Scheme     string `json:"scheme,omitempty"`  // auto, light or dark
	Logo       string `json:"logo,omitempty"`    // id of an upload
	LogoDark   string `json:"logo_dark,omitempty"`
	Favicon    string `json:"favicon,omitempty"`
}

// Choice is one entry of a fixed list a form offers.
type Choice struct{ Key, Label, Value string }

// Fonts are the stacks a brand may choose: what devices have, so that no page waits
// for a font and no visitor is shown to a font server.
var Fonts = []Choice{
	{"system", "System", `system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif`},
	{"humanist", "Humanist", `Seravek, "Gill Sans Nova", Ubuntu, Calibri, "DejaVu Sans", source-sans-pro, sans-serif`},
	{"geometric", "Geometric", `Avenir, Montserrat, Corbel, "URW Gothic", source-sans-pro, sans-serif`},
	{"grotesque", "Grotesque", `Inter, Roboto, "Helvetica Neue", "Arial Nova", "Nimbus Sans", Arial, sans-serif`},
	{"rounded", "Rounded", `ui-rounded, "Hiragino Maru Gothic ProN", Quicksand, Comfortaa, Manjari, "Arial Rounded MT Bold", Calibri, source-sans-pro, sans-serif`},
	{"serif", "Serif", `Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif`},
	{"mono", "Monospaced", `ui-monospace, "Cascadia Code", "Source Code Pro", Menlo, Consolas, "DejaVu Sans Mono", monospace`},
}

// Radii are the corners a brand may choose.
var Radii = []Choice{
	{"none", "Square", "0"}, {"small", "Slightly rounded", "4px"}, {"medium", "Rounded", "8px"}, {"large", "Very rounded", "14px"},
}

// Densities scale the space between things.
var Densities = []Choice{{"comfortable", "Comfortable", "1"}, {"compact", "Compact", "0.8"}}

// Schemes are the appearances a brand may allow.
var Schemes = []Choice{
	{"auto", "Light and dark, as the visitor prefers", ""}, {"light", "Always light", ""}, {"dark", "Always dark", ""},
}

// pick is the value of key in choices, or of otherwise when there is no such key.
func pick(choices []Choice, key, otherwise string) string {
	value := ""
	for _, c := range choices {
		if c.Key == key {
			return c.Value
		}
		if c.Key == otherwise {
			value = c.Value
		}
	}
	return value
}

func known(choices []Choice, key string) bool {
	return slices.ContainsFunc(choices, func(c Choice) bool { return c.Key == key })
}

// check returns the tokens in their stored form, noting what is wrong per field.
func (t Tokens) check(wrong map[string]string) Tokens {
	color := func(field string, v *string) {
		if *v = strings.ToLower(strings.TrimSpace(*v)); *v == "" {
			return
		}
		c, err := ParseColor(*v)
		if err != nil {
			wrong[field] = "Write the colour as # and six digits, such as #1a7f5a."
			return
		}
		*v = c.String()
	}
	color("brand", &t.Brand)
	color("accent", &t.Accent)
	color("background", &t.Background)
	color("surface", &t.Surface)
	color("text", &t.Text)
	oneOf := func(field, v string, choices []Choice) {
		if v != "" && !known(choices, v) {
			wrong[field] = "Choose one of the list."
		}
	}
	oneOf("font", t.Font, Fonts)
	oneOf("radius", t.Radius, Radii)
	oneOf("density", t.Density, Densities)
	oneOf("scheme", t.Scheme, Schemes)
	for field, v := range map[string]*string{"logo": &t.Logo, "logo_dark": &t.LogoDark, "favicon": &t.Favicon} {
		if *v == "" {
			continue
		}
		id, err := uuid.Parse(*v)
		if err != nil {
			wrong[field] = "Upload the picture again."
			continue
		}
		*v = id.String()
	}
	return t
}

// Fact is one line a reseller may show about itself. We never make one up.
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Question is one question of the shop's home page with its answer.
type Question struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// Texts are what the shop says. Legal pages are Markdown.
type Texts struct {
	Headline     string     `json:"headline,omitempty"`
	Subline      string     `json:"subline,omitempty"`
	Facts        []Fact     `json:"facts,omitempty"`
	Questions    []Question `json:"questions,omitempty"`
	SenderName   string     `json:"sender_name,omitempty"`
	SenderEmail  string     `json:"sender_email,omitempty"`
	SupportEmail string     `json:"support_email,omitempty"`
	MailFooter   string     `json:"mail_footer,omitempty"`
	Imprint      string     `json:"imprint,omitempty"`
	Terms        string     `json:"terms,omitempty"`
	Privacy      string     `json:"privacy,omitempty"`
}

// How much a text may hold, in characters.
const (
	maxLine     = 160
	maxSubline  = 400
	maxAnswer   = 2_000
	maxFooter   = 600
	maxLegal    = 100_000
	maxFacts    = 8
	maxQuestion = 20
)

// mailAddress is deliberately narrow: what every mail server takes, and nothing
// that could break out of a header.
var mailAddress = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$`)

// check returns the texts in their stored form, noting what is wrong per field.
func (t Texts) check(wrong map[string]string) Texts {
	t.Headline = line("headline", t.Headline, maxLine, wrong)
	t.Subline = line("subline", t.Subline, maxSubline, wrong)
	t.SenderName = line("sender_name", t.SenderName, 64, wrong)
	t.SenderEmail = address("sender_email", t.SenderEmail, wrong)
	t.SupportEmail = address("support_email", t.SupportEmail, wrong)
	t.MailFooter = prose("mail_footer", t.MailFooter, maxFooter, wrong)
	t.Imprint = prose("imprint", t.Imprint, maxLegal, wrong)
	t.Terms = prose("terms", t.Terms, maxLegal, wrong)
	t.Privacy = prose("privacy", t.Privacy, maxLegal, wrong)
	var facts []Fact
	for _, f := range t.Facts {
		f = Fact{line("facts", f.Label, maxLine, wrong), line("facts", f.Value, maxLine, wrong)}
		if f != (Fact{}) {
			facts = append(facts, f)
		}
		if (f.Label == "") != (f.Value == "") {
			wrong["facts"] = "A fact needs both its name and its value."
		}
	}
	var questions []Question
	for _, q := range t.Questions {
		q = Question{line("questions", q.Question, maxLine, wrong), prose("questions", q.Answer, maxAnswer, wrong)}
		if q != (Question{}) {
			questions = append(questions, q)
		}
		if (q.Question == "") != (q.Answer == "") {
			wrong["questions"] = "A question needs an answer, and an answer a question."
		}
	}
	if t.Facts = facts; len(facts) > maxFacts {
		wrong["facts"] = "Eight facts are the most a page can show."
	}
	if t.Questions = questions; len(questions) > maxQuestion {
		wrong["questions"] = "Twenty questions are the most."
	}
	return t
}

// line is one line without control characters.
func line(field, s string, limit int, wrong map[string]string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unwelcome(r) }) {
		wrong[field] = "Use one line of plain text, without control characters."
	}
	return bounded(field, s, limit, wrong)
}

// prose is text of several lines.
func prose(field, s string, limit int, wrong map[string]string) string {
	s = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n"))
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' || unwelcome(r) }) {
		wrong[field] = "Use plain text, without control characters."
	}
	return bounded(field, s, limit, wrong)
}

// unwelcome are characters that change the direction or the lines of text around
// them: a name must not be able to rewrite the sentence it stands in.
func unwelcome(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}

func bounded(field, s string, limit int, wrong map[string]string) string {
	if n := len([]rune(s)); n > limit {
		wrong[field] = "This has " + thousands(n) + " characters; " + thousands(limit) + " fit."
	}
	return s
}

func thousands(n int) string {
	s := ""
	for ; n >= 1000; n /= 1000 {
		rest := n % 1000
		s = "," + string([]byte{byte('0' + rest/100), byte('0' + rest/10%10), byte('0' + rest%10)}) + s
	}
	digits := ""
	for {
		digits = string(rune('0'+n%10)) + digits
		if n /= 10; n == 0 {
			return digits + s
		}
	}
}

func address(field, s string, wrong map[string]string) string {
	s = strings.TrimSpace(s)
	if s != "" && (len(s) > 254 || !mailAddress.MatchString(s)) {
		wrong[field] = "Write one address, such as hello@example.com."
	}
	return s
}

// Content is everything a version of a brand holds.
type Content struct {
	Theme     string
	Tokens    Tokens
	Texts     Texts
	CustomCSS string
}

// Check returns the content in its stored form, or an Invalid fault that names what
// is wrong per field. themes are the themes there are.
func (c Content) Check(themes []string) (Content, error) {
	wrong := map[string]string{}
	if c.Theme == "" {
		c.Theme = "base"
	}
	if !slices.Contains(themes, c.Theme) {
		wrong["theme"] = "Choose one of the themes."
	}
	c.Tokens = c.Tokens.check(wrong)
	c.Texts = c.Texts.check(wrong)
	c.CustomCSS = strings.ReplaceAll(strings.ToValidUTF8(c.CustomCSS, "\uFFFD"), "\r\n", "\n")
	if _, err := ScopeCSS(c.CustomCSS); err != nil {
		wrong["custom_css"] = fault.From(err).Message
	}
	return c, fault.Fields("brand.invalid", wrong)
}
