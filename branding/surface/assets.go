package surface

import (
	"bytes"
	"errors"
	"io/fs"
	"mime"
	"path"
	"strings"

	"github.com/valyala/fasthttp"
)

// assets serves bundles whose names carry the hash of their content: kept by
// browsers for ever. A file with .br or .gz beside it is sent compressed.
type assets struct{ files fs.FS }

func newAssets(files fs.FS) *assets { return &assets{files: files} }

func (a *assets) serve(ctx *fasthttp.RequestCtx) {
	writeHeaders(&ctx.Response.Header, ctx.IsTLS())
	name := strings.TrimPrefix(string(ctx.Path()), "/assets/")
	if !ctx.IsGet() && !ctx.IsHead() {
		ctx.Error("method not allowed", fasthttp.StatusMethodNotAllowed)
		return
	}
	if a.files == nil || !fs.ValidPath(name) || path.Ext(name) == "" || strings.HasPrefix(path.Base(name), ".") || name == "manifest.json" {
		ctx.Error("not found", fasthttp.StatusNotFound)
		return
	}
	accept := ctx.Request.Header.Peek("Accept-Encoding")
	for _, enc := range []struct{ name, ext string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !bytes.Contains(accept, []byte(enc.name)) {
			continue
		}
		if body, err := fs.ReadFile(a.files, name+enc.ext); err == nil {
			ctx.Response.Header.Set("Content-Encoding", enc.name)
			send(ctx, name, body)
			return
		}
	}
	body, err := fs.ReadFile(a.files, name)
	if err != nil {
		status := fasthttp.StatusNotFound
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			status = fasthttp.StatusInternalServerError
		}
		ctx.Error("not found", status)
		return
	}
	send(ctx, name, body)
}

func send(ctx *fasthttp.RequestCtx, name string, body []byte) {
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	ctx.Response.Header.SetContentType(kind)
	ctx.Response.Header.Set("Cache-Control", "public, max-age=31536000, immutable")
	ctx.Response.Header.Set("Vary", "Accept-Encoding")
	ctx.Response.SetBody(body)
}
