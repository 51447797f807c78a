// Package staff owns who works at the platform: the roster of staff, and its first
// admin. What may be done to a roster is tenancy/identity/roster's; passwords, second factors and
// sessions are tenancy/identity's.
package staff

import (
	"context"
	"fmt"

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

// Invite sends the letter with the link, within the transaction.
type Invite func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error

// Desk is where staff are looked after.
func Desk(central *tenancy.Central, invite Invite) *roster.Desk {
	return &roster.Desk{Roster: Roster(), Plane: identity.InCentral(central), Invite: invite}
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
