// Package roster is who works in a world and with which role: invitations, roles,
// people kept out, and the rules that keep a team from locking itself out. Roster's
// functions are parts of a change, on either plane's transactions; Desk's are whole ones.
// Whose roster it is, central/staff and tenant/team say. It signs nobody in.
package roster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Roster is the people who work in one world.
type Roster struct {
	World  identity.World
	Keeper identity.Role // there is always somebody with this role who can sign in
	Noun   string        // of entries in the trail: "staff.invited"
	Most   int           // people there may be who are not kept out, those invited with them; 0: no limit
}

// By is who asks for a change: a person of the same world, or a part of the program.
type By struct {
	audit.Origin
	Person uuid.UUID     // zero: a part of the program
	Role   identity.Role // of the person
}

// ByPerson is a signed-in person.
func ByPerson(p identity.Principal, ip, requestID string) By {
	return By{Origin: audit.Origin{Actor: audit.By(p), IP: ip, RequestID: requestID}, Person: p.PersonID, Role: p.Role}
}

// State is where somebody stands.
type State string

// The states of a member.
const (
	Active   State = "active"
	Invited  State = "invited" // has not chosen a password yet
	Disabled State = "disabled"
)

// Member is one of the people, as a colleague who may manage them sees them.
type Member struct {
	ID          uuid.UUID
	Email       string
	Name        string
	Role        identity.Role
	State       State
	HasTOTP     bool      `bun:"has_totp"`
	LastSignIn  time.Time // zero: never
	LastIP      string    `bun:"last_ip"`
	LinkExpires time.Time // of an open invitation
	DisabledAt  time.Time
	CreatedAt   time.Time
	Total       int `json:"-"` // of the whole list
}

// MaxPage is the most members List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	Text   string // part of the name or address
	Role   identity.Role
	State  State
	Sort   string // name, email, role, sign_in, created; empty: name
	Desc   bool
	Offset int
	Limit  int
}

const memberColumns = `p.id, p.email, p.name, p.role, p.totp_confirmed_at IS NOT NULL AS has_totp, p.disabled_at, p.created_at,
	CASE WHEN p.disabled_at IS NOT NULL THEN 'disabled' WHEN p.password_hash IS NULL THEN 'invited' ELSE 'active' END AS state,
	s.at AS last_sign_in, coalesce(s.ip, '') AS last_ip, k.expires_at AS link_expires`

const memberJoins = ` LEFT JOIN LATERAL (SELECT l.at, l.ip FROM logins l WHERE l.person_id = p.id AND l.outcome IN ('ok', 'recovery_code') ORDER BY l.at DESC LIMIT 1) s ON true
	LEFT JOIN LATERAL (SELECT i.expires_at FROM single_use_links i WHERE i.person_id = p.id AND i.purpose = 'invite' AND i.used_at IS NULL ORDER BY i.expires_at DESC LIMIT 1) k ON true`

// List returns one page in one statement, and how many there are in all.
func (r Roster) List(ctx context.Context, tx tenancy.Statements, f Filter) (members []Member, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"name": "lower(p.name)", "email": "p.email_key", "role": "p.role", "created": "p.created_at", "sign_in": "s.at"}[f.Sort]
	if !ok {
		order = "lower(p.name)"
	}
	if f.Desc {
		order += " DESC NULLS LAST"
	}
	where, args := f.where(r.World)
	err = tx.NewRaw("SELECT "+memberColumns+", count(*) OVER () AS total FROM people p"+memberJoins+" WHERE "+where+
		" ORDER BY "+order+", p.id LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &members)
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", r.Noun, err)
	}
	if len(members) > 0 {
		total = members[0].Total
	}
	return members, total, nil
}

func (f Filter) where(w identity.World) (string, []any) {
	parts, args := []string{"p.world = ?"}, []any{w}
	if f.Role != "" {
		parts, args = append(parts, "p.role = ?"), append(args, plain(string(f.Role)))
	}
	switch f.State {
	case Active:
		parts = append(parts, "p.disabled_at IS NULL AND p.password_hash IS NOT NULL")
	case Invited:
		parts = append(parts, "p.disabled_at IS NULL AND p.password_hash IS NULL")
	case Disabled:
		parts = append(parts, "p.disabled_at IS NOT NULL")
	}
	if text := strings.TrimSpace(plain(f.Text)); text != "" {
		like := Like(text)
		parts, args = append(parts, "(p.name ILIKE ? OR p.email ILIKE ?)"), append(args, like, like)
	}
	return strings.Join(parts, " AND "), args
}

// Like is the pattern that finds text anywhere, its own wildcards taken literally.
func Like(text string) string {
	if text = plain(text); len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "")
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

func plain(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "") }

// Get returns one member, or the fault person.not_found.
func (r Roster) Get(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (m Member, err error) {
	err = tx.NewRaw("SELECT "+memberColumns+" FROM people p"+memberJoins+" WHERE p.world = ? AND p.id = ?", r.World, id).Scan(ctx, &m)
	if tenancy.IsNoRows(err) {
		return Member{}, fault.New(fault.NotFound, "person.not_found", "There is no such person.")
	}
	if err != nil {
		return Member{}, fmt.Errorf("read %s: %w", r.Noun, err)
	}
	return m, nil
}

// Roles are the roles of the world, the most powerful first.
func (r Roster) Roles() []identity.Role { return identity.Roles(r.World) }
