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
		for sum, page := range s.pages {
			all = append(all, kept{place{s, sum}, page})
		}
	}
	if len(all) != 2 {
		return false
	}
	for i, k := range all {
		k.pages[k.sum] = all[1-i].page
	}
	return true
}
