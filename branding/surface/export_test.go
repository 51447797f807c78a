package surface

// Swap puts each of two kept pages where the other's key leads, as if their hashes were
// alike. It says whether there were two.
func (p *PageCache) Swap() bool {
	type kept struct {
		place
		page cachedPage
	}
	var all []kept
	for i := range p.shards {
		s := &p.shards[i]
		for _, sum := range s.pages.Keys() {
			page, _ := s.pages.Peek(sum)
			all = append(all, kept{place{s, sum}, page})
		}
	}
	if len(all) != 2 {
		return false
	}
	for i, k := range all {
		other := all[1-i].page
		k.pages.Remove(k.sum)
		k.put(&other)
	}
	return true
}
