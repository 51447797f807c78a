package account

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
)

// Caller is the customer who asks for a change of an account they belong to.
type Caller struct {
	Person uuid.UUID
	audit.Origin
}

// Member is somebody who acts for an account.
type Member struct {
	PersonID   uuid.UUID
	Name       string
	Email      string
	Role       Role
	HasTOTP    bool      `bun:"has_totp"`
	Disabled   bool      // by the reseller: they cannot sign in
	LastSignIn time.Time // zero: never
	Since      time.Time
}

// Members lists who acts for an account, owners first, at most 200.
func Members(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (found []Member, err error) {
	err = tx.NewRaw(`SELECT p.id AS person_id, p.name, p.email, m.role, p.totp_confirmed_at IS NOT NULL AS has_totp, p.disabled_at IS NOT NULL AS disabled,
		(SELECT max(l.at) FROM logins l WHERE l.person_id = p.id AND l.outcome IN ('ok', 'recovery_code')) AS last_sign_in, m.created_at AS since
		FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = ?
		ORDER BY array_position(ARRAY['owner', 'admin', 'billing', 'technical', 'read_only'], m.role), lower(p.name), p.id LIMIT 200`, id).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list the members of account %s: %w", id, err)
	}
	return found, nil
}

// Membership is one account a person belongs to.
type Membership struct {
	AccountID uuid.UUID
	Name      string
	Role      Role
	Members   int
	Services  int // that have not ended
	Since     time.Time
}

// Of lists the accounts a person belongs to, the one they have belonged to for longest
// first; the same order in which Current chooses.
func Of(ctx context.Context, tx *tenancy.Tx, person uuid.UUID) (found []Membership, err error) {
	err = tx.NewRaw(`SELECT a.id AS account_id, a.name, m.role, m.created_at AS since,
		(SELECT count(*) FROM memberships x WHERE x.account_id = a.id) AS members,
		(SELECT count(*) FROM services s WHERE s.account_id = a.id AND s.observed <> 'gone') AS services
		FROM memberships m JOIN accounts a ON a.id = m.account_id WHERE m.person_id = ? ORDER BY m.created_at, a.id LIMIT 200`, person).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list the accounts of a person: %w", err)
	}
	return found, nil
}

var (
	errNoMember = fault.New(fault.NotFound, "account.no_member", "There is no such member.")
	errAbove    = fault.New(fault.Forbidden, "account.owners_only", "Only an owner of the account can do this.")
)

// enter locks an account and answers what the caller is in it. Changes of one account
// queue here: two owners who take each other's role away at once cannot both succeed.
// Somebody who does not belong to it learns that there is no such account.
func enter(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, by Caller) (name string, role Role, err error) {
	if _, err := tx.NewRaw("SELECT id FROM accounts WHERE id = ? FOR UPDATE", id).Exec(ctx); err != nil {
		return "", "", fmt.Errorf("lock account %s: %w", id, err)
	}
	err = tx.NewRaw(`SELECT a.name, m.role FROM accounts a JOIN memberships m ON m.account_id = a.id
		WHERE a.id = ? AND m.person_id = ?`, id, by.Person).Scan(ctx, &name, &role)
	if tenancy.IsNoRows(err) {
		return "", "", errNoAccount
	}
	if err != nil {
		return "", "", fmt.Errorf("read the role in account %s: %w", id, err)
	}
	return name, role, nil
}

// manage is enter for those who may change the account.
func manage(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, by Caller) (name string, role Role, err error) {
	if name, role, err = enter(ctx, tx, id, by); err == nil {
		err = Acting{Role: role}.Must(Manage)
	}
	return name, role, err
}

func target(id uuid.UUID) audit.Target { return audit.Target{Kind: "account", ID: id.String()} }

func member(ctx context.Context, tx *tenancy.Tx, id, person uuid.UUID) (m Member, err error) {
	err = tx.NewRaw(`SELECT p.id AS person_id, p.name, p.email, m.role, m.created_at AS since FROM memberships m JOIN people p ON p.id = m.person_id
		WHERE m.account_id = ? AND m.person_id = ?`, id, person).Scan(ctx, &m)
	if tenancy.IsNoRows(err) {
		return Member{}, errNoMember
	}
	if err != nil {
		return Member{}, fmt.Errorf("read a member of account %s: %w", id, err)
	}
	return m, nil
}

