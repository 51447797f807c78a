package roster

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Invitation is whom to ask to join.
type Invitation struct {
	Name  string
	Email string
	Role  identity.Role
}

func (r Roster) people() identity.People { return identity.People{World: r.World} }

func target(id uuid.UUID) audit.Target { return audit.Target{Kind: "person", ID: id.String()} }

// Invite adds somebody without a password; the caller sends the link by which they
// choose one. Faults: about the fields name, email and role; person.taken;
// member.above; member.limit.
func (r Roster) Invite(ctx context.Context, tx tenancy.Statements, in Invitation, by By) (identity.Person, error) {
	if err := r.mayGive(in.Role, by); err != nil {
		return identity.Person{}, err
	}
	if err := in.check(); err != nil {
		return identity.Person{}, err
	}
	if r.Most > 0 {
		if err := r.lock(ctx, tx, uuid.Nil); err != nil {
			return identity.Person{}, err
		}
	}
	if err := r.seat(ctx, tx); err != nil {
		return identity.Person{}, err
	}
	p, err := r.people().Add(ctx, tx, identity.NewPerson{Name: in.Name, Email: in.Email, Role: in.Role}, "")
	if err != nil {
		return identity.Person{}, err
	}
	return p, by.Record(ctx, tx, r.Noun+".invited", target(p.ID), map[string]any{"name": p.Name, "email": p.Email, "role": p.Role})
}

// check says everything that is wrong at once.
func (in Invitation) check() error {
	wrong := map[string]string{}
	if _, err := identity.ParseName(in.Name); err != nil {
		wrong["name"] = fault.From(err).Message
	}
	if _, err := identity.ParseEmail(in.Email); err != nil {
		wrong["email"] = fault.From(err).Message
	}
	return fault.Fields("member.invalid", wrong)
}

// InviteAgain notes that somebody who has not accepted is sent a new link. It is the
// fault member.not_invited for everybody else.
func (r Roster) InviteAgain(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) (identity.Person, error) {
	m, err := r.Get(ctx, tx, id)
	if err != nil {
		return identity.Person{}, err
	}
	if m.State != Invited {
		return identity.Person{}, fault.New(fault.Conflict, "member.not_invited", m.Name+" has no open invitation.")
	}
	p, err := r.people().ByID(ctx, tx, id)
	if err != nil {
		return identity.Person{}, err
	}
	return p, by.Record(ctx, tx, r.Noun+".invited_again", target(id), map[string]any{"name": m.Name, "email": m.Email})
}

// SetRole gives a role; the one they have changes nothing. Faults: person.not_found,
// person.role_unknown, member.self, member.above, member.last_keeper.
func (r Roster) SetRole(ctx context.Context, tx tenancy.Statements, id uuid.UUID, role identity.Role, by By) error {
	m, err := r.touch(ctx, tx, id, by)
	if err != nil {
		return err
	}
	if err := r.mayGive(role, by); err != nil {
		return err
	}
	if m.Role == role {
		return nil
	}
	if err := r.keep(ctx, tx, m); err != nil {
		return err
	}
	if err := r.people().SetRole(ctx, tx, id, role); err != nil {
		return err
	}
	return by.Record(ctx, tx, r.Noun+".role_changed", target(id), map[string]any{"name": m.Name, "from": m.Role, "to": role})
}

// Disable keeps somebody out and ends their sessions. Faults: person.not_found,
// member.self, member.above, member.last_keeper.
func (r Roster) Disable(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) error {
	m, err := r.touch(ctx, tx, id, by)
	if err != nil || m.State == Disabled {
		return err
	}
	if err := r.keep(ctx, tx, m); err != nil {
		return err
	}
	if err := r.people().Disable(ctx, tx, id); err != nil {
		return err
	}
	return by.Record(ctx, tx, r.Noun+".disabled", target(id), map[string]any{"name": m.Name})
}

// Enable lets somebody in again. Faults: person.not_found, member.self, member.above,
// member.limit.
func (r Roster) Enable(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) error {
	m, err := r.touch(ctx, tx, id, by)
	if err != nil || m.State != Disabled {
		return err
	}
	if err := r.seat(ctx, tx); err != nil {
		return err
	}
	if err := r.people().Enable(ctx, tx, id); err != nil {
		return err
	}
	return by.Record(ctx, tx, r.Noun+".enabled", target(id), map[string]any{"name": m.Name})
}

