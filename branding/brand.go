package branding

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// maxCachedBrands bounds the brands kept in memory, at about 6 KB each.
const maxCachedBrands = 1024

// Brand is the tenant's published brand. It is kept in memory as long as the
// tenant's brand version, which the directory knows, stays the same.
func (d *Desk) Brand(ctx context.Context, db *tenancy.DB) (Brand, error) {
	t := db.Tenant()
	if b, ok := d.cache.get(t); ok {
		return b, nil
	}
	var b Brand
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := versions(ctx, tx, "state = 'published'")
		if err != nil {
			return err
		}
		v, _ := inState(all, statePublished)
		b, err = resolve(ctx, tx, t, v)
		return err
	})
	if err != nil {
		return Brand{}, fmt.Errorf("read the brand: %w", err)
	}
	d.cache.put(t, b)
	return b, nil
}

// resolve makes a brand of a version: uploads become addresses, tokens a stylesheet.
func resolve(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, v Version) (Brand, error) {
	c := v.Content
	b := Brand{Name: t.Name, Number: v.Number, Theme: c.Theme, Tokens: c.Tokens, Texts: c.Texts, CustomCSS: c.CustomCSS}
	urls, err := media.Paths(ctx, tx, c.Tokens.Logo, c.Tokens.LogoDark, c.Tokens.Favicon)
	if err != nil {
		return Brand{}, err
	}
	b.LogoURL, b.LogoDarkURL, b.FaviconURL = urls[c.Tokens.Logo], urls[c.Tokens.LogoDark], urls[c.Tokens.Favicon]
	return finish(b), nil
}

// finish computes what follows from the tokens.
func finish(b Brand) Brand {
	for _, s := range []Scheme{Light, Dark} {
		if b.Tokens.Scheme == "" || b.Tokens.Scheme == "auto" || b.Tokens.Scheme == string(s) {
			_, repairs := PaletteFor(b.Tokens, s)
			b.Repairs = append(b.Repairs, repairs...)
		}
	}
	b.stylesheet, b.stylesheetHash = Stylesheet(b)
	b.StylesheetURL = "/brand/" + b.stylesheetHash + ".css"
	return b
}

// Plain is a brand that nobody made: the base theme with a name. Pages that belong
// to no tenant, and mails of the platform, use it.
func Plain(name string, tokens Tokens, texts Texts) Brand {
	return finish(Brand{Name: name, Theme: "base", Tokens: tokens, Texts: texts})
}

// CSS is the brand's stylesheet. Do not change the bytes.
func (b Brand) CSS() (css []byte, hash string) { return b.stylesheet, b.stylesheetHash }

var sheetName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// StylesheetNamed is the tenant's stylesheet with this hash: of what is published,
// of the draft or of any version before, so that a page kept somewhere still finds
// the one it was made with. The fault is brand.no_such_stylesheet.
func (d *Desk) StylesheetNamed(ctx context.Context, db *tenancy.DB, hash string) ([]byte, error) {
	missing := fault.New(fault.NotFound, "brand.no_such_stylesheet", "There is no such stylesheet.")
	if !sheetName.MatchString(hash) {
		return nil, missing
	}
	b, err := d.Brand(ctx, db)
	if err != nil {
		return nil, err
	}
	if b.stylesheetHash == hash {
		return b.stylesheet, nil
	}
	var css []byte
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := versions(ctx, tx, "stylesheet_hash = ? ORDER BY number DESC LIMIT 1", hash)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return missing
		}
		var made string
		css, made = Stylesheet(Brand{Tokens: all[0].Content.Tokens, CustomCSS: all[0].Content.CustomCSS})
		if made != hash { // made by another release of the program
			return missing
		}
		return nil
	})
	return css, err
}

// checkUploads refuses pictures that this tenant does not have.
func checkUploads(ctx context.Context, tx tenancy.Statements, t Tokens) error {
	urls, err := media.Paths(ctx, tx, t.Logo, t.LogoDark, t.Favicon)
	if err != nil {
		return err
	}
	wrong := map[string]string{}
	for field, id := range map[string]string{"logo": t.Logo, "logo_dark": t.LogoDark, "favicon": t.Favicon} {
		if id != "" && urls[id] == "" {
			wrong[field] = "Upload the picture again."
		}
	}
	return fault.Fields("brand.invalid", wrong)
}

// brandCache keeps one brand a tenant, of the version last seen.
type brandCache struct {
	mu    sync.RWMutex
	most  int
	known map[tenancy.ID]cachedBrand
}

type cachedBrand struct {
	version int64
	brand   Brand
}

func newBrandCache(most int) *brandCache {
	return &brandCache{most: most, known: map[tenancy.ID]cachedBrand{}}
}

func (c *brandCache) get(t tenancy.Tenant) (Brand, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.known[t.ID]
	if !ok || e.version != t.BrandVersion {
		return Brand{}, false
	}
	e.brand.Name = t.Name
	return e.brand, true
}

func (c *brandCache) put(t tenancy.Tenant, b Brand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.known[t.ID]; ok && e.version > t.BrandVersion {
		return // an older request came late
	}
	if _, ok := c.known[t.ID]; !ok && len(c.known) >= c.most {
		for id := range c.known { // any one: Go's order is random enough
			delete(c.known, id)
			break
		}
	}
	c.known[t.ID] = cachedBrand{version: t.BrandVersion, brand: b}
}
