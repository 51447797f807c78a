package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// Sealer seals credentials; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Mailer takes letters; *mail.Outbox is one.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Metrics hears of operations that ended. outcome is done, failed or given_up.
type Metrics interface {
	OperationEnded(op Operation, outcome string, took time.Duration)
}

// Desk drives services and lets their owners act on them. It is safe for concurrent use.
//
// Driving is a loop of three: claim what is to be done, in a transaction that also takes
// a lease; ask the platform, outside of any; keep the answer and give the lease back, in
// a second. A worker may die anywhere. What it asked for is asked for again when its
// lease has run out: every call to a platform may be repeated, and the step that was
// kept before the call says whether it may have been made.
type Desk struct {
	Platforms Platforms
	Keys      Sealer
	Mail      Mailer
	Metrics   Metrics // may be nil
	Log       *slog.Logger
	// Between is called between any two effects, with a name for the place; tests die there.
	Between func(place string)
}

// How long a worker owns a service, and how long one call may take: the lease outlasts
// the call, so that nobody else asks while an answer may still come.
const (
	leaseFor = 90 * time.Second
	callFor  = 50 * time.Second
	// maxRounds bounds one job; what is left is done by the next.
	maxRounds = 12
	// slack is how much too early a job may come.
	slack = time.Second
)

// errBusy says that another worker holds the lease.
var errBusy = errors.New("hosting: another worker drives the service")

// work is what one round is about.
type work struct {
	Service
	Tenant tenancy.ID
	Owner  provisioners.Owner
	// Carries says that the service is billed by what goes over its network.
	Carries bool
}

// Drive does for a service what is to be done by now. Called too early, twice or for a
// service that is no more, it does nothing. When another worker is at it the error asks
// to be called again.
func (d *Desk) Drive(ctx context.Context, db *tenancy.DB, job DriveJob) error {
	for range maxRounds {
		w, any, err := d.claim(ctx, db, job.ServiceID)
		if errors.Is(err, errBusy) {
			return queue.Retry(10*time.Second, err)
		}
		if err != nil || !any {
			return err
		}
		d.between("claimed")
		o := d.ask(ctx, db, w)
		d.between("asked")
		more, err := d.settle(ctx, db, w, o)
		if err != nil {
			return queue.Retry(leaseFor, err)
		}
		d.between("settled")
		if !more {
			return nil
		}
	}
	return queue.Retry(5*time.Second, fmt.Errorf("hosting: service %s needs more than %d rounds", job.ServiceID, maxRounds))
}

func (d *Desk) between(place string) {
	if d.Between != nil {
		d.Between(place)
	}
}

// tickPage bounds what one tick drives.
const tickPage = 100

// Tick drives the services whose time has come, oldest first, and sets the agenda to the
// next. One that fails does not hold up the others.
func (d *Desk) Tick(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var ids []uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM services WHERE next_at <= ? ORDER BY next_at LIMIT ?", tx.Now(), tickPage).Scan(ctx, &ids)
	})
	if err != nil {
		return fmt.Errorf("find services that are due: %w", err)
	}
	var failed error
	for _, id := range ids {
		err := d.Drive(ctx, db, DriveJob{ServiceID: id})
		if err != nil && !errors.Is(err, errBusy) {
			failed = errors.Join(failed, err)
		}
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		// The first waits for others who set it; what they committed is seen by the second.
		return errors.Join(setAgenda(ctx, tx), setAgenda(ctx, tx))
	})
	if err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// claim decides what is to be done and takes the lease. any is false when nothing is to
