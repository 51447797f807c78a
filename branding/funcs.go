package branding

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ezscale/ezscale/tenancy/place"
)

// FuncOptions are what the template functions need from outside.
type FuncOptions struct {
	Assets *Assets          // nil: plain names, for tests
	Now    func() time.Time // for "3 minutes ago"; required
}

// priced is what money shows: billing.Money, or a billing.Rate finer than that.
type priced interface{ Format(locale string) string }

// Funcs is every function that templates may call; docs/components.md lists them.
func Funcs(o FuncOptions) template.FuncMap {
	return template.FuncMap{
		"asset":    o.Assets.URL,
		"icon":     func(name string) (template.HTML, error) { return icon(o.Assets, name) },
		"money":    func(m priced, locale string) string { return m.Format(locale) },
		"date":     date,
		"datetime": dateTime,
		"clock":    clock,
		"expiry":   expiry,
		"ago":      func(t time.Time) template.HTML { return ago(t, o.Now()) },
		"dict":     dict,
		"list":     func(items ...any) []any { return items },
		"add":      func(a, b int) int { return a + b },
		"sub":      func(a, b int) int { return a - b },
		"count":    count,
		"bytes":    byteSize,
		"country":  place.CountryName,
		"percent":  func(of100 float64) string { return fmt.Sprintf("%.1f %%", of100) },
		"initials": initials,
		"text":     text,
		"lines": func(s string) []string {
			return strings.Split(strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")), "\n")
		},
		"query":    query,
		"chart":    chart,
		"markdown": markdown,
	}
}

// icon is a Tabler outline icon from the sprite. It is decoration: the word beside
// it, or a visually hidden one, is what is read out.
func icon(a *Assets, name string) (template.HTML, error) {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return "", fmt.Errorf("branding: %q is not the name of an icon", name)
		}
	}
	src, err := a.URL("icons.svg")
	if err != nil {
		return "", err
	}
	return template.HTML(`<svg class="icon" aria-hidden="true"><use href="` + src + `#` + name + `"/></svg>`), nil //nolint:gosec // name is checked above
}

const (
	dateLayout     = "2 Jan 2006"
	dateTimeLayout = "2 Jan 2006, 15:04 MST"
)

// date is a day as people write it. Pass a time in the zone the day is meant in.
func date(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return timeTag(t, t.Format(dateLayout), "")
}

// expiry is the last month of a card, as it is printed on it; t is the day after.
func expiry(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.AddDate(0, 0, -1).Format("01/2006")
}

// dateTime is a moment, which the browser shows in the reader's zone.
func dateTime(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return timeTag(t, t.Format(dateTimeLayout), ` data-at`)
}

// clock is a moment of today, which the browser shows in the reader's zone.
func clock(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return timeTag(t, t.Format("15:04 MST"), ` data-clock`)
}

// ago is a relative time that the browser keeps fresh and shows in full, in the
// reader's zone, on hover.
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return timeTag(t, relative(t.Sub(now)), ` data-ago title="`+t.UTC().Format(dateTimeLayout)+`"`)
}

func timeTag(t time.Time, text, attributes string) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `"` + attributes + `>` + template.HTMLEscapeString(text) + `</time>`) //nolint:gosec // both parts are formatted times
}

func relative(d time.Duration) string {
	size := d.Abs()
	if size < 10*time.Second {
		return "now"
	}
	n, unit := int64(0), ""
	for _, step := range []struct {
		below, size time.Duration
		unit        string
	}{
		{time.Minute, time.Second, "second"},
		{time.Hour, time.Minute, "minute"},
		{24 * time.Hour, time.Hour, "hour"},
		{30 * 24 * time.Hour, 24 * time.Hour, "day"},
		{365 * 24 * time.Hour, 30 * 24 * time.Hour, "month"},
		{math.MaxInt64, 365 * 24 * time.Hour, "year"},
	} {
		if size < step.below {
			n, unit = int64(size/step.size), step.unit
			break
		}
	}
	if n != 1 {
		unit += "s"
	}
	if d < 0 {
		return fmt.Sprintf("%d %s ago", n, unit)
	}
	return fmt.Sprintf("in %d %s", n, unit)
}

// dict makes the map that a partial takes: dict "Name" "email" "Label" "Email".
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: a key without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is not a string", pairs[i])
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}

// count is a number with its noun: count 1 "domain" "domains".
func count(n any, one, many string) (string, error) {
	v, err := whole(n)
	if err != nil {
		return "", err
	}
	if v == 1 {
		return "1 " + one, nil
	}
	return grouped(v) + " " + many, nil
}

func whole(n any) (int64, error) {
	switch v := n.(type) {
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	default:
		return 0, fmt.Errorf("%v is not a whole number", n)
	}
}

// grouped writes thousands apart with a narrow no-break space, which reads the same
// in every locale.
func grouped(v int64) string {
	s := fmt.Sprint(v)
	sign := ""
	if v < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return sign + s
}

// byteSize is a size in binary units: 1.4 GiB.
func byteSize(n any) (string, error) {
	v, err := whole(n)
	if err != nil {
		return "", err
	}
	if v < 1024 {
		return fmt.Sprintf("%d B", v), nil
	}
	size, unit := float64(v)/1024, 0
	for size >= 1024 && unit < 4 {
		size, unit = size/1024, unit+1
	}
	name := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
	if size >= 100 {
		return fmt.Sprintf("%.0f %s", size, name), nil
	}
	return fmt.Sprintf("%.1f %s", size, name), nil
}

// initials are up to two letters for a person without a picture.
func initials(name string) string {
	var out []rune
	for _, word := range strings.Fields(name) {
		r, _ := utf8.DecodeRuneInString(word)
		out = append(out, r)
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return strings.ToUpper(string(out))
}

// text is the first of the site's texts by these keys that is not empty; the last
// argument is what to say when none is.
func text(texts map[string]string, keysAndDefault ...string) string {
	if len(keysAndDefault) == 0 {
		return ""
	}
	last := len(keysAndDefault) - 1
	for _, k := range keysAndDefault[:last] {
		if v := strings.TrimSpace(texts[k]); v != "" {
			return v
		}
	}
	return keysAndDefault[last]
}

// query is path with these query parameters, empty ones left out:
// query "/resellers" "q" .Q "page" 2.
func query(path string, pairs ...any) (string, error) {
	m, err := dict(pairs...)
	if err != nil {
		return "", err
	}
	v := url.Values{}
	for k, value := range m {
		if s := fmt.Sprint(value); s != "" && value != nil {
			v.Set(k, s)
		}
	}
	if len(v) == 0 {
		return path, nil
	}
	return path + "?" + v.Encode(), nil
}
