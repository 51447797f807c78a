package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Origin is where an attempt comes from.
type Origin struct {
	IP        string
	UserAgent string
	RequestID string
	Device    string // the device cookie; see Throttle
}

// Deed is something a person changed about how they sign in.
type Deed struct {
	Person Person
	Action string // password.changed
	Origin Origin
}

// Desk is where people come in: the whole changes of signing in and of what proves
// who somebody is, for one world. Nothing it answers tells whether an address is
// known.
type Desk struct {
	People    People
	Passwords *Passwords
	Sessions  *Sessions
	Throttle  *Throttle
	Factors   Factors
	// Note writes a deed to the trail, within the transaction.
	Note func(ctx context.Context, tx tenancy.Statements, d Deed) error
}

// Entered is the outcome of a step of signing in: a session, at the stage that
// comes next, and the token for its cookie.
type Entered struct {
	Person  Person
	Session Session
	Token   string
	Device  string // cookie for the browser; empty until the session is full
	// Stranger says that the browser could not prove an earlier sign-in.
	Stranger bool
}

// Credentials are what a person types to sign in.
type Credentials struct{ Email, Password string }

var errRefused = fault.Field("password", "signin.refused", "The address or the password is not right.")

// SignIn checks a password and begins a session: full, or at the step of the second
// factor, or, where mustTOTP says that one is required and none is set up, at the
// step of setting it up. It returns the faults signin.refused and signin.throttled.
func (d *Desk) SignIn(ctx context.Context, plane Plane, b Binding, in Credentials, o Origin, mustTOTP bool) (Entered, error) {
	try := Try{Binding: b, Account: in.Email, IP: o.IP, Device: o.Device}
	if err := d.Throttle.Admit(ctx, try); err != nil {
		return Entered{}, errors.Join(err, d.record(ctx, plane, Person{}, in.Email, o, Throttled))
	}
	person, hash, err := d.find(ctx, plane, in.Email)
	if err != nil {
		return Entered{}, err
	}
	ok, stale, err := d.Passwords.Matches(ctx, in.Password, hash)
	if err != nil {
		return Entered{}, err
	}
	if result := verdict(person, ok); result != SignedInOK {
		if err := d.record(ctx, plane, person, in.Email, o, result); err != nil {
			return Entered{}, err
		}
		return Entered{}, errRefused
	}
	if err := d.Throttle.Succeeded(ctx, try); err != nil {
		return Entered{}, err
	}
	if stale {
		if err := d.rehash(ctx, plane, person, in.Password); err != nil {
			return Entered{}, err
		}
	}
	return d.enter(ctx, plane, b, person, o, mustTOTP)
}

func verdict(p Person, passwordOK bool) Result {
	switch {
	case p.ID == uuid.Nil:
		return UnknownPerson
	case !passwordOK:
		return WrongPassword
	case !p.DisabledAt.IsZero():
		return PersonBarred
	}
	return SignedInOK
}

// find returns the person and their hash; nobody and no hash for an unknown address.
func (d *Desk) find(ctx context.Context, plane Plane, email string) (p Person, hash HashedPassword, err error) {
	err = plane.View(ctx, func(tx tenancy.Statements) error {
		p, err = d.People.ByEmail(ctx, tx, email)
		if fault.Is(err, "person.not_found") {
			return nil
		}
		if err != nil {
			return err
		}
		hash, err = d.hashOf(ctx, tx, p.ID)
		return err
	})
	return p, hash, err
}

