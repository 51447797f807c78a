package branding

import (
	"bytes"
	"html/template"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// markdown renders a reseller's text. Raw HTML in it is dropped, and what comes out is
// sanitised once more: two walls, for the text is shown to other people.
func markdown(source string) (template.HTML, error) {
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.Table)).Convert([]byte(source), &out); err != nil {
		return "", err
	}
	policy := bluemonday.UGCPolicy()
	policy.RequireNoFollowOnLinks(false)
	policy.AllowRelativeURLs(true)
	return template.HTML(policy.SanitizeBytes(out.Bytes())), nil //nolint:gosec // sanitised in the line itself
}
