package main

import (
	"context"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/tenant/api"
)

// callLimits counts calls of the API in Redis, for all nodes together.
type callLimits struct{ limiter *redis_rate.Limiter }

func newCallLimits(rdb redis.UniversalClient) callLimits {
	return callLimits{redis_rate.NewLimiter(rdb)}
}

// Take counts one call.
func (l callLimits) Take(ctx context.Context, key string, perMinute int) (api.Allowance, error) {
	r, err := l.limiter.Allow(ctx, key, redis_rate.PerMinute(perMinute))
	if err != nil {
		return api.Allowance{}, err
	}
	return api.Allowance{OK: r.Allowed > 0, Limit: r.Limit.Burst, Remaining: r.Remaining, Reset: r.ResetAfter, Again: max(r.RetryAfter, 0)}, nil
}
