package hosting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// How often a service at rest is looked at, and how long something small is tried.
const (
	lookEvery = 3 * time.Hour
	smallFor  = 10 * time.Minute
	// slowAfter is how long an operation comes to nothing before people are told.
	slowAfter = 15 * time.Minute
)

// How an operation ended.
const (
	Done    = "done"
	Failed  = "failed"
	GivenUp = "given_up"
)

// settle keeps what came of a round, gives the lease back and says when the next is due;
// more: at once.
func (d *Desk) settle(ctx context.Context, db *tenancy.DB, w work, o outcome) (more bool, err error) {
	var ended string
	var took time.Duration
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		ended, more = "", true
		s, err := locked(ctx, tx, w.ID)
		if err != nil {
			return err
		}
		if s.Lease != w.Lease {
			return nil // too slow: another has taken over, and looks for itself
		}
		s.Lease, s.LeasedUntil, s.SeenAt = uuid.Nil, time.Time{}, tx.Now()
		if err := d.keep(&s, o); err != nil {
			return err
		}
		if s.Operation != w.Operation || s.OperationKey != w.OperationKey {
			s.NextAt = tx.Now() // something else is wanted by now
		} else if ended, err = d.apply(ctx, tx, &s, w, o); err != nil {
			return err
		}
		took = tx.Now().Sub(w.OperationSince)
		if err := errors.Join(s.powered(ctx, tx), s.tellTraffic(ctx, tx, o.traffic)); err != nil {
			return err
		}
		d.between("settling")
		if db.Tenant().Sandbox && s.Operation == "" && s.NextAt.After(tx.Now()) {
			s.NextAt = time.Time{} // nobody changes a sandbox's services behind our back
		}
		if err := s.save(ctx, tx); err != nil {
			return err
		}
		more = s.due(tx.Now())
		if s.Operation != "" && s.NextAt.After(tx.Now()) {
			return s.later(ctx, tx)
		}
		return nil
	})
	if err == nil && ended != "" && w.Operation != "" && d.Metrics != nil {
		d.Metrics.OperationEnded(w.Operation, ended, took)
	}
	return more, err
}

// due reports whether something is to be done for the service now.
func (s *Service) due(now time.Time) bool {
	return !s.NextAt.IsZero() && !s.NextAt.After(now.Add(slack))
}

// keep takes over what the platform told, whatever it means.
func (d *Desk) keep(s *Service, o outcome) error {
	if o.ref != "" {
		s.Ref = o.ref
	}
	if o.state != nil {
		s.Power, s.Progress = o.state.Power, o.state.Progress
		o.addrs = o.state.Addresses
	}
	if len(o.addrs) > 0 {
		s.Addresses, s.Address = o.addrs, o.addrs[0]
	}
	if o.creds == nil {
		return nil
	}
	if s.Sealed = nil; o.creds.Password == "" {
		return nil
	}
	plain, err := json.Marshal(o.creds)
	if err != nil {
		return err
	}
	if s.Sealed, err = d.Keys.Seal(sealPurpose, sealedFor(s.ID), plain); err != nil {
		return fmt.Errorf("seal credentials of %s: %w", s.ID, err)
	}
	return nil
}

// apply moves the service on. ended is not empty when the operation is over.
func (d *Desk) apply(ctx context.Context, tx *tenancy.Tx, s *Service, w work, o outcome) (ended string, err error) {
	now := tx.Now()
	// What has no password in the end has none: its owner sets one.
	if w.Step == StepPassword && w.Operation != OpResetPassword && o.err != nil && !errors.Is(o.err, provisioners.ErrGone) {
		if again(o.err) == nil || now.Sub(s.OperationSince) > smallFor {
			o = outcome{done: true, state: o.state}
		}
	}
	switch {
	case o.gone || errors.Is(o.err, provisioners.ErrGone):
		return Failed, d.vanished(ctx, tx, s)
	case o.err != nil:
		return d.stumbled(ctx, tx, s, o.err)
	case w.Operation == "":
		return "", d.looked(ctx, tx, s, *o.state)
	case o.done:
		return Done, d.finished(ctx, tx, s, o)
	}
	if isSmall(s.Operation) && now.Sub(s.OperationSince) > checkFor {
		return GivenUp, d.gaveUp(ctx, tx, s)
	}
	s.Step, s.Attempts = o.next, 0
	switch forward := w.Step == StepAsking || w.Step == StepFinding || o.next == StepPassword; {
	case forward:
		s.NextAt = now
	case now.Sub(s.OperationSince) > checkFor:
		s.NextAt = now.Add(3 * pollEvery)
		return "", d.slow(ctx, tx, s, "The platform says that it is still at work.")
	default:
		s.NextAt = now.Add(pollEvery)
	}
	return "", nil
}

