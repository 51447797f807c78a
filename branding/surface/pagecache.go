package surface

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash/maphash"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/singleflight"

	"github.com/ezscale/ezscale/tenancy"
)

// PageCacheConfig says what is kept.
type PageCacheConfig struct {
	// Paths are the public pages: exact, with a trailing "*" everything that begins so, or
	// with a trailing "/:" and a name one segment more. A page that is not named here is
	// never kept.
	Paths []string
	// Query are the parameters that choose what a page shows. A request with any other
	// is not answered from the cache, but for Ignored ones, which change nothing.
	Query, Ignored []string
	MaxBytes       int64 // of all pages together; 0: 64 MiB
}

// PageCache keeps rendered pages of anonymous visitors in memory. A page is kept for a
// tenant, an address with its allowed parameters, language and currency, and is good
// as long as the tenant's brand and content versions are those it was made under: the
// resolver's entry carries them, so that a change on any node turns up here with the
// directory's notification, and a hit asks nobody. When a page cannot be made anew
// because something of ours is down, the last one is shown.
//
// A page is kept compressed, too: it is the same for everybody and holds no token, so
// that its length tells nothing to somebody who listens.
//
// Nothing is kept of a visitor: a page is made as for somebody without cookies, and
// an answer that sets one, or is not 200, is not kept.
type PageCache struct {
	cfg    PageCacheConfig
	seed   maphash.Seed
	shards [cacheShards]cacheShard
	making singleflight.Group
	hits   atomic.Int64
	misses atomic.Int64
	stale  atomic.Int64
}

const (
	cacheShards   = 16
	cacheDefault  = 64 << 20
	cacheOverhead = 512 // of an entry beside its body, about
)

// cacheShard is a part of the cache with a lock of its own.
type cacheShard struct {
	mu    sync.Mutex
	pages *simplelru.LRU[string, cachedPage]
	bytes int64
	limit int64
}

// cachedPage is immutable. With thousands of pages none is near the processor when it is
// asked for: all that a hit reads lies in two pieces, the entry of the cache and text.
type cachedPage struct {
	brand, content int64
	text           []byte                  // the values of keptHeaders, one after another, and the body
	ends           [len(keptHeaders)]int32 // of the values
	packed         []byte                  // the body by gzip; nil: that would save little
	packedTag      []byte                  // another form of a page has a tag of its own (RFC 9110, 8.8.3.3)
	route          any                     // for logs and metrics
}

// keptHeaders are those a page may bring, as fasthttp writes them; all others belong to
// one answer. The last is the cache's own.
var keptHeaders = [...][]byte{[]byte(fiber.HeaderContentType), []byte(fiber.HeaderContentLanguage), []byte("Link"), []byte("X-Robots-Tag"), []byte("Etag")}

const etagAt = len(keptHeaders) - 1

// value is that of a kept header; empty: the page has none.
func (c *cachedPage) value(header int) []byte {
	from := int32(0)
	if header > 0 {
		from = c.ends[header-1]
	}
	return c.text[from:c.ends[header]]
}

func (c *cachedPage) body() []byte { return c.text[c.ends[etagAt]:] }

// NewPageCache makes an empty cache.
func NewPageCache(cfg PageCacheConfig) *PageCache {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = cacheDefault
	}
	p := &PageCache{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range p.shards {
		s := &p.shards[i]
		s.limit = cfg.MaxBytes / cacheShards
		// The bytes bound it; the count only must be positive.
		s.pages, _ = simplelru.NewLRU(1<<30, func(key string, page cachedPage) { s.bytes -= page.size(key) })
	}
	return p
}

func (c *cachedPage) size(key string) int64 {
	return int64(len(key)+len(c.text)+len(c.packed)) + cacheOverhead
}

