package identity

import (
	"context"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Newcomer is somebody who proved that a mailbox is theirs and wants to come in.
type Newcomer struct {
	NewPerson
	// Added adds what belongs to a new person, such as an account, with the transaction
	// that adds them.
	Added func(ctx context.Context, tx tenancy.Statements, p Person) error
	// Came is called for whoever comes in, new or known, with the same transaction; nil:
	// nothing is. When it fails nobody was added.
	Came func(ctx context.Context, tx tenancy.Statements, p Person) error
}

// EnterByMailbox signs in whoever proved that the address is theirs, as far as their
// second factor allows, and adds them when they are new. Somebody who has a password
// keeps it; known reports that they were there before. Faults: those of CheckPassword,
// signin.refused for somebody who is disabled.
func (d *Desk) EnterByMailbox(ctx context.Context, plane Plane, b Binding, in Newcomer, o Origin, mustTOTP bool) (entered Entered, known bool, err error) {
	if err := CheckPassword(in.Password, in.Email); err != nil {
		return Entered{}, false, err
	}
	hash, err := d.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return Entered{}, false, err
	}
	var p Person
	err = plane.Update(ctx, func(tx tenancy.Statements) (err error) {
		if p, known, err = d.welcome(ctx, tx, in, hash, o); err != nil || in.Came == nil {
			return err
		}
		return in.Came(ctx, tx, p)
	})
	if err != nil {
		return Entered{}, known, err
	}
	entered, err = d.enter(ctx, plane, b, p, o, mustTOTP)
	return entered, known, err
}

func (d *Desk) welcome(ctx context.Context, tx tenancy.Statements, in Newcomer, hash HashedPassword, o Origin) (Person, bool, error) {
	in.Verified = true
	p, err := d.People.ByEmail(ctx, tx, in.Email)
	switch {
	case fault.Is(err, "person.not_found"):
		if p, err = d.People.Add(ctx, tx, in.NewPerson, hash); err != nil {
			return p, false, err
		}
		if in.Added != nil {
			if err := in.Added(ctx, tx, p); err != nil {
				return p, false, err
			}
		}
		return p, false, d.note(ctx, tx, p, "person.signed_up", o)
	case err != nil:
		return p, false, err
	case !p.DisabledAt.IsZero():
		return p, true, errRefused
	case !p.HasPassword:
		if err := d.People.setPassword(ctx, tx, p.ID, hash); err != nil {
			return p, true, err
		}
		if err := d.note(ctx, tx, p, "password.set_by_code", o); err != nil {
			return p, true, err
		}
	}
	if p.EmailVerifiedAt.IsZero() {
		if err := d.People.change(ctx, tx, p.ID, "email_verified_at = coalesce(email_verified_at, ?)", tx.Now()); err != nil {
			return p, true, err
		}
	}
	if p.HasPassword && !p.EmailVerifiedAt.IsZero() {
		return p, true, nil
	}
	p, err = d.People.ByID(ctx, tx, p.ID)
	return p, true, err
}
