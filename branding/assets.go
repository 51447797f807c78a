package branding

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// Assets maps the plain names of the built bundles to their hashed ones. It is
// immutable. A nil *Assets leaves plain names as they are, which is enough for tests
// of pages.
type Assets struct{ names map[string]string }

// ErrNotBuilt is returned by OpenAssets when the bundles are missing.
var ErrNotBuilt = errors.New("branding: the assets are not built: run `make assets`")

// OpenAssets reads the manifest that the build wrote into dist and checks that every
// file it names is there.
func OpenAssets(dist fs.FS) (*Assets, error) {
	b, err := fs.ReadFile(dist, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	if err != nil {
		return nil, fmt.Errorf("read the assets' manifest: %w", err)
	}
	a := &Assets{names: map[string]string{}}
	if err := json.Unmarshal(b, &a.names); err != nil {
		return nil, fmt.Errorf("read the assets' manifest: %w", err)
	}
	for plain, hashed := range a.names {
		if _, err := fs.Stat(dist, hashed); err != nil {
			return nil, fmt.Errorf("asset %s: %w", plain, err)
		}
	}
	return a, nil
}

// URL is the path of the asset with this plain name, such as "console.css".
func (a *Assets) URL(plain string) (string, error) {
	if a == nil {
		return "/assets/" + plain, nil
	}
	hashed, ok := a.names[plain]
	if !ok {
		return "", fmt.Errorf("branding: no asset %q", plain)
	}
	return "/assets/" + hashed, nil
}
