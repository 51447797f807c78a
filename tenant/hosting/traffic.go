package hosting

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// TrafficJob follows when the platform was asked what went over the network of a service
// that is billed by it. It tells what the platform counted from the beginning of each of
// its own periods until it was seen: jobs may come in any order.
type TrafficJob struct {
	ServiceID      uuid.UUID              `json:"service_id"`
	SubscriptionID uuid.UUID              `json:"subscription_id"`
	SeenAt         time.Time              `json:"seen_at"`
	Periods        []provisioners.Traffic `json:"periods"`
}

// Kind names the job.
func (TrafficJob) Kind() string { return "service.traffic" }

// carries reports whether a service is billed by what goes over its network, at a moment
// at which that is asked: when it is looked at, and before it is ended.
func (s *Service) carries(ctx context.Context, tx *tenancy.Tx) (billed bool, err error) {
	if s.Ref == "" || s.Operation != "" && s.Operation != OpTerminate {
		return false, nil
	}
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM subscriptions s JOIN meters m ON m.plan_id = s.plan_id WHERE s.id = ? AND m.feed = 'traffic')", s.SubscriptionID).Scan(ctx, &billed)
	if err != nil {
		return false, fmt.Errorf("look how service %s is billed: %w", s.ID, err)
	}
	return billed, nil
}

// carried asks what went over a service's network. A platform that does not answer is asked
// again with the next look: it counts on from the beginning of its period.
func (d *Desk) carried(ctx context.Context, w work, driver provisioners.Driver) []provisioners.Traffic {
	m, ok := driver.(provisioners.Metered)
	if !ok || !w.Carries {
		return nil
	}
	all, err := m.Traffic(ctx, w.Ref)
	if err != nil && d.Log != nil {
		d.Log.WarnContext(ctx, "hosting: the platform did not say what traffic a service had", "service", w.ID, "error", err)
	}
	return all
}

// tellTraffic has what the platform counted billed.
func (s *Service) tellTraffic(ctx context.Context, tx *tenancy.Tx, all []provisioners.Traffic) error {
	if len(all) == 0 {
		return nil
	}
	_, err := tx.Enqueue(ctx, TrafficJob{ServiceID: s.ID, SubscriptionID: s.SubscriptionID, SeenAt: tx.Now(), Periods: all},
		tenancy.JobOptions{Key: s.ID.String() + "/traffic/" + strconv.FormatInt(tx.Now().UnixMicro(), 10)})
	return err
}
