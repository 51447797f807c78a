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

// PoweredJob follows when a service that is billed by the time it is on was switched on,
// or off after it had been on. It tells the whole of that time: jobs may come in any order.
type PoweredJob struct {
	ServiceID      uuid.UUID `json:"service_id"`
	SubscriptionID uuid.UUID `json:"subscription_id"`
	Since          time.Time `json:"since"`
	Until          time.Time `json:"until,omitzero"` // zero: it is on
}

// Kind names the job.
func (PoweredJob) Kind() string { return "service.powered" }

// on reports whether it was last seen to run. A platform that does not say is believed
// that it does.
func (s *Service) on() bool {
	return s.Observed == SeenActive && !s.BeganAt.IsZero() && s.Power != provisioners.PowerOff
}

// powered notes when a service was switched on or off, as far as it is seen, and has that
// billed where the plan is.
func (s *Service) powered(ctx context.Context, tx *tenancy.Tx) error {
	on := s.on()
	if on == !s.OnSince.IsZero() {
		return nil
	}
	job := PoweredJob{ServiceID: s.ID, SubscriptionID: s.SubscriptionID, Since: s.OnSince}
	key := s.ID.String() + "/off/"
	if on {
		s.OnSince = tx.Now()
		job.Since, key = s.OnSince, s.ID.String()+"/on/"
	} else {
		job.Until, s.OnSince = tx.Now(), time.Time{}
	}
	var billed bool
	err := tx.NewRaw("SELECT EXISTS (SELECT FROM subscriptions s JOIN meters m ON m.plan_id = s.plan_id WHERE s.id = ? AND m.feed = 'power')", s.SubscriptionID).Scan(ctx, &billed)
	if err != nil {
		return fmt.Errorf("look how service %s is billed: %w", s.ID, err)
	}
	if !billed {
		return nil
	}
	_, err = tx.Enqueue(ctx, job, tenancy.JobOptions{Key: key + strconv.FormatInt(tx.Now().UnixMicro(), 10)})
	return err
}

// SpendHolds turns services off and on for what a customer wants to spend.
type SpendHolds struct{}

// Suspend is Suspend for HoldSpend.
func (SpendHolds) Suspend(ctx context.Context, tx *tenancy.Tx, service uuid.UUID, reason string) error {
	return Suspend(ctx, tx, service, HoldSpend, reason)
}

// Release is Release of HoldSpend.
func (SpendHolds) Release(ctx context.Context, tx *tenancy.Tx, service uuid.UUID) error {
	return Release(ctx, tx, service, HoldSpend)
}
