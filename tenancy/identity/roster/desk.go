package roster

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Desk is where the people of one roster are looked after: whole changes, each with its
// entry in the trail of its plane. It is safe for concurrent use.
type Desk struct {
	Roster Roster
	Plane  identity.Plane // where they are kept
	// Invite sends the letter with the link, within the transaction.
	Invite func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error
	// Most is asked how many people there may be; see Roster.Most. Nil: there is no limit.
	Most func(ctx context.Context) (int, error)
}

// bounded is the roster with its limit as it is now.
func (d *Desk) bounded(ctx context.Context) (r Roster, err error) {
	r = d.Roster
	if d.Most != nil {
		r.Most, err = d.Most(ctx)
	}
	return r, err
}

// Seats are how many people are there, and how many there may be; 0: as many as one likes.
func (d *Desk) Seats(ctx context.Context) (taken, most int, err error) {
	r, err := d.bounded(ctx)
	if err != nil || r.Most == 0 {
		return 0, 0, err
	}
	err = d.Plane.View(ctx, func(tx tenancy.Statements) error {
		taken, err = r.Taken(ctx, tx)
		return err
	})
	return taken, r.Most, err
}

// List returns one page of them, and how many there are in all.
func (d *Desk) List(ctx context.Context, f Filter) (members []Member, total int, err error) {
	err = d.Plane.View(ctx, func(tx tenancy.Statements) error {
		members, total, err = d.Roster.List(ctx, tx, f)
		return err
	})
	return members, total, err
}

// Get returns one of them, or the fault person.not_found.
func (d *Desk) Get(ctx context.Context, id uuid.UUID) (m Member, err error) {
	err = d.Plane.View(ctx, func(tx tenancy.Statements) error {
		m, err = d.Roster.Get(ctx, tx, id)
		return err
	})
	return m, err
}

// Add invites somebody; see Roster.Invite.
func (d *Desk) Add(ctx context.Context, in Invitation, by By) (p identity.Person, err error) {
	r, err := d.bounded(ctx)
	if err != nil {
		return p, err
	}
	err = d.Plane.Update(ctx, func(tx tenancy.Statements) error {
		if p, err = r.Invite(ctx, tx, in, by); err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
	return p, err
}

// InviteAgain sends a new invitation; the links sent before end.
func (d *Desk) InviteAgain(ctx context.Context, id uuid.UUID, by By) error {
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error {
		p, err := d.Roster.InviteAgain(ctx, tx, id, by)
		if err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
}

// SetRole changes somebody's role.
func (d *Desk) SetRole(ctx context.Context, id uuid.UUID, role identity.Role, by By) error {
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error { return d.Roster.SetRole(ctx, tx, id, role, by) })
}

// Disable keeps somebody out.
func (d *Desk) Disable(ctx context.Context, id uuid.UUID, by By) error {
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error { return d.Roster.Disable(ctx, tx, id, by) })
}

// Enable lets somebody in again.
func (d *Desk) Enable(ctx context.Context, id uuid.UUID, by By) error {
	r, err := d.bounded(ctx)
	if err != nil {
		return err
	}
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error { return r.Enable(ctx, tx, id, by) })
}

// Remove takes somebody off the roster; the trail keeps what they did.
func (d *Desk) Remove(ctx context.Context, id uuid.UUID, by By) error {
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error { return d.Roster.Remove(ctx, tx, id, by) })
}

// ResetFactor takes somebody's second factor away.
func (d *Desk) ResetFactor(ctx context.Context, id uuid.UUID, by By) error {
	return d.Plane.Update(ctx, func(tx tenancy.Statements) error { return d.Roster.ResetFactor(ctx, tx, id, by) })
}