// CachePages answers from the cache where it may and keeps what it may. It stands
// behind the middleware that binds the tenant and before everything that asks who
// the visitor is.
func (p *PageCache) CachePages(c *fiber.Ctx) error {
	t, ok := Tenant(c)
	if !ok || !p.mayKeep(c) {
		return c.Next()
	}
	var buf [256]byte
	key, ok := p.key(buf[:0], c, t)
	if !ok {
		return c.Next()
	}
	shard := &p.shards[maphash.Bytes(p.seed, key)%cacheShards]
	page, ok := shard.get(key)
	if ok && page.brand == t.BrandVersion && page.content == t.ContentVersion {
		p.hits.Add(1)
		return page.send(c)
	}
	p.misses.Add(1)
	if c.Method() == fiber.MethodHead {
		return c.Next() // nothing to keep, and nobody should wait for it
	}
	var old *cachedPage
	if ok {
		old = new(page)
	}
	return p.make(c, t, string(key), shard, old)
}

// mayKeep reports whether the request could be anybody's and asks for a public page.
func (p *PageCache) mayKeep(c *fiber.Ctx) bool {
	m := c.Method()
	return (m == fiber.MethodGet || m == fiber.MethodHead) && p.public(c.Path()) &&
		!isHTMX(c) && len(c.Request().Header.Peek(fiber.HeaderAuthorization)) == 0 && Anonymous(c)
}

func (p *PageCache) public(path string) bool {
	for _, want := range p.cfg.Paths {
		if begins, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(path, begins) || path == want {
			return true
		}
		if i := strings.Index(want, "/:"); i >= 0 && strings.HasPrefix(path, want[:i+1]) && !strings.Contains(path[i+1:], "/") {
			return true
		}
	}
	return false
}

// key appends what the page depends on besides the versions. Pages name their own
// address, therefore host, port and scheme count.
func (p *PageCache) key(buf []byte, c *fiber.Ctx, t tenancy.Tenant) ([]byte, bool) {
	at := arrivalOf(c)
	path, query := c.Request().URI().Path(), c.Request().URI().QueryString()
	if bytes.IndexByte(path, 0) >= 0 || bytes.Contains(query, []byte("%00")) {
		return nil, false // the parts of a key are kept apart by zeros
	}
	port := at.authority[strings.LastIndexByte(at.authority, ':')+1:]
	if len(port) == len(at.authority) {
		port = ""
	}
	buf = strconv.AppendInt(buf, t.ID.Number(), 10)
	for _, part := range []string{at.scheme, at.host, port, t.Locale, t.Currency, t.Theme, t.PrimaryHost} {
		buf = append(append(buf, 0), part...)
	}
	buf = append(append(buf, 0), path...)
	if len(query) == 0 {
		return buf, true
	}
	values, err := url.ParseQuery(string(query))
	if err != nil {
		return nil, false
	}
	known := 0
	for _, name := range p.cfg.Query {
		for _, v := range values[name] {
			buf = append(append(append(append(buf, 0), name...), '='), v...)
		}
		if _, there := values[name]; there {
			known++
		}
	}
	for _, name := range p.cfg.Ignored {
		if _, there := values[name]; there {
			known++
		}
	}
	return buf, known == len(values)
}

func (s *cacheShard) get(key []byte) (cachedPage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes < s.limit/2 { // nobody has to go yet: who was here last does not matter
		return s.pages.Peek(string(key))
	}
	return s.pages.Get(string(key))
}

// put keeps a page, unless a newer one is there or it would take too much of the room.
func (s *cacheShard) put(key string, page *cachedPage) {
	size := page.size(key)
	if size > s.limit/2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.pages.Peek(key); ok {
		if old.content > page.content || old.brand > page.brand {
			return
		}
		s.pages.Remove(key)
	}
	s.pages.Add(key, *page)
	for s.bytes += size; s.bytes > s.limit; {
		s.pages.RemoveOldest()
	}
}

// make has the page made, once for all who ask for it now.
func (p *PageCache) make(c *fiber.Ctx, t tenancy.Tenant, key string, shard *cacheShard, old *cachedPage) error {
	mine := false
	var made error
	version := key + "\x00" + strconv.FormatInt(t.BrandVersion, 10) + "." + strconv.FormatInt(t.ContentVersion, 10)
	page, err, _ := p.making.Do(version, func() (any, error) {
		mine = true
		// As for somebody without cookies: what they would put in is nobody else's.
		c.Request().Header.DelAllCookies()
		if made = c.Next(); made != nil {
			return (*cachedPage)(nil), nil
		}
		page := capture(c, t)
		if page != nil {
			shard.put(key, page)
		}
		return page, nil
	})
	if err != nil {
		return err
	}
	fresh, _ := page.(*cachedPage)
	switch {
	case fresh != nil:
		return fresh.send(c)
	case !mine:
		return c.Next() // what one got was not for all
	case old != nil && ours(c, made):
		p.stale.Add(1)
		c.Response().ResetBody()
		c.Status(fiber.StatusOK)
		c.Set("Warning", `110 - "shown from memory"`)
		return old.send(c)
	default:
		return made
	}
}

