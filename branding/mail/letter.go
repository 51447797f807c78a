package mail

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/osteele/liquid"

	"github.com/ezscale/ezscale/branding"
)

// maxLetter bounds a template and what is made of it, in bytes.
const maxLetter = 64 << 10

// Sender is in whose name a letter goes out.
type Sender struct {
	Brand       branding.Brand
	FromName    string
	FromAddress string
	ReplyTo     string // empty: none
	BaseURL     string // of the site links lead to; no slash at the end
	Host        string // of the site, without the port; also ends message ids
}

// Letter is a rendered mail.
type Letter struct {
	Subject, Text, HTML string

	Unsubscribe string // where whoever gets it can do without such letters; empty: nobody can
}

// Unsubscribe is what letters that one can do without have among their data: the path that
// takes a POST (RFC 8058) and leads people to where they can say so. Every such letter ends
// with it, whatever its words are.
const Unsubscribe = "unsubscribe"

// Letters renders letters of every theme. It is immutable and safe for concurrent use.
type Letters struct {
	layout *template.Template
	sets   map[string]map[string]letterTemplate // theme → template name

	sources map[string]map[string]Text // theme → template name: the words as written
}

// letterTemplate is the parts of one template file.
type letterTemplate map[string]*liquid.Template

// partNames are the parts of a file, each begun by a line "--- name". Only after may
// be missing.
var partNames = []string{"subject", "text", "button", "after"}

// LoadLetters reads the letters of every theme in files: base's, and each other
// theme's over them. A letter that does not render is an error here and not on the
// day it is needed.
func LoadLetters(files fs.FS, themes []string) (*Letters, error) {
	layout, err := template.ParseFS(files, "base/mails/layout.gohtml")
	if err != nil {
		return nil, fmt.Errorf("load letters: %w", err)
	}
	l := &Letters{layout: layout, sets: map[string]map[string]letterTemplate{}, sources: map[string]map[string]Text{}}
	for _, theme := range themes {
		own, err := fs.Sub(files, theme)
		if err != nil {
			return nil, err
		}
		base, err := fs.Sub(files, "base")
		if err != nil {
			return nil, err
		}
		set, words := map[string]letterTemplate{}, map[string]Text{}
		for name := range Templates {
			source, err := fs.ReadFile(branding.Overlay{own, base}, "mails/"+name+".liquid")
			if err != nil {
				return nil, fmt.Errorf("load letters of %s: %w", theme, err)
			}
			if set[name], err = parseLetter(string(source)); err != nil {
				return nil, fmt.Errorf("letter %s of %s: %w", name, theme, err)
			}
			words[name] = wordsOf(string(source))
		}
		l.sets[theme], l.sources[theme] = set, words
	}
	return l, l.rehearse()
}

// rehearse renders every letter once.
func (l *Letters) rehearse() error {
	for theme, set := range l.sets {
		s := Sender{Brand: branding.Plain("Example", branding.Tokens{}, branding.Texts{}), BaseURL: "https://example.com", Host: "example.com"}
		s.Brand.Theme = theme
		for name := range set {
			data := map[string]string{}
			for _, key := range Templates[name] {
				data[key] = "/x"
			}
			if _, err := l.Render(s, name, data); err != nil {
				return fmt.Errorf("letter %s of %s: %w", name, theme, err)
			}
		}
	}
	return nil
}

func parseLetter(source string) (letterTemplate, error) {
	if len(source) > maxLetter {
		return nil, fmt.Errorf("larger than %d bytes", maxLetter)
	}
	engine := liquid.NewEngine()
	engine.StrictVariables()
	parts := letterTemplate{}
	for _, chunk := range strings.Split("\n"+strings.ReplaceAll(source, "\r\n", "\n"), "\n--- ")[1:] {
		name, body, _ := strings.Cut(chunk, "\n")
		if !slices.Contains(partNames, name) || parts[name] != nil {
			return nil, fmt.Errorf("part %q is unknown or stands twice", name)
		}
		t, err := engine.ParseString(strings.TrimSpace(body))
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", name, err)
		}
		parts[name] = t
	}
	for _, name := range partNames[:3] {
		if parts[name] == nil {
			return nil, fmt.Errorf("part %s is missing", name)
		}
	}
	return parts, nil
}

// wordsOf is the subject and the text of a letter as they are written.
func wordsOf(source string) (t Text) {
	for _, chunk := range strings.Split("\n"+strings.ReplaceAll(source, "\r\n", "\n"), "\n--- ")[1:] {
		name, body, _ := strings.Cut(chunk, "\n")
		switch name {
		case "subject":
			t.Subject = strings.TrimSpace(body)
		case "text":
			t.Body = strings.TrimSpace(body)
		}
	}
	return t
}

// page is what the layout of the HTML part gets.
type page struct {
	Subject     string
	Name        string
	Logo        string
	BaseURL     string
	Before      [][]string // paragraphs of lines
	Button, URL string
	After       [][]string
	Unsubscribe string
	Footer      [][]string
	Light, Dark branding.Palette
	Font        template.CSS
	Radius      template.CSS
}

