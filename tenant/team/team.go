// Package team owns who works for a reseller: whose roster it is, and that the owner is
// protected: only an owner changes one or makes one, and the last who can sign in stays.
// What may be done to a roster is tenancy/identity/roster's; passwords, second factors
// and sessions are tenancy/identity's.
package team

import (
	"context"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// Roster is the roster of a reseller's team.
func Roster() roster.Roster {
	return roster.Roster{World: identity.Reseller, Keeper: identity.ResellerOwner, Noun: "team"}
}

// Invite sends the letter with the link, within the transaction.
type Invite func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error

// Desk is where one reseller's team is looked after. Invite may be nil for who only reads.
func Desk(db *tenancy.DB, invite Invite) *roster.Desk {
	return &roster.Desk{Roster: Roster(), Plane: identity.InTenant(db), Invite: invite}
}
