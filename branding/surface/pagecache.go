package surface

import (
	"bytes"
	"hash/maphash"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
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

// cacheShard is a part of the cache with a lock of its own. When there is no room left any page
// goes, whichever comes first: to know which was asked for last, each hit would have to look
// at, and change, places in memory that are far from the page.
type cacheShard struct {
	mu    sync.Mutex
	pages map[uint64]cachedPage // by the hash of their keys, which each page has itself
	bytes int64
	limit int64
}

// NewPageCache makes an empty cache.
func NewPageCache(cfg PageCacheConfig) *PageCache {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = cacheDefault
	}
	p := &PageCache{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].pages, p.shards[i].limit = map[uint64]cachedPage{}, cfg.MaxBytes/cacheShards
	}
	return p
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
	at := p.at(key)
	page, ok := at.get(key)
	if ok && page.brand() == t.BrandVersion && page.content() == t.ContentVersion {
		p.hits.Add(1)
		return page.send(c)
	}
	p.misses.Add(1)
	if c.Method() == fiber.MethodHead {
		return c.Next() // nothing to keep, and nobody should wait for it
	}
	return p.make(c, t, string(key), at, page)
}

// place is where the page of a key is, if there is one.
type place struct {
	*cacheShard
	sum uint64
}

func (p *PageCache) at(key []byte) place {
	sum := maphash.Bytes(p.seed, key)
	return place{&p.shards[sum%cacheShards], sum}
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

// get returns the page of a key. Two keys may have one hash: the page says whose it is.
func (s place) get(key []byte) (page cachedPage, ok bool) {
	s.mu.Lock()
	page, ok = s.pages[s.sum]
	s.mu.Unlock()
	if !ok || !bytes.Equal(page.part(keyAt), key) {
		return cachedPage{}, false
	}
	return page, true
}

// put keeps a page, unless a newer one is there or it would take too much of the room.
func (s place) put(page cachedPage) {
	size := page.size()
	if size > s.limit/2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.pages[s.sum]; ok {
		if bytes.Equal(old.part(keyAt), page.part(keyAt)) && (old.content() > page.content() || old.brand() > page.brand()) {
			return
		}
		s.bytes -= old.size()
	}
	s.pages[s.sum] = page
	s.bytes += size
	for sum, other := range s.pages { // in no order
		if s.bytes <= s.limit {
			return
		}
		if sum != s.sum {
			delete(s.pages, sum)
			s.bytes -= other.size()
		}
	}
}

// make has the page made, once for all who ask for it now.
func (p *PageCache) make(c *fiber.Ctx, t tenancy.Tenant, key string, at place, old cachedPage) error {
	mine := false
	var made error
	version := key + "\x00" + strconv.FormatInt(t.BrandVersion, 10) + "." + strconv.FormatInt(t.ContentVersion, 10)
	page, err, _ := p.making.Do(version, func() (any, error) {
		mine = true
		// As for somebody without cookies: what they would put in is nobody else's.
		c.Request().Header.DelAllCookies()
		if made = c.Next(); made != nil {
			return cachedPage{}, nil
		}
		page := capture(c, t, key)
		if page.text != nil {
			at.put(page)
		}
		return page, nil
	})
	if err != nil {
		return err
	}
	fresh, _ := page.(cachedPage)
	switch {
	case fresh.text != nil:
		return fresh.send(c)
	case !mine:
		return c.Next() // what one got was not for all
	case old.text != nil && ours(c, made):
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

// capture copies an answer that may be kept; without text: it may not.
func capture(c *fiber.Ctx, t tenancy.Tenant, key string) cachedPage {
	res := c.Response()
	if c.Locals(formTokenKey) != nil || res.StatusCode() != fiber.StatusOK || res.IsBodyStream() ||
		len(res.Header.Peek(fiber.HeaderSetCookie)) > 0 || len(res.Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return cachedPage{}
	}
	page := newPage(t, key, &res.Header, res.Body())
	page.route, _ = c.Locals(routeKey).(*Route)
	return page
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
		s.Pages += len(shard.pages)
		s.Bytes += shard.bytes
		shard.mu.Unlock()
	}
	return s
}