func (d *Desk) hashOf(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (HashedPassword, error) {
	return d.People.HashOf(ctx, tx, id)
}

func (d *Desk) rehash(ctx context.Context, plane Plane, p Person, password string) error {
	hash, err := d.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return plane.Update(ctx, func(tx tenancy.Statements) error {
		return d.People.change(ctx, tx, p.ID, "password_hash = ?", string(hash))
	})
}

// enter begins the session of a person who has shown a password or a link.
func (d *Desk) enter(ctx context.Context, plane Plane, b Binding, p Person, o Origin, mustTOTP bool) (Entered, error) {
	s := Session{PersonID: p.ID, Stage: StageFull, Epoch: p.Epoch, IP: o.IP, UserAgent: o.UserAgent}
	switch {
	case p.HasTOTP():
		s.Stage = StageCode
	case mustTOTP:
		s.Stage = StageEnrol
	}
	token, s, err := d.Sessions.Start(ctx, b, s)
	if err != nil {
		return Entered{}, err
	}
	out := Entered{Person: p, Session: s, Token: token, Stranger: !d.Throttle.Knows(Try{Binding: b, Account: p.Email, Device: o.Device})}
	if s.Stage == StageFull {
		out.Device = d.Throttle.NewDevice(b, p.Email)
		err = d.record(ctx, plane, p, p.Email, o, SignedInOK)
	}
	return out, err
}

func (d *Desk) record(ctx context.Context, plane Plane, p Person, email string, o Origin, r Result) error {
	return plane.Update(ctx, func(tx tenancy.Statements) error {
		return d.People.RecordLogin(ctx, tx, p.ID, email, o, r)
	})
}

// Admit completes a session that was to set up a second factor when none is required any
// more. The session gets a new token. One that waits for anything else is the fault
// session.none.
func (d *Desk) Admit(ctx context.Context, plane Plane, b Binding, token string, s Session, p Person, o Origin) (Entered, error) {
	if s.Stage != StageEnrol || p.HasTOTP() {
		return Entered{}, errNoSession
	}
	in, err := d.complete(ctx, b, token, p, false)
	if err != nil {
		return Entered{}, err
	}
	in.Stranger = !d.Throttle.Knows(Try{Binding: b, Account: p.Email, Device: o.Device})
	return in, d.record(ctx, plane, p, p.Email, o, SignedInOK)
}

// complete makes a session full, under a new token.
func (d *Desk) complete(ctx context.Context, b Binding, token string, p Person, second bool) (Entered, error) {
	token, s, err := d.Sessions.Rotate(ctx, b, token, func(s *Session) {
		s.Stage, s.SecondFactor, s.Epoch = StageFull, second, p.Epoch
	})
	if err != nil {
		return Entered{}, err
	}
	return Entered{Person: p, Session: s, Token: token, Device: d.Throttle.NewDevice(b, p.Email)}, nil
}

// freshFor is how long a shown password lets a person do what would hurt in the
// hands of a passer-by.
const freshFor = 10 * time.Minute

var errNotFresh = fault.New(fault.Forbidden, "session.not_fresh", "Please enter your password again.")

// Fresh returns the fault session.not_fresh when the person has not shown their
// password for a while.
func (d *Desk) Fresh(s Session) error {
	if d.Factors.Clock().Sub(s.ProvenAt) > freshFor {
		return errNotFresh
	}
	return nil
}

// Prove compares the password of somebody who is signed in; their session is then
// fresh, under a new token. It returns a fault about the field current.
func (d *Desk) Prove(ctx context.Context, plane Plane, b Binding, token string, p Person, password string, o Origin) (Entered, error) {
	if err := d.compare(ctx, plane, b, p, password, o); err != nil {
		return Entered{}, err
	}
	token, s, err := d.Sessions.Rotate(ctx, b, token, func(s *Session) { s.ProvenAt = d.Factors.Clock().UTC() })
	return Entered{Person: p, Session: s, Token: token}, err
}

func (d *Desk) compare(ctx context.Context, plane Plane, b Binding, p Person, password string, o Origin) error {
	try := Try{Binding: b, Account: p.Email, IP: o.IP, Device: o.Device}
	if err := d.Throttle.Admit(ctx, try); err != nil {
		return err
	}
	_, hash, err := d.find(ctx, plane, p.Email)
	if err != nil {
		return err
	}
	ok, _, err := d.Passwords.Matches(ctx, password, hash)
	if err != nil {
		return err
	}
	if !ok {
		return fault.Field("current", "password.wrong", "This is not your present password.")
	}
	return d.Throttle.Succeeded(ctx, try)
}

// ChangePassword sets a new password for somebody who shows the present one. Every
// other session ends; this one gets a new token.
func (d *Desk) ChangePassword(ctx context.Context, plane Plane, b Binding, token string, p Person, current, fresh string, o Origin) (Entered, error) {
	if err := CheckPassword(fresh, p.Email); err != nil {
		return Entered{}, err
	}
	if err := d.compare(ctx, plane, b, p, current, o); err != nil {
		return Entered{}, err
	}
	hash, err := d.Passwords.Hash(ctx, fresh)
	if err != nil {
		return Entered{}, err
	}
	return d.changing(ctx, plane, b, token, p, o, "password.changed", StageFull, func(tx tenancy.Statements) error {
		return d.People.setPassword(ctx, tx, p.ID, hash)
	})
}

// changing runs a change that ends all sessions, and takes this one along.
func (d *Desk) changing(ctx context.Context, plane Plane, b Binding, token string, p Person, o Origin, action string, next Stage, change func(tenancy.Statements) error) (Entered, error) {
	err := plane.Update(ctx, func(tx tenancy.Statements) (err error) {
		if err := change(tx); err != nil {
			return err
		}
		if err := d.note(ctx, tx, p, action, o); err != nil {
			return err
		}
		p, err = d.People.ByID(ctx, tx, p.ID)
		return err
	})
	if err != nil {
		return Entered{}, err
	}
	token, s, err := d.Sessions.Rotate(ctx, b, token, func(s *Session) {
		s.Epoch, s.SecondFactor, s.Stage = p.Epoch, s.SecondFactor && p.HasTOTP(), next
	})
	if err != nil {
		return Entered{}, err
	}
	return Entered{Person: p, Session: s, Token: token}, nil
}

// TakeLink sets the password of whom a single-use link was made for and signs them
// in as far as their second factor allows. The address is theirs: the link came by
// mail. All sessions they had end. It returns the fault link.spent.
func (d *Desk) TakeLink(ctx context.Context, plane Plane, b Binding, token string, purpose Purpose, password string, o Origin, mustTOTP bool) (Entered, error) {
	var p Person
	err := plane.View(ctx, func(tx tenancy.Statements) (err error) {
		p, err = d.People.LinkHolder(ctx, tx, token, purpose)
		return err
	})
	if err != nil {
		return Entered{}, err
	}
	if err := CheckPassword(password, p.Email); err != nil {
		return Entered{}, err
	}
	hash, err := d.Passwords.Hash(ctx, password)
	if err != nil {
		return Entered{}, err
	}
	err = plane.Update(ctx, func(tx tenancy.Statements) (err error) {
		if p, err = d.People.UseLink(ctx, tx, token, purpose); err != nil {
			return err
		}
		if err := d.People.setPassword(ctx, tx, p.ID, hash); err != nil {
			return err
		}
		if err := d.People.change(ctx, tx, p.ID, "email_verified_at = coalesce(email_verified_at, ?)", tx.Now()); err != nil {
			return err
		}
		if err := d.note(ctx, tx, p, "password.set_by_link", o); err != nil {
			return err
		}
		p, err = d.People.ByID(ctx, tx, p.ID)
		return err
	})
	if err != nil {
		return Entered{}, err
	}
	return d.enter(ctx, plane, b, p, o, mustTOTP)
}

func (d *Desk) note(ctx context.Context, tx tenancy.Statements, p Person, action string, o Origin) error {
	if d.Note == nil {
		return nil
	}
	return d.Note(ctx, tx, Deed{Person: p, Action: action, Origin: o})
}

func (p People) setPassword(ctx context.Context, tx tenancy.Statements, id uuid.UUID, hash HashedPassword) error {
	return p.change(ctx, tx, id, "password_hash = ?, session_epoch = session_epoch + 1", bun.NullZero(string(hash)))
}
