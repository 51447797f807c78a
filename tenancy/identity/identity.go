// Package identity knows people: who they are, how they prove it, and what they
// may do. It keeps passwords, second factors, single-use links, sessions and the
// login history for every world, on either plane's transactions. It knows no
// routes and no pages.
package identity

import "github.com/google/uuid"

// World keeps kinds of people apart: the same address may live in several worlds,
// with another password and other sessions in each.
type World string

// The worlds.
const (
	Staff    World = "staff"    // EZSCALE's own people, at the console; central schema
	Partner  World = "partner"  // resellers as EZSCALE's customers, at the partner centre; central schema
	Reseller World = "reseller" // a reseller's team, at /manage; tenant schema
	Customer World = "customer" // a reseller's customers; tenant schema
)

// Principal is a signed-in person.
type Principal struct {
	World        World
	PersonID     uuid.UUID
	Name         string
	Email        string
	Role         Role
	SecondFactor bool   // proven in this session
	HasTOTP      bool   // a second factor is set up
	SessionID    string // public handle of the session; not the cookie's secret
	CSRF         string // token that the session's forms carry
}

// May reports whether the principal has the permission.
func (p Principal) May(perm Permission) bool { return p.Role.grants(p.World, perm) }