// isSmall says that an operation is not worth doing any more when it takes long.
func isSmall(op Operation) bool {
	switch op {
	case OpStart, OpStop, OpRestart, OpForceOff, OpRename, OpResetPassword:
		return true
	}
	return false
}

// stumbled decides what an error means.
func (d *Desk) stumbled(ctx context.Context, tx *tenancy.Tx, s *Service, err error) (ended string, _ error) {
	now := tx.Now()
	retry := again(err)
	switch {
	case s.Operation == "": // only looked at: the next look will tell
		s.NextAt = now.Add(lookEvery)
		if retry != nil {
			s.NextAt = now.Add(max(retry.After, 5*time.Minute))
		}
		return "", nil
	case isSmall(s.Operation) && (retry == nil || now.Sub(s.OperationSince) > smallFor):
		return GivenUp, d.gaveUp(ctx, tx, s)
	case retry == nil, s.Operation == OpResize && now.Sub(s.OperationSince) > resizeFor:
		return Failed, d.stuck(ctx, tx, s, problemOf(err))
	}
	s.Attempts++
	s.NextAt = now.Add(max(retry.After, backoff(s.Attempts-1)))
	return "", d.slow(ctx, tx, s, problemOf(err))
}

// slow tells, once an operation, that it takes longer than people expect.
func (d *Desk) slow(ctx context.Context, tx *tenancy.Tx, s *Service, why string) error {
	if tx.Now().Sub(s.OperationSince) < slowAfter {
		return nil
	}
	if err := s.tell(ctx, tx, event{kind: "service.slow", text: "This takes longer than usual. We keep trying, nothing is lost.", seen: true}); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, event{kind: "service.slow_because", text: why}); err != nil {
		return err
	}
	return s.alert(ctx, tx, "service.slow", fmt.Sprintf("%s: %s has not ended after %s. %s", s.Label, s.Operation, slowAfter, why))
}

// finished ends an operation that came to its end.
func (d *Desk) finished(ctx context.Context, tx *tenancy.Tx, s *Service, o outcome) (err error) {
	switch s.Operation {
	case OpCreate:
		err = d.began(ctx, tx, s)
	case OpRebuild:
		s.Observed = SeenActive
		s.Image = s.OperationArgs.Image
		err = s.tell(ctx, tx, event{kind: "service.rebuilt", text: "The operating system was installed anew.", seen: true})
	case OpSuspend:
		s.Observed = SeenSuspended
		err = d.suspended(ctx, tx, s)
	case OpRelease:
		s.Observed = SeenActive
		err = d.released(ctx, tx, s)
	case OpResize:
		err = s.resized(ctx, tx)
	case OpResetPassword:
		err = s.tell(ctx, tx, event{kind: "service.password", text: "A new password was set.", seen: true})
	case OpStart, OpStop, OpRestart, OpForceOff:
		err = s.tell(ctx, tx, event{kind: "service.power", text: powerDone(s.Operation), seen: true})
	}
	if err != nil {
		return err
	}
	if o.state != nil && o.state.Status == provisioners.StatusSuspended && s.Observed == SeenActive {
		s.Observed = SeenSuspended
	}
	s.end()
	s.rest(tx.Now())
	return nil
}

// rest says when a service without an operation is looked at next: at once, where it is
// not yet as it is wanted.
func (s *Service) rest(now time.Time) {
	s.NextAt = now.Add(lookEvery)
	if s.Problem == "" && (s.Desired == WantTerminated || string(s.Desired) != string(s.Observed)) {
		s.NextAt = now
	}
}

func powerDone(op Operation) string {
	switch op {
	case OpStart:
		return "It was started."
	case OpStop:
		return "It was shut down."
	case OpForceOff:
		return "It was switched off."
	default:
		return "It was restarted."
	}
}