// ours reports whether the page is missing for a fault of ours.
func ours(c *fiber.Ctx, err error) bool {
	if err != nil {
		return classify(err).Kind.Status() >= fiber.StatusInternalServerError
	}
	return c.Response().StatusCode() >= fiber.StatusInternalServerError
}

// capture copies an answer that may be kept; nil: it may not.
func capture(c *fiber.Ctx, t tenancy.Tenant) *cachedPage {
	res := c.Response()
	if c.Locals(formTokenKey) != nil || res.StatusCode() != fiber.StatusOK || res.IsBodyStream() ||
		len(res.Header.Peek(fiber.HeaderSetCookie)) > 0 || len(res.Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return nil
	}
	page := &cachedPage{brand: t.BrandVersion, content: t.ContentVersion, route: c.Locals(routeKey)}
	page.keep(&res.Header, res.Body())
	if packed := fasthttp.AppendGzipBytesLevel(nil, page.body(), fasthttp.CompressDefaultCompression); len(packed) < len(page.body())*7/8 {
		page.packed = bytes.Clone(packed)
		page.packedTag = append(bytes.TrimSuffix(bytes.Clone(page.value(etagAt)), []byte(`"`)), `-gzip"`...)
	}
	return page
}

// keep copies headers and body, and makes the tag.
func (c *cachedPage) keep(h *fasthttp.ResponseHeader, body []byte) {
	sum := sha256.Sum256(body)
	values := [len(keptHeaders)][]byte{etagAt: []byte(`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`)}
	size := len(body) + len(values[etagAt])
	for i, name := range keptHeaders[:etagAt] {
		values[i] = h.PeekBytes(name)
		size += len(values[i])
	}
	c.text = make([]byte, 0, size)
	for i, v := range values {
		c.text = append(c.text, v...)
		c.ends[i] = int32(len(c.text)) //nolint:gosec // headers are shorter than a buffer
	}
	c.text = append(c.text, body...)
}

// send answers with the page, or with 304 when the visitor has it.
func (c *cachedPage) send(ctx *fiber.Ctx) error {
	ctx.Locals(routeKey, c.route)
	res := ctx.Response()
	for i, name := range keptHeaders {
		if v := c.value(i); len(v) > 0 {
			res.Header.SetCanonical(name, v)
		}
	}
	// A browser may keep it and asks each time; the same address shows people who are
	// signed in something else.
	res.Header.SetCanonical([]byte(fiber.HeaderCacheControl), []byte("private, no-cache"))
	res.Header.SetCanonical([]byte(fiber.HeaderVary), []byte("Cookie, Accept-Encoding"))
	body := c.body()
	if c.packed != nil && takesGzip(ctx) {
		body = c.packed
		res.Header.SetCanonical(keptHeaders[etagAt], c.packedTag)
		res.Header.SetCanonical([]byte(fiber.HeaderContentEncoding), []byte("gzip"))
	}
	if known := ctx.Request().Header.Peek(fiber.HeaderIfNoneMatch); matches(known, c.value(etagAt)) || c.packed != nil && matches(known, c.packedTag) {
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

// PageCacheStats is how the cache does.
type PageCacheStats struct {
	Hits, Misses, Stale int64
	Pages               int
	Bytes               int64
}

// Stats is how the cache does since it was made.
func (p *PageCache) Stats() PageCacheStats {
	s := PageCacheStats{Hits: p.hits.Load(), Misses: p.misses.Load(), Stale: p.stale.Load()}
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		s.Pages += shard.pages.Len()
		s.Bytes += shard.bytes
		shard.mu.Unlock()
	}
	return s
}
