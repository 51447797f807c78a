// Package themes holds what pages and mails look like: templates, styles and
// texts, one folder a theme over base, and the bundles built from assets/. It has
// no Go logic; branding renders it.
package themes

import "embed"

// Files holds a folder a theme: base is complete, the others override files of it.
//
//go:embed all:base all:aurora all:forge
var Files embed.FS

// Dist holds the hashed bundles and manifest.json that `make assets` builds.
//
//go:embed all:dist
var Dist embed.FS