// Remove takes somebody off the roster; the trail keeps what they did.
func (r Roster) Remove(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) error {
	m, err := r.touch(ctx, tx, id, by)
	if err != nil {
		return err
	}
	if err := r.keep(ctx, tx, m); err != nil {
		return err
	}
	if _, err := tx.NewRaw("DELETE FROM people WHERE world = ? AND id = ?", r.World, id).Exec(ctx); err != nil {
		return fmt.Errorf("remove %s: %w", r.Noun, err)
	}
	return by.Record(ctx, tx, r.Noun+".removed", target(id), map[string]any{"name": m.Name, "email": m.Email, "role": m.Role})
}

// ResetFactor takes somebody's second factor away, for a phone that was lost; all
// their sessions end and they set up a new one. Faults: person.not_found,
// member.self, member.above, member.no_factor.
func (r Roster) ResetFactor(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) error {
	m, err := r.touch(ctx, tx, id, by)
	if err != nil {
		return err
	}
	if !m.HasTOTP {
		return fault.New(fault.Conflict, "member.no_factor", m.Name+" has no second factor.")
	}
	if err := (identity.Factors{People: r.people()}).Remove(ctx, tx, id); err != nil {
		return err
	}
	return by.Record(ctx, tx, r.Noun+".factor_reset", target(id), map[string]any{"name": m.Name})
}

// touch reads somebody who is to be changed, after everybody with the keeper's role
// is locked: two keepers who disable each other at once queue here.
func (r Roster) touch(ctx context.Context, tx tenancy.Statements, id uuid.UUID, by By) (Member, error) {
	if err := r.lock(ctx, tx, id); err != nil {
		return Member{}, err
	}
	m, err := r.Get(ctx, tx, id)
	if err != nil {
		return Member{}, err
	}
	if id == by.Person {
		return Member{}, fault.New(fault.Conflict, "member.self", "You cannot do this to yourself. Ask a colleague, or see your security settings.")
	}
	if m.Role == r.Keeper && by.Person != uuid.Nil && by.Role != r.Keeper {
		return Member{}, errAbove
	}
	return m, nil
}

// lock locks everybody with the keeper's role, and somebody besides.
func (r Roster) lock(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	var locked []struct{ ID uuid.UUID }
	err := tx.NewRaw("SELECT id FROM people WHERE world = ? AND (role = ? OR id = ?) ORDER BY id FOR UPDATE", r.World, r.Keeper, id).Scan(ctx, &locked)
	if err != nil {
		return fmt.Errorf("lock %s: %w", r.Noun, err)
	}
	return nil
}

// Taken is how many people there are who are not kept out, those invited with them.
func (r Roster) Taken(ctx context.Context, tx tenancy.Statements) (n int, err error) {
	if err := tx.NewRaw("SELECT count(*) FROM people WHERE world = ? AND disabled_at IS NULL", r.World).Scan(ctx, &n); err != nil {
		return 0, fmt.Errorf("count %s: %w", r.Noun, err)
	}
	return n, nil
}

// seat refuses one person more than there may be, after the keepers are locked: two
// invitations at once queue there.
func (r Roster) seat(ctx context.Context, tx tenancy.Statements) error {
	if r.Most == 0 {
		return nil
	}
	n, err := r.Taken(ctx, tx)
	if err != nil || n < r.Most {
		return err
	}
	room := "one person"
	if r.Most > 1 {
		room = fmt.Sprintf("%d people", r.Most)
	}
	return fault.New(fault.Conflict, "member.limit", "Your tier has room for "+room+", those invited included, and no place is left. "+
		"Remove or disable somebody first, or ask the platform for a larger tier: the partner centre says which you are on.")
}

var errAbove = fault.New(fault.Forbidden, "member.above", "Only somebody with that role can do this.")

// mayGive lets the keeper's role be given by those who have it alone.
func (r Roster) mayGive(role identity.Role, by By) error {
	if role == r.Keeper && by.Person != uuid.Nil && by.Role != r.Keeper {
		return errAbove
	}
	return nil
}

// keep refuses when nobody else with the keeper's role could sign in afterwards.
func (r Roster) keep(ctx context.Context, tx tenancy.Statements, m Member) error {
	if m.Role != r.Keeper {
		return nil
	}
	var others int
	err := tx.NewRaw("SELECT count(*) FROM people WHERE world = ? AND role = ? AND id <> ? AND disabled_at IS NULL AND password_hash IS NOT NULL",
		r.World, r.Keeper, m.ID).Scan(ctx, &others)
	if err != nil {
		return fmt.Errorf("count %s: %w", r.Noun, err)
	}
	if others == 0 {
		return fault.New(fault.Conflict, "member.last_keeper", m.Name+" is the last "+string(r.Keeper)+" who can sign in. Give somebody else that role first.")
	}
	return nil
}
