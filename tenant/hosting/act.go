package hosting

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

// Caller is the customer who acts on a service.
type Caller struct {
	Person  uuid.UUID
	Account uuid.UUID // uuid.Nil: any the person belongs to
	Origin  audit.Origin
}

// owned is a service with the role in which somebody looks at it.
type owned struct {
	Service
	Role account.Role
}

// mine reads a service that the caller may see; to others it is not there.
func mine(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, by Caller, lock string) (o owned, err error) {
	where, args := "", []any{by.Person, id}
	if by.Account != uuid.Nil {
		where, args = " AND s.account_id = ?", append(args, by.Account)
	}
	err = tx.NewRaw("SELECT "+columns+", m.role FROM services s JOIN memberships m ON m.account_id = s.account_id AND m.person_id = ? WHERE s.id = ?"+where+lock, args...).Scan(ctx, &o)
	if tenancy.IsNoRows(err) || err == nil && !account.May(o.Role, account.ServicesSee) {
		return owned{}, errNotFound
	}
	if err != nil {
		return owned{}, fmt.Errorf("read service: %w", err)
	}
	return o, nil
}

// Mine returns a service the caller may see, and whether they may act on it. Fault:
// service.not_found, also for what belongs to somebody else.
func Mine(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, by Caller) (s Service, mayRun bool, err error) {
	o, err := mine(ctx, tx, id, by, "")
	return o.Service, account.May(o.Role, account.ServicesRun), err
}

var errForbidden = fault.New(fault.Forbidden, "service.forbidden", "Your role in this account does not allow that. Its owner can change your role.")

// change locks a service for somebody who may act on it.
func change(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, by Caller) (Service, error) {
	o, err := mine(ctx, tx, id, by, " FOR UPDATE OF s")
	if err != nil {
		return Service{}, err
	}
	if !account.May(o.Role, account.ServicesRun) {
		return Service{}, errForbidden
	}
	return o.Service, nil
}

// free says that something may be asked of a service now.
func (s *Service) free() error {
	switch {
	case s.Over() || s.Desired == WantTerminated:
		return fault.New(fault.Gone, "service.ended", "This service has ended.")
	case s.Desired == WantSuspended || s.Observed == SeenSuspended:
		return fault.New(fault.Conflict, "service.suspended", "This service is suspended.")
	case s.Operation == OpCreate || s.Observed == SeenNone || s.Observed == SeenInstalling:
		return fault.New(fault.Conflict, "service.not_ready", "This service is still being set up.")
	case s.Operation != "":
		return fault.New(fault.Conflict, "service.busy", "Something else is being done to this service. Wait until it has ended.")
	case s.Problem != "":
		return fault.New(fault.Conflict, "service.in_trouble", "Something is wrong with this service. We have been told and look into it.")
	}
	return nil
}

// start begins an operation that a customer asked for.
func start(ctx context.Context, db *tenancy.DB, id uuid.UUID, by Caller, op Operation, args Args, action, text string) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := change(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if s.ByHand() {
			return fault.New(fault.Conflict, "service.by_hand", "Our team looks after this by hand. Please write to us.")
		}
		if text == "" {
			return fault.Field("action", "service.bad_action", "This is not something a service can do.")
		}
		if s.Operation == op && s.OperationArgs == args {
			return nil // asked twice, done once
		}
		if err := s.free(); err != nil {
			return err
		}
		s.begin(op, StepWaiting, tx.Now())
		s.OperationArgs = args
		if err := s.record(ctx, tx, by.Origin, action, map[string]any{"name": s.Name, "image": args.Image}); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, event{kind: action, text: text, actor: by.Origin.Actor.Name, seen: true}); err != nil {
			return err
		}
		if err := s.save(ctx, tx); err != nil {
			return err
		}
		return s.poke(ctx, tx)
	})
}

// record adds to the audit trail; details without a value are left out.
func (s *Service) record(ctx context.Context, tx *tenancy.Tx, by audit.Origin, action string, detail map[string]any) error {
	for k, v := range detail {
		if v == "" {
			delete(detail, k)
		}
	}
	return by.Record(ctx, tx, action, audit.Target{Kind: "service", ID: s.ID.String()}, detail)
}

