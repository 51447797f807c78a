package tenancy

import (
	"context"
	"fmt"
)

// Stock keeps spares ahead of demand. It runs where the owner's login is at hand:
// in a worker, by the clock.
type Stock struct{ Builder *Builder }

// Fill builds until want spares are there and answers how many it built. Two that
// fill at once may build one too many each. What was interrupted before counts
// first: it is finished rather than started anew. Numbers spread over the lanes by
// their hash, and with them the spares. Spares that a migration left behind do not
// count: nobody can claim them.
func (s Stock) Fill(ctx context.Context, want int) (built int, err error) {
	have, err := s.Builder.spares(ctx)
	if err != nil {
		return 0, err
	}
	if have < want {
		healed, err := s.Builder.Heal(ctx)
		if err != nil {
			return 0, err
		}
		built = len(healed.Finished)
	}
	for {
		have, err := s.Builder.spares(ctx)
		if err != nil || have >= want {
			return built, err
		}
		if _, err := s.Builder.Build(ctx); err != nil {
			return built, err
		}
		built++
	}
}

func (b *Builder) spares(ctx context.Context) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	conn, err := b.connection(ctx)
	if err != nil {
		return 0, err
	}
	b.built-- // counting spares makes none
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM central.spares WHERE schema_version >= $1", b.script.version).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the spares: %w", err)
	}
	return n, nil
}
