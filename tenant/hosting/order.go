package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// DriveJob brings a service to what is wanted of it.
type DriveJob struct {
	ServiceID uuid.UUID `json:"service_id"`
}

// Kind names the job.
func (DriveJob) Kind() string { return "service.drive" }

// ActiveJob says that a service runs for the first time.
type ActiveJob struct {
	ServiceID uuid.UUID `json:"service_id"`
	ByHand    bool      `json:"by_hand,omitempty"` // the team delivered it
}

// Kind names the job.
func (ActiveJob) Kind() string { return "service.active" }

// Order begins the service of a subscription, which is created after the commit. It
// may be repeated: a subscription has one service, and the second call returns it.
func Order(ctx context.Context, tx *tenancy.Tx, n New) (Service, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Service{}, err
	}
	if strings.TrimSpace(n.Name) == "" {
		n.Name = n.Label
	}
	spec, err := json.Marshal(n.Spec)
	if err != nil {
		return Service{}, err
	}
	keys, err := json.Marshal(append([]string{}, n.SSHKeys...))
	if err != nil {
		return Service{}, err
	}
	if n.SKU == "" { // the team delivers it: nothing of it is the platform's
		n.Addons = nil
	}
	addons, err := addonsOrNull(n.Addons)
	if err != nil {
		return Service{}, err
	}
	var row struct {
		Service
		Sold string
	}
	s := &row.Service
	err = tx.NewRaw(`WITH s AS (INSERT INTO services (id, subscription_id, account_id, type, sku, label, name, platform_id, region, image, spec, hostname, ssh_keys,
			desired, observed, operation, step, operation_key, operation_since, operation_args, progress, problem, attempts, ref, address, addresses, power, holds,
			next_at, created_at, changed_at, addons)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?::jsonb, 'active', 'none', 'create', 'waiting', ?, ?, '{}', 0, '', 0, '', '', '[]', '', '{}', ?, ?, ?, ?::jsonb)
		ON CONFLICT (subscription_id) DO NOTHING RETURNING *) SELECT `+columns+`, `+soldFor("s")+` FROM s`,
		id, n.SubscriptionID, n.AccountID, n.Type, n.SKU, n.Label, n.Name, n.PlatformID, n.Region, n.Image, string(spec), n.Hostname, string(keys),
		uuid.New(), tx.Now(), tx.Now(), tx.Now(), tx.Now(), addons).Scan(ctx, &row)
	if tenancy.IsNoRows(err) {
		return OfSubscription(ctx, tx, n.SubscriptionID)
	}
	if err != nil {
		return Service{}, fmt.Errorf("order a service: %w", err)
	}
	if err := s.show(ctx, tx, row.Sold); err != nil {
		return Service{}, err
	}
	if err := s.tell(ctx, tx, event{kind: "service.ordered", text: s.Label + " was ordered.", seen: true}); err != nil {
		return Service{}, err
	}
	return *s, s.poke(ctx, tx)
}