// Power starts, stops or restarts a service. Faults: service.not_found,
// service.forbidden, service.bad_action, and those of a service that is not free:
// service.busy, service.not_ready, service.suspended, service.ended, service.in_trouble.
func Power(ctx context.Context, db *tenancy.DB, id uuid.UUID, action provisioners.PowerAction, by Caller) error {
	op := Operation(action)
	text := map[Operation]string{OpStart: "Start requested.", OpStop: "Shut-down requested.", OpRestart: "Restart requested.", OpForceOff: "Switching off requested."}[op]
	return start(ctx, db, id, by, op, Args{}, "service."+string(op), text)
}

// ResetPassword has a new password set; the old one stays until then. Faults: as Power.
func ResetPassword(ctx context.Context, db *tenancy.DB, id uuid.UUID, by Caller) error {
	return start(ctx, db, id, by, OpResetPassword, Args{}, "service.reset_password", "A new password was requested.")
}

// Rebuild installs an operating system anew; everything on the service is lost. confirm
// is the service's name, typed by the person. Faults: as Power, and service.not_confirmed,
// platform.unknown_image.
func (d *Desk) Rebuild(ctx context.Context, db *tenancy.DB, id uuid.UUID, image, confirm string, by Caller) error {
	var s Service
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		s, _, err = Mine(ctx, tx, id, by)
		return err
	})
	if err != nil {
		return err
	}
	if strings.TrimSpace(confirm) != s.Name {
		return fault.Field("confirm", "service.not_confirmed", "Type the service's name exactly as it is written here.")
	}
	if image == "" {
		return fault.Field("image", "service.no_image", "Choose an operating system.")
	}
	if _, _, err := d.delivery(ctx, db, s.SKU, s.PlatformID, s.Region, image); err != nil {
		return err
	}
	return start(ctx, db, id, by, OpRebuild, Args{Image: image}, "service.rebuild", "A new installation was requested.")
}

// MaxName is how long a service's name may be, in characters.
const MaxName = 60

// CleanName is a name as it is kept, or the fault service.bad_name at the field name.
func CleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	bad := func(r rune) bool { return !unicode.IsPrint(r) }
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxName || strings.ContainsFunc(name, bad) {
		return "", fault.Field("name", "service.bad_name", fmt.Sprintf("A name is 1 to %d characters.", MaxName))
	}
	return name, nil
}

// Rename changes what the customer calls it, at once; the platform is told when it has
// time. Faults: service.not_found, service.forbidden, service.bad_name, service.ended.
func Rename(ctx context.Context, db *tenancy.DB, id uuid.UUID, name string, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := change(ctx, tx, id, by)
		if err != nil {
			return err
		}
		name, err := CleanName(name)
		if err != nil {
			return err
		}
		if s.Over() {
			return fault.New(fault.Gone, "service.ended", "This service has ended.")
		}
		if s.Name == name {
			return nil
		}
		was := s.Name
		if s.Name = name; s.free() == nil {
			s.begin(OpRename, StepWaiting, tx.Now())
		}
		if err := s.record(ctx, tx, by.Origin, "service.renamed", map[string]any{"from": was, "to": name}); err != nil {
			return err
		}
		key := "renamed/" + uuid.NewString()
		if err := s.tell(ctx, tx, event{kind: "service.renamed", text: fmt.Sprintf("Renamed from %q to %q.", was, name), actor: by.Origin.Actor.Name, seen: true, key: key}); err != nil {
			return err
		}
		if err := s.save(ctx, tx); err != nil {
			return err
		}
		return s.poke(ctx, tx)
	})
}

// Reveal opens the credentials of a service for somebody who has just shown their
// password, which the caller of Reveal checks. It is audited, and the account sees it in
// the timeline. Faults: service.not_found, service.forbidden, service.no_credentials.
func (d *Desk) Reveal(ctx context.Context, db *tenancy.DB, id uuid.UUID, by Caller) (c provisioners.Credentials, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := change(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if !s.HasCredentials() {
			return fault.New(fault.NotFound, "service.no_credentials", "No access data is kept for this service. Have a new password set.")
		}
		if c, err = d.open(&s); err != nil {
			return err
		}
		if err := s.record(ctx, tx, by.Origin, "service.revealed", map[string]any{"name": s.Name}); err != nil {
			return err
		}
		key := "revealed/" + uuid.NewString()
		return s.tell(ctx, tx, event{kind: "service.revealed", text: "The access data was shown.", actor: by.Origin.Actor.Name, seen: true, key: key})
	})
	if err != nil {
		return provisioners.Credentials{}, err
	}
	return c, nil
}
