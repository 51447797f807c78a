package media

import (
	"container/list"
	"sync"
)

// cache keeps files in memory up to a number of bytes; what was asked for longest ago
// goes first. What it keeps never changes.
type cache struct {
	mu    sync.Mutex
	most  int
	size  int
	order *list.List // front: asked for last
	byKey map[string]*list.Element
}

type cached struct {
	key  string
	file File
}

func newCache(most int) *cache {
	return &cache{most: most, order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *cache) get(key string) (File, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return File{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).file, true
}

func (c *cache) put(key string, f File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok || len(f.Bytes) > c.most/4 {
		return
	}
	c.byKey[key] = c.order.PushFront(&cached{key, f})
	for c.size += len(f.Bytes); c.size > c.most; {
		last := c.order.Back()
		old := c.order.Remove(last).(*cached)
		delete(c.byKey, old.key)
		c.size -= len(old.file.Bytes)
	}
}