// gaveUp ends a small operation that did not come about; nothing else has changed.
func (d *Desk) gaveUp(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	text := map[Operation]string{
		OpStart: "It could not be started. Try again, or write to us.", OpStop: "It did not shut down. Try again, or switch it off.",
		OpRestart: "It could not be restarted. Try again, or write to us.", OpForceOff: "It could not be switched off. Try again, or write to us.",
		OpResetPassword: "No new password could be set. The system must be running for it.", OpRename: "The new name could not be passed on.",
	}[s.Operation]
	err := s.tell(ctx, tx, event{kind: "service.not_done", text: text, seen: s.Operation != OpRename})
	s.end()
	s.rest(tx.Now())
	return err
}

// stuck keeps an operation that cannot go on, and tells whom it concerns.
func (d *Desk) stuck(ctx context.Context, tx *tenancy.Tx, s *Service, problem string) error {
	s.NextAt = time.Time{}
	if s.Operation == OpRebuild && s.Step == StepAsking { // refused before anything was touched
		err := s.tell(ctx, tx, event{kind: "service.not_done", text: "The new installation was refused. Nothing was changed.", seen: true})
		if err == nil {
			err = s.tell(ctx, tx, event{kind: "service.refused", text: problem})
		}
		s.end()
		s.rest(tx.Now())
		return err
	}
	if s.Operation == OpResize {
		err := d.notResized(ctx, tx, s, problem)
		s.end()
		s.rest(tx.Now())
		return err
	}
	s.Problem = problem
	if s.Operation == OpCreate || s.Operation == OpRebuild {
		s.Observed = SeenFailed
	}
	return d.troubled(ctx, tx, s)
}

// vanished handles what the platform does not have any more.
func (d *Desk) vanished(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	switch {
	case s.Desired == WantTerminated:
		return d.terminated(ctx, tx, s)
	case s.BeganAt.IsZero():
		s.Ref, s.Sealed, s.Power = "", nil, ""
		s.Address, s.Addresses, s.Progress = "", nil, 0
		return d.stuck(ctx, tx, s, "It disappeared from the platform while it was installed.")
	}
	return d.lost(ctx, tx, s)
}

// looked compares what a look at a service at rest has shown with what is wanted. What
// somebody else has changed is not changed back unasked.
func (d *Desk) looked(ctx context.Context, tx *tenancy.Tx, s *Service, state provisioners.State) error {
	seen := s.Observed
	switch state.Status {
	case provisioners.StatusActive:
		seen = SeenActive
	case provisioners.StatusSuspended:
		seen = SeenSuspended
	}
	was := s.Problem
	s.Observed, s.Problem = seen, ""
	if !state.Busy && string(s.Desired) != string(seen) {
		s.Problem = fmt.Sprintf("It is %s at the platform and should be %s. Somebody changed it there.", seen, s.Desired)
	}
	s.NextAt = tx.Now().Add(lookEvery)
	if s.Problem == "" || s.Problem == was {
		return nil
	}
	key := "drift/" + tx.Now().Format(time.RFC3339)
	if err := s.tell(ctx, tx, event{kind: "service.drifted", text: s.Problem, key: key}); err != nil {
		return err
	}
	return s.alert(ctx, tx, "service.drifted", s.Label+": "+s.Problem)
}

// problemOf says an error to the reseller's team.
func problemOf(err error) string {
	said := func(s string) string {
		detail := err.Error()
		if len(detail) > 300 {
			detail = detail[:300]
		}
		return s + " (" + detail + ")"
	}
	switch {
	case errors.Is(err, provisioners.ErrNoRoom):
		return "The platform has no room left for it."
	case errors.Is(err, provisioners.ErrUnsupported):
		return "The platform cannot do that."
	case errors.Is(err, provisioners.ErrCredentials):
		return said("The platform refuses our token.")
	case errors.Is(err, provisioners.ErrLocked):
		return "The platform is busy with it."
	case errors.Is(err, provisioners.ErrUnavailable):
		return said("The platform cannot be reached.")
	case errors.Is(err, provisioners.ErrRefused):
		return said("The platform refuses.")
	}
	return said("It could not be done.")
}
