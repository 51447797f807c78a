package surface

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/tenancy"
)

// cachedPage is immutable. With thousands of pages none is near the processor when it is
// asked for, and each place in memory that is far from the others is waited for: all that
// browsers are sent lies in one, in the order in which it is read.
type cachedPage struct {
	text  []byte  // numbers, and then the parts one after another
	plain *[]byte // the body as it was made; nil: it is the last part
	route *Route  // for logs and metrics
}

// keptHeaders are those a page may bring, as fasthttp writes them; all others belong to
// one answer. The last is the cache's own.
var keptHeaders = [...][]byte{[]byte(fiber.HeaderContentType), []byte(fiber.HeaderContentLanguage), []byte("Link"), []byte("X-Robots-Tag"), []byte("Etag")}

// The parts of a page's text: its key, the values of keptHeaders, the tag of the compressed
// form, which has to have one of its own (RFC 9110, 8.8.3.3), and the body by gzip, or as it was
// made where that would save little.
const (
	keyAt       = 0
	headersAt   = 1
	etagAt      = headersAt + len(keptHeaders) - 1
	packedTagAt = etagAt + 1
	bodyAt      = packedTagAt + 1
)

// The numbers before the parts: the versions of brand and content, and where each part ends.
const (
	brandIn   = 0
	contentIn = 8
	endsIn    = 16
	partsIn   = endsIn + 4*(bodyAt+1)
)

var byteOrder = binary.LittleEndian

func (c cachedPage) brand() int64   { return int64(byteOrder.Uint64(c.text[brandIn:])) }   //nolint:gosec // as it was put
func (c cachedPage) content() int64 { return int64(byteOrder.Uint64(c.text[contentIn:])) } //nolint:gosec // as it was put

func (c cachedPage) end(at int) uint32 { return byteOrder.Uint32(c.text[endsIn+4*at:]) }

// part is one of text's; empty: the page has none.
func (c cachedPage) part(at int) []byte {
	from := uint32(partsIn)
	if at > 0 {
		from = c.end(at - 1)
	}
	return c.text[from:c.end(at)]
}

func (c cachedPage) size() int64 {
	size := int64(len(c.text)) + cacheOverhead
	if c.plain != nil {
		size += int64(len(*c.plain))
	}
	return size
}

// newPage keeps headers and body, and makes the tags.
func newPage(t tenancy.Tenant, key string, h *fasthttp.ResponseHeader, plain []byte) (page cachedPage) {
	sum := sha256.Sum256(plain)
	tag := base64.RawURLEncoding.EncodeToString(sum[:12])
	parts := [bodyAt + 1][]byte{keyAt: []byte(key), etagAt: []byte(`"` + tag + `"`), packedTagAt: []byte(`"` + tag + `-gzip"`), bodyAt: plain}
	for i, name := range keptHeaders[:len(keptHeaders)-1] {
		parts[headersAt+i] = h.PeekBytes(name)
	}
	if packed := fasthttp.AppendGzipBytesLevel(nil, plain, fasthttp.CompressBestCompression); len(packed) < len(plain)*7/8 {
		parts[bodyAt], page.plain = packed, new(bytes.Clone(plain))
	}
	var ends [bodyAt + 1]int
	end := partsIn
	for i, v := range parts {
		end += len(v)
		ends[i] = end
	}
	page.text = make([]byte, 0, end)
	page.text = byteOrder.AppendUint64(page.text, uint64(t.BrandVersion))   //nolint:gosec // read back as it was
	page.text = byteOrder.AppendUint64(page.text, uint64(t.ContentVersion)) //nolint:gosec // read back as it was
	for _, end := range ends {
		page.text = byteOrder.AppendUint32(page.text, uint32(end)) //nolint:gosec // a page is shorter
	}
	for _, v := range parts {
		page.text = append(page.text, v...)
	}
	return page
}

// send answers with the page, or with 304 when the visitor has it.
func (c cachedPage) send(ctx *fiber.Ctx) error {
	ctx.Locals(routeKey, c.route)
	res := ctx.Response()
	for i, name := range keptHeaders {
		if v := c.part(headersAt + i); len(v) > 0 {
			res.Header.SetCanonical(name, v)
		}
	}
	// A browser may keep it and asks each time; the same address shows people who are
	// signed in something else.
	res.Header.SetCanonical([]byte(fiber.HeaderCacheControl), []byte("private, no-cache"))
	res.Header.SetCanonical([]byte(fiber.HeaderVary), []byte("Cookie, Accept-Encoding"))
	body := c.part(bodyAt)
	switch {
	case c.plain != nil && !takesGzip(ctx):
		body = *c.plain
	case c.plain != nil:
		res.Header.SetCanonical(keptHeaders[len(keptHeaders)-1], c.part(packedTagAt))
		res.Header.SetCanonical([]byte(fiber.HeaderContentEncoding), []byte("gzip"))
	}
	if known := ctx.Request().Header.Peek(fiber.HeaderIfNoneMatch); matches(known, c.part(etagAt)) || c.plain != nil && matches(known, c.part(packedTagAt)) {
		res.Header.Del(fiber.HeaderContentEncoding)
		res.ResetBody()
		ctx.Status(fiber.StatusNotModified)
		return nil
	}
	res.SetBodyRaw(body)
	return nil
}

// takesGzip reports whether the visitor reads gzip; whoever weighs encodings is read
// with care, and all others cheaply.
func takesGzip(c *fiber.Ctx) bool {
	accept := c.Request().Header.Peek(fiber.HeaderAcceptEncoding)
	if bytes.Contains(accept, []byte(";")) {
		return c.AcceptsEncodings("gzip") != ""
	}
	return bytes.Contains(accept, []byte("gzip"))
}

// matches reports whether an If-None-Match header names the tag.
func matches(header, etag []byte) bool {
	for len(header) > 0 {
		var one []byte
		one, header = cutComma(header)
		if s := bytes.TrimPrefix(bytes.TrimSpace(one), []byte("W/")); bytes.Equal(s, etag) || string(s) == "*" {
			return true
		}
	}
	return false
}

func cutComma(b []byte) (first, rest []byte) {
	for i := range b {
		if b[i] == ',' {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}
