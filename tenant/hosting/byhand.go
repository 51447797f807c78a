package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Services that no platform delivers: the reseller's team does, is written to what is to be
// done, and says when it is done. The platform does not hear of them and bills nothing.

// ByHand reports whether the team delivers it.
func (s *Service) ByHand() bool { return s.SKU == "" }

// manual says what the team is to do, in place of driving a platform. It changes nothing that
// was asked before.
func (d *Desk) manual(ctx context.Context, tx *tenancy.Tx, s *Service, sandbox bool) error {
	now, was := tx.Now(), s.OperationKey
	switch {
	case s.Over():
	case s.Desired == WantTerminated && (s.Operation == OpCreate || s.Observed == SeenNone): // nothing was delivered
		s.begin(OpTerminate, StepWaiting, now)
		if err := d.terminated(ctx, tx, s); err != nil {
			return err
		}
	case s.Desired == WantTerminated && s.Operation != OpTerminate:
		if s.Operation == OpResize {
			if err := s.tellResized(ctx, tx, "It is ended."); err != nil {
				return err
			}
		}
		s.begin(OpTerminate, StepWaiting, now)
	case s.Operation == OpRelease && s.Observed == SeenActive, s.Operation == OpSuspend && s.Observed == SeenSuspended:
		s.end() // the opposite was wanted before anybody did it
	case s.Operation == "" && s.Desired == WantSuspended && s.Observed == SeenActive:
		s.begin(OpSuspend, StepWaiting, now)
	case s.Operation == "" && s.Desired == WantActive && s.Observed == SeenSuspended:
		s.begin(OpRelease, StepWaiting, now)
	}
	if s.NextAt = (time.Time{}); s.Operation == "" {
		return nil
	}
	if sandbox { // nobody is there to do it
		return d.done(ctx, tx, s)
	}
	if s.Operation != OpCreate && s.OperationKey == was {
		return nil
	}
	if err := s.tell(ctx, tx, event{kind: "service.by_hand", text: "Your team is to do this: " + s.Task() + "."}); err != nil {
		return err
	}
	return d.writeTask(ctx, tx, s)
}

// Task is what the team is to do, in words; empty: nothing.
func (s *Service) Task() string {
	switch s.Operation {
	case OpCreate:
		return "deliver it"
	case OpSuspend:
		return "suspend it (" + s.HoldReason() + ")"
	case OpRelease:
		return "release it, it may run again"
	case OpResize:
		return "change it to " + s.OperationArgs.Label
	case OpTerminate:
		return "end it"
	}
	return ""
}

// done ends what the team was to do.
func (d *Desk) done(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	op := s.Operation
	var err error
	switch op {
	case OpCreate:
		err = d.began(ctx, tx, s)
	case OpSuspend:
		s.Observed = SeenSuspended
		err = d.suspended(ctx, tx, s)
	case OpRelease:
		s.Observed = SeenActive
		err = d.released(ctx, tx, s)
	case OpResize:
		err = s.resized(ctx, tx)
	case OpTerminate:
		return d.terminated(ctx, tx, s)
	}
	s.end()
	s.NextAt, s.SeenAt = tx.Now(), tx.Now() // what is wanted may have changed meanwhile
	return err
}

// Handover is what a customer needs to use what was delivered. Only the address is kept in
// the open.
type Handover struct {
	Address  string // of a server or a panel; may be empty
	User     string
	Password string // or the key of a licence
	Note     string // a configuration, links, what to do first
}

// The most that a handover says, in characters.
const (
	maxHandover = 200
	maxNote     = 4000
)

func (h *Handover) check() error {
	wrong := map[string]string{}
	for _, x := range []struct {
		field string
		text  *string
		most  int
	}{{"address", &h.Address, maxHandover}, {"user", &h.User, maxHandover}, {"password", &h.Password, maxHandover}, {"note", &h.Note, maxNote}} {
		text := strings.ReplaceAll(strings.ReplaceAll(strings.ToValidUTF8(*x.text, ""), "\x00", ""), "\r\n", "\n")
		if x.field != "note" {
			text = strings.Join(strings.Fields(text), " ")
		}
		if *x.text = strings.TrimSpace(text); utf8.RuneCountInString(*x.text) > x.most {
			wrong[x.field] = fmt.Sprintf("Please use at most %d characters.", x.most)
		}
	}
	return fault.Fields("service.bad_handover", wrong)
}

// sealed closes what is secret of it; nil: nothing is.
func (h Handover) sealed(keys Sealer, id uuid.UUID) ([]byte, error) {
	if h.User+h.Password+h.Note == "" {
		return nil, nil
	}
	plain, err := json.Marshal(provisioners.Credentials{User: h.User, Password: h.Password, Note: h.Note})
	if err != nil {
		return nil, err
	}
	return keys.Seal(sealPurpose, sealedFor(id), plain)
}

// Deliver says that the team delivered a service, with what its customer needs, or changes
// that later. The customer is told. Faults: service.not_found, service.not_by_hand,
// service.ended, service.suspended, service.bad_handover.
func (d *Desk) Deliver(ctx context.Context, db *tenancy.DB, id uuid.UUID, h Handover, by audit.Origin) error {
	if err := h.check(); err != nil {
		return err
	}
	return d.byTeam(ctx, db, id, by, "service.delivered", func(tx *tenancy.Tx, s *Service) error {
		switch {
		case s.Over() || s.Desired == WantTerminated:
			return fault.New(fault.Gone, "service.ended", "This service has ended.")
		case s.Operation == OpSuspend || s.Operation == OpRelease || s.Observed == SeenSuspended:
			return fault.New(fault.Conflict, "service.suspended", "This service is suspended.")
		}
		sealed, err := h.sealed(d.Keys, s.ID)
		if err != nil {
			return err
		}
		s.Sealed, s.Address, s.Addresses = sealed, h.Address, nil
		if h.Address != "" {
			s.Addresses = []string{h.Address}
		}
		if s.Operation == OpCreate {
			return d.done(ctx, tx, s)
		}
		return s.tell(ctx, tx, event{kind: "service.access_changed", text: "Its access data was changed by our team.", seen: true, key: "access/" + tx.Now().Format(time.RFC3339Nano)})
	})
}

// Done says that the team did what was to be done with a delivered service. Faults:
// service.not_found, service.not_by_hand, service.nothing_to_do.
func (d *Desk) Done(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return d.byTeam(ctx, db, id, by, "service.done_by_hand", func(tx *tenancy.Tx, s *Service) error {
		if s.Operation == "" || s.Operation == OpCreate {
			return fault.New(fault.Conflict, "service.nothing_to_do", "Nothing is to be done here.")
		}
		return d.done(ctx, tx, s)
	})
}

func (d *Desk) byTeam(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin, action string, do func(*tenancy.Tx, *Service) error) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := locked(ctx, tx, id)
		if err != nil {
			return err
		}
		if !s.ByHand() {
			return fault.New(fault.Conflict, "service.not_by_hand", "A platform delivers this service, not your team.")
		}
		op := s.Operation
		if err := do(tx, &s); err != nil {
			return err
		}
		if err := s.save(ctx, tx); err != nil {
			return err
		}
		if !s.NextAt.IsZero() {
			if err := s.poke(ctx, tx); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, by, action, map[string]any{"name": s.Name, "operation": string(op)})
	})
}

// writeTask writes to the team what is to be done, once an operation.
func (d *Desk) writeTask(ctx context.Context, tx *tenancy.Tx, s *Service) error {
	return d.toTeam(ctx, tx, s, mail.ServiceByHand, "by_hand", map[string]string{"task": s.Task()})
}
