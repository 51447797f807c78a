package tenancy

import "time"

// LaneStats is how the connections of one lane are used on this node.
type LaneStats struct {
	Lane   int
	InUse  int
	Idle   int
	Max    int
	Waits  int64         // transactions that had to wait for a connection, ever
	Waited time.Duration // all of that waiting together
}

// Stats is how each lane's connections are used now. It asks nobody.
func (p *Pool) Stats() []LaneStats {
	set, leave := p.enter()
	defer leave()
	all := make([]LaneStats, len(set.lanes))
	for i, l := range set.lanes {
		s := l.pool.Stat()
		all[i] = LaneStats{
			Lane: i, InUse: int(s.AcquiredConns()), Idle: int(s.IdleConns()), Max: int(s.MaxConns()),
			Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
		}
	}
	return all
}