// be done now.
func (d *Desk) claim(ctx context.Context, db *tenancy.DB, id uuid.UUID) (w work, any bool, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		any = false
		s, err := locked(ctx, tx, id)
		if fault.Is(err, "service.not_found") {
			return nil
		}
		if err != nil {
			return err
		}
		if s.LeasedUntil.After(tx.Now()) {
			return errBusy
		}
		if !s.due(tx.Now()) {
			return nil
		}
		if s.ByHand() {
			if err := d.manual(ctx, tx, &s, db.Tenant().Sandbox); err != nil {
				return err
			}
			return s.save(ctx, tx)
		}
		over, err := d.prepare(ctx, tx, &s)
		if err != nil {
			return err
		}
		if any = !over; any {
			s.Lease, s.LeasedUntil = uuid.New(), tx.Now().Add(leaseFor)
			s.NextAt = s.LeasedUntil // should this worker die, the tick comes back to it
		}
		w = work{Service: s, Tenant: tx.TenantID()}
		if err := s.save(ctx, tx); err != nil || !any {
			return err
		}
		w.ChangedAt = s.ChangedAt
		if w.Carries, err = s.carries(ctx, tx); err != nil {
			return err
		}
		w.Owner, err = owner(ctx, tx, s.AccountID)
		return err
	})
	return w, any, err
}

// prepare chooses the operation and its step. It reports true when nothing is to be
// asked of the platform.
func (d *Desk) prepare(ctx context.Context, tx *tenancy.Tx, s *Service) (over bool, err error) {
	now := tx.Now()
	switch {
	case s.Over():
		s.NextAt = time.Time{}
		return true, nil
	case s.Desired == WantTerminated && s.Operation != OpTerminate:
		neverAsked := s.Ref == "" && (s.Operation != OpCreate || s.Step == StepWaiting)
		step := StepAsking
		if s.Operation == OpResize {
			if err := s.tellResized(ctx, tx, "It is ended."); err != nil {
				return false, err
			}
		}
		if s.Ref == "" {
			step = StepFinding
		}
		s.begin(OpTerminate, step, now)
		if neverAsked {
			return true, d.terminated(ctx, tx, s)
		}
	case s.Operation != "" && s.Problem != "":
		s.NextAt = time.Time{}
		return true, nil
	case s.Operation == "" && s.Problem == "":
		switch {
		case s.Desired == WantSuspended && s.Observed == SeenActive:
			s.begin(OpSuspend, StepWaiting, now)
		case s.Desired == WantActive && s.Observed == SeenSuspended:
			s.begin(OpRelease, StepWaiting, now)
		}
	}
	if s.Operation == "" && s.Ref == "" {
		s.NextAt = time.Time{}
		return true, nil
	}
	if s.Step == StepWaiting {
		s.Step = StepAsking
	}
	return false, nil
}

// owner is for whom the service is created.
func owner(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (provisioners.Owner, error) {
	var o struct{ Name, Email string }
	err := tx.NewRaw(`SELECT a.name, coalesce((SELECT p.email FROM memberships m JOIN people p ON p.id = m.person_id
			WHERE m.account_id = a.id AND m.role = 'owner' ORDER BY m.created_at, p.id LIMIT 1), '') AS email
		FROM accounts a WHERE a.id = ?`, account).Scan(ctx, &o)
	if err != nil {
		return provisioners.Owner{}, fmt.Errorf("read the account of a service: %w", err)
	}
	return provisioners.Owner{Key: fmt.Sprintf("t%s/%s", tx.TenantID(), account), Name: o.Name, Email: o.Email}, nil
}

// key names the service to its platform; what was created for it is found by it.
func (w *work) key() string { return fmt.Sprintf("t%s/%s", w.Tenant, w.ID) }

// known keeps the platform's name of what was created, before anything else is asked.
func (d *Desk) known(ctx context.Context, db *tenancy.DB, w work, ref provisioners.Ref) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := locked(ctx, tx, w.ID)
		if err != nil {
			return err
		}
		if s.Lease != w.Lease {
			return errLost
		}
		s.Ref = ref
		if s.Operation == OpCreate {
			s.Observed = SeenInstalling
		}
		return s.save(ctx, tx)
	})
}

// errLost says that the worker was too slow: its lease ran out and another has taken over.
var errLost = errors.New("hosting: the lease was lost")
