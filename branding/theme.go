// Package branding is how a tenant looks: brand tokens and their versions, themes
// and the pages rendered from them, uploads and the stylesheet. It does not know
// what an order is.
package branding

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

// maxTemplateBytes bounds one template file.
const maxTemplateBytes = 256 << 10

// Themes renders pages of every theme. It is immutable and safe for concurrent use.
type Themes struct {
	sets map[string]map[string]*template.Template
}

// ErrNoPage is returned for a page or theme that does not exist.
var ErrNoPage = errors.New("branding: no such page")

// Overlay is a file system made of layers: the first that has a file wins.
type Overlay []fs.FS

// Open opens name in the first layer that has it.
func (o Overlay) Open(name string) (fs.File, error) {
	for _, l := range o {
		f, err := l.Open(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists name in all layers.
func (o Overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	seen := map[string]bool{}
	var all []fs.DirEntry
	for _, l := range o {
		entries, err := fs.ReadDir(l, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if !seen[e.Name()] {
				seen[e.Name()] = true
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// LoadThemes parses every theme in files: base, and each other folder over it. A
// template that does not parse is an error here and never on a page.
func LoadThemes(files fs.FS, names []string, funcs template.FuncMap) (*Themes, error) {
	t := &Themes{sets: map[string]map[string]*template.Template{}}
	base, err := fs.Sub(files, "base")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		layers := Overlay{base}
		if name != "base" {
			own, err := fs.Sub(files, name)
			if err != nil {
				return nil, err
			}
			layers = Overlay{own, base}
		}
		set, err := loadTheme(layers, funcs)
		if err != nil {
			return nil, fmt.Errorf("theme %s: %w", name, err)
		}
		t.sets[name] = set
	}
	return t, nil
}

// loadTheme parses layouts and partials once, then clones them for each page, so
// that the blocks of two pages do not collide.
func loadTheme(files fs.FS, funcs template.FuncMap) (map[string]*template.Template, error) {
	shared := template.New("").Funcs(funcs).Option("missingkey=error")
	var pages []string
	err := fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".html" {
			return err
		}
		if strings.HasPrefix(p, "pages/") || strings.HasPrefix(p, "mails/") {
			pages = append(pages, p)
			return nil
		}
		return parseInto(shared, files, p)
	})
	if err != nil {
		return nil, err
	}
	set := make(map[string]*template.Template, len(pages))
	for _, p := range pages {
		page, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if err := parseInto(page, files, p); err != nil {
			return nil, err
		}
		set[strings.TrimSuffix(strings.TrimPrefix(p, "pages/"), ".html")] = page
	}
	return set, nil
}

func parseInto(t *template.Template, files fs.FS, p string) error {
	b, err := fs.ReadFile(files, p)
	if err != nil {
		return err
	}
	if len(b) > maxTemplateBytes {
		return fmt.Errorf("%s: larger than %d bytes", p, maxTemplateBytes)
	}
	_, err = t.New(p).Parse(string(b))
	return err
}

// Render writes the page (such as "shop/home") in the layout (such as "shop").
// Nothing is written when it fails.
func (t *Themes) Render(out *bytes.Buffer, theme, layout, page string, data any) error {
	set, ok := t.sets[theme]
	if !ok {
		set = t.sets["base"]
	}
	tmpl, ok := set[page]
	if !ok {
		return fmt.Errorf("%w: %s/%s", ErrNoPage, theme, page)
	}
	start := out.Len()
	if err := tmpl.ExecuteTemplate(out, "layouts/"+layout+".html", data); err != nil {
		out.Truncate(start)
		return fmt.Errorf("render %s: %w", page, err)
	}
	return nil
}

// Fragment writes one named template (a partial or a block) of the page alone.
func (t *Themes) Fragment(out *bytes.Buffer, theme, page, name string, data any) error {
	set, ok := t.sets[theme]
	if !ok {
		set = t.sets["base"]
	}
	tmpl, ok := set[page]
	if !ok {
		return fmt.Errorf("%w: %s/%s", ErrNoPage, theme, page)
	}
	start := out.Len()
	if err := tmpl.ExecuteTemplate(out, name, data); err != nil {
		out.Truncate(start)
		return fmt.Errorf("render %s of %s: %w", name, page, err)
	}
	return nil
}
