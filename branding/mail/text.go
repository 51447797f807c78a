package mail

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/osteele/liquid"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// Text is a shop's own words for a letter: its subject and what stands above the
// button. The button and what it leads to stay the built-in's.
type Text struct{ Subject, Body string }

// Limits of a shop's own words, in bytes.
const (
	maxSubject = 200
	maxBody    = 8 << 10
)

// tags are what a shop's own words may do besides showing values: choose. Nothing that
// repeats, includes or defines is among them, so that a text is done in time that its
// length bounds.
var tags = map[string]bool{"if": true, "elsif": true, "else": true, "endif": true, "unless": true, "endunless": true, "case": true, "when": true, "endcase": true}

var tagAt = regexp.MustCompile(`\{%-?\s*([^\s%]*)`)

// Check parses the words and tries them on made-up data, or answers with the fault
// mail_text.invalid that says at the field what is wrong.
func (l *Letters) Check(s Sender, name string, t Text) error {
	wrong := map[string]string{}
	for _, part := range []struct {
		field, text string
		most        int
	}{{"subject", t.Subject, maxSubject}, {"body", t.Body, maxBody}} {
		switch {
		case strings.TrimSpace(part.text) == "":
			wrong[part.field] = "Please write something, or go back to the built-in words."
		case len(part.text) > part.most:
			wrong[part.field] = fmt.Sprintf("Please use at most %d characters.", part.most)
		case !utf8.ValidString(part.text) || strings.ContainsRune(part.text, 0):
			wrong[part.field] = "This has characters that no mail can show."
		default:
			if _, err := speak(part.text, s, Sample(name)); err != nil {
				wrong[part.field] = "This cannot be filled in: " + shorten(oneLine(err.Error()), 200)
			}
		}
	}
	return fault.Fields("mail_text.invalid", wrong)
}

// speak fills in one piece of a shop's own words.
func speak(source string, s Sender, data map[string]string) (string, error) {
	for _, m := range tagAt.FindAllStringSubmatch(source, -1) {
		if !tags[m[1]] {
			return "", fmt.Errorf("{%% %s %%} cannot be used here; only if, unless and case can", m[1])
		}
	}
	engine := liquid.NewEngine()
	engine.StrictVariables()
	t, bad := engine.ParseString(source)
	if bad != nil {
		return "", bad
	}
	said, err := letterTemplate{"text": t}.say(s, data)
	if err != nil {
		return "", err
	}
	if len(said["text"]) > maxLetter {
		return "", fmt.Errorf("the words come to more than %d bytes", maxLetter)
	}
	return said["text"], nil
}

// RenderOwn is Render with a shop's own words.
func (l *Letters) RenderOwn(s Sender, name string, data map[string]string, t Text) (Letter, error) {
	subject, err := speak(t.Subject, s, data)
	if err != nil {
		return Letter{}, fmt.Errorf("subject: %w", err)
	}
	body, err := speak(t.Body, s, data)
	if err != nil {
		return Letter{}, fmt.Errorf("body: %w", err)
	}
	return l.render(s, name, data, func(said map[string]string) {
		said["subject"], said["text"] = subject, strings.ReplaceAll(body, "\r\n", "\n")
		delete(said, "after")
	})
}

// BuiltIn is the built-in words of a letter as they are written, to begin one's own with.
func (l *Letters) BuiltIn(theme, name string) Text {
	set, ok := l.sources[theme]
	if !ok {
		set = l.sources["base"]
	}
	return set[name]
}
