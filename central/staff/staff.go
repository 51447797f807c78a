// Package staff owns who works at the platform: whole changes of the roster of
// staff, each with its entry in the platform's trail. Passwords, second factors and
// sessions are tenancy/identity's.
package staff

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// Roster is the roster of staff: there is always an admin who can sign in.
func Roster() roster.Roster {
	return roster.Roster{World: identity.Staff, Keeper: identity.StaffAdmin, Noun: "staff"}
}

// Desk is where staff are looked after. It is safe for concurrent use.
type Desk struct {
	Central *tenancy.Central
	// Invite sends the letter with the link, within the transaction.
	Invite func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error
}

// List returns one page of staff, and how many there are in all.
func (d *Desk) List(ctx context.Context, f roster.Filter) (members []roster.Member, total int, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		members, total, err = Roster().List(ctx, tx, f)
		return err
	})
	return members, total, err
}

// Get returns one of the staff, or the fault person.not_found.
func (d *Desk) Get(ctx context.Context, id uuid.UUID) (m roster.Member, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		m, err = Roster().Get(ctx, tx, id)
		return err
	})
	return m, err
}

// Add invites somebody; see roster.Roster.Invite.
func (d *Desk) Add(ctx context.Context, in roster.Invitation, by roster.By) (p identity.Person, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if p, err = Roster().Invite(ctx, tx, in, by); err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
	return p, err
}

// InviteAgain sends a new invitation; the links sent before end.
func (d *Desk) InviteAgain(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		p, err := Roster().InviteAgain(ctx, tx, id, by)
		if err != nil {
			return err
		}
		return d.Invite(ctx, tx, p, by.Actor.Name)
	})
}

// SetRole changes a colleague's role.
func (d *Desk) SetRole(ctx context.Context, id uuid.UUID, role identity.Role, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return Roster().SetRole(ctx, tx, id, role, by) })
}

// Disable keeps a colleague out.
func (d *Desk) Disable(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return Roster().Disable(ctx, tx, id, by) })
}

// Enable lets a colleague in again.
func (d *Desk) Enable(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return Roster().Enable(ctx, tx, id, by) })
}

// Remove takes a colleague off the roster; the trail keeps what they did.
func (d *Desk) Remove(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return Roster().Remove(ctx, tx, id, by) })
}

// ResetFactor takes a colleague's second factor away.
func (d *Desk) ResetFactor(ctx context.Context, id uuid.UUID, by roster.By) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return Roster().ResetFactor(ctx, tx, id, by) })
}

// First makes an admin with a password, for `ezscale staff create`: whoever may run
// the program on the server may do this at any time. It returns the fault
// person.taken for an address that has an account.
func First(ctx context.Context, central *tenancy.Central, in identity.NewPerson, hash identity.HashedPassword) (p identity.Person, err error) {
	if hash == "" {
		return identity.Person{}, fault.Field("password", "staff.password_missing", "Give a password.")
	}
	in.Verified = true
	if in.Role == "" {
		in.Role = identity.StaffAdmin
	}
	by := audit.Origin{Actor: audit.System("command line")}
	err = central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if p, err = (identity.People{World: identity.Staff}).Add(ctx, tx, in, hash); err != nil {
			return err
		}
		return by.Record(ctx, tx, "staff.created", audit.Target{Kind: "person", ID: p.ID.String()},
			map[string]any{"name": p.Name, "email": p.Email, "role": p.Role})
	})
	if err != nil {
		return identity.Person{}, fmt.Errorf("create staff: %w", err)
	}
	return p, nil
}