// Render makes the letter in the sender's brand and theme.
func (l *Letters) Render(s Sender, name string, data map[string]string) (Letter, error) {
	return l.render(s, name, data, func(map[string]string) {})
}

func (l *Letters) render(s Sender, name string, data map[string]string, change func(said map[string]string)) (Letter, error) {
	set, ok := l.sets[s.Brand.Theme]
	if !ok {
		set = l.sets["base"]
	}
	parts, ok := set[name]
	if !ok {
		return Letter{}, fmt.Errorf("there is no letter %q", name)
	}
	said, err := parts.say(s, data)
	if err != nil {
		return Letter{}, err
	}
	change(said)
	button, link, ok := strings.Cut(said["button"], "|")
	button, link = strings.TrimSpace(button), strings.TrimSpace(link)
	if u, err := url.Parse(link); !ok || err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return Letter{}, fmt.Errorf("the button's address %.80q is not one of a site", link)
	}
	letter := Letter{Subject: oneLine(said["subject"])}
	if path := data[Unsubscribe]; strings.HasPrefix(path, "/") {
		letter.Unsubscribe = s.BaseURL + path
	}
	p := page{
		Subject: letter.Subject, Name: s.Brand.Name, Logo: logo(s), BaseURL: s.BaseURL, Before: paragraphs(said["text"]),
		Button: button, URL: link, After: paragraphs(said["after"]), Footer: paragraphs(footer(s)), Unsubscribe: letter.Unsubscribe,
	}
	p.Light, _ = branding.PaletteFor(s.Brand.Tokens, branding.Light)
	p.Dark, _ = branding.PaletteFor(s.Brand.Tokens, branding.Dark)
	font, radius := branding.Shape(s.Brand.Tokens)
	p.Font, p.Radius = template.CSS(strings.ReplaceAll(font, `"`, "'")), template.CSS(radius) //nolint:gosec // from our own lists
	var html bytes.Buffer
	if err := l.layout.Execute(&html, p); err != nil {
		return Letter{}, err
	}
	letter.HTML, letter.Text = html.String(), plain(p)
	if len(letter.HTML) > 2*maxLetter {
		return Letter{}, fmt.Errorf("the letter has %d bytes", len(letter.HTML))
	}
	return letter, nil
}

// say fills in the words.
func (t letterTemplate) say(s Sender, data map[string]string) (map[string]string, error) {
	values := map[string]any{}
	for k, v := range data {
		if k == "link" && strings.HasPrefix(v, "/") {
			v = s.BaseURL + v
		}
		values[k] = v
	}
	bindings := liquid.Bindings{"data": values, "brand": map[string]any{"name": s.Brand.Name, "host": s.Host, "support": s.ReplyTo}}
	said := map[string]string{}
	for name, part := range t {
		out, err := part.RenderString(bindings)
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", name, err)
		}
		said[name] = strings.TrimSpace(out)
	}
	return said, nil
}

// logo is the address of the brand's logo, when mail programs show its kind.
func logo(s Sender) string {
	if s.Brand.LogoURL == "" || strings.HasSuffix(s.Brand.LogoURL, ".svg") {
		return ""
	}
	return s.BaseURL + s.Brand.LogoURL
}

func footer(s Sender) string {
	f := s.Brand.Texts.MailFooter
	if f == "" {
		f = s.Brand.Name + "\n" + s.Host
	}
	if s.ReplyTo != "" {
		f += "\n\nQuestions? Reply to this mail or write to " + s.ReplyTo + "."
	}
	return f
}

// paragraphs splits at empty lines, and each paragraph into its lines.
func paragraphs(s string) [][]string {
	var all [][]string
	for _, p := range strings.Split(s, "\n\n") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		var lines []string
		for _, l := range strings.Split(p, "\n") {
			lines = append(lines, strings.TrimSpace(l))
		}
		all = append(all, lines)
	}
	return all
}

// plain is the text part: the same words, wrapped, the address alone on its line.
func plain(p page) string {
	var b strings.Builder
	put := func(all [][]string) {
		for _, lines := range all {
			for _, l := range lines {
				b.WriteString(wrap(l, 72) + "\n")
			}
			b.WriteString("\n")
		}
	}
	put(p.Before)
	b.WriteString(p.Button + ":\n" + p.URL + "\n\n")
	put(p.After)
	b.WriteString("-- \n")
	put(p.Footer)
	if p.Unsubscribe != "" {
		b.WriteString("Do without letters such as this one:\n" + p.Unsubscribe + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// wrap breaks a line at spaces so that no piece is longer than width, where it can.
func wrap(s string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(s) {
		n := len([]rune(word))
		switch {
		case i > 0 && column+1+n > width:
			b.WriteByte('\n')
			column = 0
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