// keepOwner refuses when nobody else who can sign in would own the account.
func keepOwner(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, m Member) error {
	if m.Role != Owner {
		return nil
	}
	var others int
	err := tx.NewRaw(`SELECT count(*) FROM memberships m JOIN people p ON p.id = m.person_id
		WHERE m.account_id = ? AND m.role = 'owner' AND m.person_id <> ? AND p.disabled_at IS NULL AND p.password_hash IS NOT NULL`, id, m.PersonID).Scan(ctx, &others)
	if err != nil {
		return fmt.Errorf("count the owners of account %s: %w", id, err)
	}
	if others == 0 {
		return fault.New(fault.Conflict, "account.last_owner", m.Name+" is the last owner of this account. Make somebody else an owner first.")
	}
	return nil
}

// SetRole changes what a member may do, from their next click on; the role they have
// changes nothing. Only owners make owners and change them. Faults: account.not_found,
// account.forbidden, account.no_member, account.owners_only, account.last_owner, and
// account.role_unknown about the field role.
func (d *Desk) SetRole(ctx context.Context, db *tenancy.DB, id, person uuid.UUID, role Role, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		name, own, err := manage(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if !role.known() {
			return errRole
		}
		m, err := member(ctx, tx, id, person)
		if err != nil || m.Role == role {
			return err
		}
		if own != Owner && (m.Role == Owner || role == Owner) {
			return errAbove
		}
		if err := keepOwner(ctx, tx, id, m); err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE memberships SET role = ? WHERE account_id = ? AND person_id = ?", role, id, person).Exec(ctx); err != nil {
			return fmt.Errorf("change a role in account %s: %w", id, err)
		}
		if !May(role, Manage) {
			if err := endInvitations(ctx, tx, id, person); err != nil {
				return err
			}
		}
		text := m.Name + " is now " + role.Label() + ", no longer " + m.Role.Label() + "."
		if err := tell(ctx, tx, id, "account.role_changed", person.String(), text, by); err != nil {
			return err
		}
		if err := d.writeChanged(ctx, tx, id, name, m, role.Label(), by); err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.role_changed", target(id), map[string]any{"person": person.String(), "name": m.Name, "from": m.Role, "to": role})
	})
}

var errRole = fault.Field("role", "account.role_unknown", "Please choose one of the roles.")

// Remove takes a member off the account, or lets the caller leave it, which everybody
// may. Invitations they sent and that are open end. Faults: account.not_found,
// account.forbidden, account.no_member, account.owners_only, account.last_owner.
func (d *Desk) Remove(ctx context.Context, db *tenancy.DB, id, person uuid.UUID, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		name, own, err := enter(ctx, tx, id, by)
		if err != nil {
			return err
		}
		leaves := person == by.Person
		if !leaves {
			if err := (Acting{Role: own}).Must(Manage); err != nil {
				return err
			}
		}
		m, err := member(ctx, tx, id, person)
		if err != nil {
			return err
		}
		if m.Role == Owner && own != Owner {
			return errAbove
		}
		if err := keepOwner(ctx, tx, id, m); err != nil {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM memberships WHERE account_id = ? AND person_id = ?", id, person).Exec(ctx); err != nil {
			return fmt.Errorf("remove a member of account %s: %w", id, err)
		}
		if err := endInvitations(ctx, tx, id, person); err != nil {
			return err
		}
		kind, text := "account.member_removed", m.Name+" was removed from the account."
		if leaves {
			kind, text = "account.member_left", m.Name+" left the account."
		}
		if err := tell(ctx, tx, id, kind, person.String(), text, by); err != nil {
			return err
		}
		if !leaves {
			if err := d.writeChanged(ctx, tx, id, name, m, "", by); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, kind, target(id), map[string]any{"person": person.String(), "name": m.Name, "role": m.Role})
	})
}

// writeChanged tells a member by mail what they are from now on; an empty role: nothing.
func (d *Desk) writeChanged(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, account string, m Member, role string, by Caller) error {
	err := d.Mail.Enqueue(ctx, tx, mail.Message{
		Key: "account/" + id.String() + "/changed/" + m.PersonID.String() + "/" + moment(tx), Template: mail.MembershipChanged, To: m.Email,
		Data: map[string]string{"name": m.Name, "account": account, "role": role, "inviter": by.Actor.Name, "link": "/client"},
	})
	if fault.Is(err, "mail.bad_address") {
		return nil
	}
	return err
}

// moment names what has no key of its own and can happen once at a time.
func moment(tx *tenancy.Tx) string { return tx.Now().UTC().Format("20060102T150405.000000") }

// tell puts a sentence on the account's timeline, in the caller's name.
func tell(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, kind, what, text string, by Caller) error {
	return activity.Tell(ctx, tx, activity.Event{
		Key: "account/" + id.String() + "/" + kind + "/" + what + "/" + moment(tx), AccountID: id, SubjectKind: activity.Account, SubjectID: id,
		Kind: kind, Text: text, Actor: by.Actor.Name, CustomerSees: true,
	})
}
