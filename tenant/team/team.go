// Package team owns who works for a reseller: whole changes of its team, each with
// its entry in the tenant's trail. The owner is protected: only an owner changes
// one or makes one, and the last who can sign in stays. Passwords, second factors
// and sessions are tenancy/identity's.
package team

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// Roster is the roster of a reseller's team.
func Roster() roster.Roster {
	return roster.Roster{World: identity.Reseller, Keeper: identity.ResellerOwner, Noun: "team"}
}

// Desk is where one reseller's team is looked after. It is safe for concurrent use.
type Desk struct {
	DB *tenancy.DB
	// Invite sends the letter with the link, within the transaction.
	Invite func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error
}

// List returns one page of the team, and how many there are in all.
func (d *Desk) List(ctx context.Context, f roster.Filter) (members []roster.Member, total int, err error) {
	err = d.DB.View(ctx, func(tx *tenancy.Tx) error {
		members, total, err = Roster().List(ctx, tx, f)
		return err
	})
	return members, total, err
}

// Get returns one of the team, or the fault person.not_found.
func (d *Desk) Get(ctx context.Context, id uuid.UUID) (m roster.Member, err error) {
	err = d.DB.View(ctx, func(tx *tenancy.Tx) error {
		m, err = Roster().Get(ctx, tx, id)
		return err
	})
	return m, err
}

// Add invites somebody; see roster.Roster.Invite.
func (d *Desk) Add(ctx context.Context, in roster.Invitation, by roster.By) (p identity.Person, err error) {
	err = d.DB.Update(ctx, func(tx *tenancy.Tx) error {
		if p, err = Roster().Invite(ctx, tx, in, by); err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
	return p, err
}

// InviteAgain sends a new invitation; the links sent before end.
func (d *Desk) InviteAgain(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error {
		p, err := Roster().InviteAgain(ctx, tx, id, by)
		if err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
}

// SetRole changes somebody's role.
func (d *Desk) SetRole(ctx context.Context, id uuid.UUID, role identity.Role, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error { return Roster().SetRole(ctx, tx, id, role, by) })
}

// Disable keeps somebody out.
func (d *Desk) Disable(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error { return Roster().Disable(ctx, tx, id, by) })
}

// Enable lets somebody in again.
func (d *Desk) Enable(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error { return Roster().Enable(ctx, tx, id, by) })
}

// Remove takes somebody off the team.
func (d *Desk) Remove(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error { return Roster().Remove(ctx, tx, id, by) })
}

// ResetFactor takes somebody's second factor away.
func (d *Desk) ResetFactor(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.DB.Update(ctx, func(tx *tenancy.Tx) error { return Roster().ResetFactor(ctx, tx, id, by) })
}