// poke has the service driven after the commit.
func (s *Service) poke(ctx context.Context, tx *tenancy.Tx) error {
	if err := setAgenda(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Enqueue(ctx, DriveJob{ServiceID: s.ID}, tenancy.JobOptions{})
	return err
}

// later has the service driven when its time has come.
func (s *Service) later(ctx context.Context, tx *tenancy.Tx) error {
	if s.NextAt.IsZero() {
		return nil
	}
	_, err := tx.Enqueue(ctx, DriveJob{ServiceID: s.ID}, tenancy.JobOptions{At: s.NextAt})
	return err
}

// Suspend stops a service for a reason without losing anything. The reason is for
// people, the customer among them. It may be repeated; a service that is to be
// terminated is left alone. Fault: service.not_found.
func Suspend(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, hold Hold, reason string) error {
	s, err := locked(ctx, tx, id)
	if err != nil {
		return err
	}
	if _, held := s.Holds[hold]; held || s.Desired == WantTerminated || s.Over() {
		return nil
	}
	if s.Holds == nil {
		s.Holds = map[Hold]string{}
	}
	s.Holds[hold] = reason
	s.want(WantSuspended, tx.Now())
	if err := s.save(ctx, tx); err != nil {
		return err
	}
	return s.poke(ctx, tx)
}

// Release takes one reason for a suspension away; the service runs again when no other
// is left. It may be repeated. Fault: service.not_found.
func Release(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, hold Hold) error {
	s, err := locked(ctx, tx, id)
	if err != nil {
		return err
	}
	if _, held := s.Holds[hold]; !held {
		return nil
	}
	delete(s.Holds, hold)
	if len(s.Holds) == 0 && s.Desired == WantSuspended {
		s.want(WantActive, tx.Now())
	}
	if err := s.save(ctx, tx); err != nil {
		return err
	}
	return s.poke(ctx, tx)
}

// Terminate ends a service for good: what is on it is lost, and the reseller is billed
// for it no longer once it is gone. It may be repeated. Fault: service.not_found.
func Terminate(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, reason string) error {
	s, err := locked(ctx, tx, id)
	if err != nil {
		return err
	}
	if s.Desired == WantTerminated {
		return nil
	}
	s.want(WantTerminated, tx.Now())
	if s.Over() { // it was lost before; nothing is left to remove
		s.Problem, s.NextAt = "", time.Time{}
	}
	if err := s.tell(ctx, tx, event{kind: "service.ending", text: "The service is to be ended: " + reason + "."}); err != nil {
		return err
	}
	if err := s.save(ctx, tx); err != nil {
		return err
	}
	return s.poke(ctx, tx)
}

// want changes what is wanted, from now on. A problem of before that concerned only what
// was wanted before is no longer one.
func (s *Service) want(d Desired, now time.Time) {
	s.Desired = d
	if d == WantTerminated || s.Operation == OpSuspend || s.Operation == OpRelease || s.Operation == "" {
		s.Problem = ""
	}
	// The opposite is wanted now, whatever came of it: both may be asked at any time.
	switch {
	case s.Operation == OpSuspend && d == WantActive:
		s.begin(OpRelease, StepAsking, now)
	case s.Operation == OpRelease && d == WantSuspended:
		s.begin(OpSuspend, StepAsking, now)
	}
	if s.Problem == "" {
		s.NextAt, s.Attempts = now, 0
	}
}

// begin starts an operation.
func (s *Service) begin(op Operation, step Step, now time.Time) {
	s.Operation, s.Step, s.OperationKey, s.OperationSince, s.OperationArgs = op, step, uuid.New(), now, Args{}
	s.Progress, s.Problem, s.Attempts, s.NextAt = 0, "", 0, now
}

// end leaves the service without an operation.
func (s *Service) end() {
	s.Operation, s.Step, s.OperationKey, s.OperationSince, s.OperationArgs = "", "", uuid.Nil, time.Time{}, Args{}
	s.Progress, s.Attempts = 0, 0
}

// Retry lets a service that could not go on try again.
// Faults: service.not_found, service.nothing_to_retry.
func Retry(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Service, error) {
	s, err := locked(ctx, tx, id)
	if err != nil {
		return Service{}, err
	}
	if s.Problem == "" || s.Over() {
		return Service{}, fault.New(fault.Conflict, "service.nothing_to_retry", "Nothing is to be tried again here.")
	}
	s.Problem, s.Attempts, s.NextAt = "", 0, tx.Now()
	if s.Operation != "" {
		s.OperationKey, s.OperationSince, s.Progress = uuid.New(), tx.Now(), 0
		if s.Step != StepWaiting && s.Operation != OpTerminate {
			s.Step = StepAsking
		}
	}
	if err := s.tell(ctx, tx, event{kind: "service.retried", text: "It is tried again.", key: "retried/" + s.OperationKey.String() + "/" + s.NextAt.Format(time.RFC3339Nano)}); err != nil {
		return Service{}, err
	}
	if err := s.save(ctx, tx); err != nil {
		return Service{}, err
	}
	return s, s.poke(ctx, tx)
}

// event is something to tell of a service.
type event struct {
	kind, text, actor string
	key               string // what the kind and the operation do not make unique
	seen              bool   // by the customer
	news              webhook.Type
}

// tell adds to the timeline, once for an operation.
func (s *Service) tell(ctx context.Context, tx *tenancy.Tx, e event) error {
	key := e.key
	if key == "" {
		key = e.kind + "/" + s.OperationKey.String()
	}
	return activity.Tell(ctx, tx, activity.Event{
		Key: "service/" + s.ID.String() + "/" + key, AccountID: s.AccountID, SubjectKind: activity.Service, SubjectID: s.ID,
		Kind: e.kind, Text: e.text, Actor: e.actor, CustomerSees: e.seen, Programs: s.programs(e.news),
	})
}
