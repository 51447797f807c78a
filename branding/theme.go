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
	"sync"
)

// maxTemplateBytes bounds one template file.
const maxTemplateBytes = 256 << 10

// Themes renders pages of every theme. It is safe for concurrent use.
type Themes struct {
	sets map[string]map[string]*themePage
}

// themePage is one page of a theme. It is put together when it is first asked for: a
// theme has a hundred pages, each with every layout and partial, and most processes
// never show most of them.
type themePage struct {
	file, source string
	shared       *template.Template // layouts and partials of the theme; never executed
	once         sync.Once
	whole        *template.Template
	err          error
}

func (p *themePage) template() (*template.Template, error) {
	p.once.Do(func() {
		// A clone of its own, so that the blocks of two pages do not collide.
		if p.whole, p.err = p.shared.Clone(); p.err == nil {
			_, p.err = p.whole.New(p.file).Parse(p.source)
		}
	})
	return p.whole, p.err
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
	t := &Themes{sets: map[string]map[string]*themePage{}}
	parsed := map[string]bool{} // sources of pages; themes share most of them
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
		set, err := loadTheme(layers, funcs, parsed)
		if err != nil {
			return nil, fmt.Errorf("theme %s: %w", name, err)
		}
		t.sets[name] = set
	}
	return t, nil
}

// loadTheme parses layouts and partials, and tries each page's own template.
func loadTheme(files fs.FS, funcs template.FuncMap, parsed map[string]bool) (map[string]*themePage, error) {
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
		source, err := readTemplate(files, p)
		if err == nil {
			_, err = shared.New(p).Parse(source)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	set := make(map[string]*themePage, len(pages))
	for _, p := range pages {
		source, err := readTemplate(files, p)
		if err == nil && !parsed[source] {
			_, err = template.New(p).Funcs(funcs).Parse(source)
			parsed[source] = true
		}
		if err != nil {
			return nil, err
		}
		set[strings.TrimSuffix(strings.TrimPrefix(p, "pages/"), ".html")] = &themePage{file: p, source: source, shared: shared}
	}
	return set, nil
}

func readTemplate(files fs.FS, p string) (string, error) {
	b, err := fs.ReadFile(files, p)
	if err != nil {
		return "", err
	}
	if len(b) > maxTemplateBytes {
		return "", fmt.Errorf("%s: larger than %d bytes", p, maxTemplateBytes)
	}
	return string(b), nil
}

// page is a page of a theme, or of base when there is no such theme.
func (t *Themes) page(theme, name string) (*template.Template, error) {
	set, ok := t.sets[theme]
	if !ok {
		set = t.sets["base"]
	}
	p, ok := set[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s/%s", ErrNoPage, theme, name)
	}
	return p.template()
}

// Render writes the page (such as "shop/home") in the layout (such as "shop").
// Nothing is written when it fails.
func (t *Themes) Render(out *bytes.Buffer, theme, layout, page string, data any) error {
	tmpl, err := t.page(theme, page)
	if err != nil {
		return err
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
	tmpl, err := t.page(theme, page)
	if err != nil {
		return err
	}
	start := out.Len()
	if err := tmpl.ExecuteTemplate(out, name, data); err != nil {
		out.Truncate(start)
		return fmt.Errorf("render %s of %s: %w", name, page, err)
	}
	return nil
}
