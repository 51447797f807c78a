package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Bounds of invitations: how long one is open, how many an account sends in a day, and
// how soon an address gets the next.
const (
	invitationFor   = 7 * 24 * time.Hour
	invitationsADay = 30
	invitationPause = time.Minute
)

// Invitation is an open invitation into an account, as its members see it.
type Invitation struct {
	ID        string // names it to those who manage the account; opens nothing
	Email     string
	Role      Role
	Inviter   string
	SentAt    time.Time
	ExpiresAt time.Time
	Expired   bool
}

// Invitations lists the account's invitations that nobody accepted or withdrew.
func Invitations(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (found []Invitation, err error) {
	err = tx.NewRaw(`SELECT encode(l.token_hash, 'hex') AS id, l.email, l.role, p.name AS inviter, l.created_at AS sent_at, l.expires_at, l.expires_at <= ? AS expired
		FROM single_use_links l JOIN people p ON p.id = l.invited_by WHERE l.account_id = ? AND l.used_at IS NULL AND l.expires_at > ?
		ORDER BY l.created_at DESC LIMIT 200`, tx.Now(), id, tx.Now().Add(-30*24*time.Hour)).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list the invitations of account %s: %w", id, err)
	}
	return found, nil
}

// Invite mails an address a link by which its owner joins the account once, within
// seven days; an older invitation of the address ends. Whether the address is known here
// is told to nobody. Faults: account.not_found, account.forbidden,
// account.invitations_many, account.just_invited, and about the fields email and role.
func (d *Desk) Invite(ctx context.Context, db *tenancy.DB, id uuid.UUID, email string, role Role, by Caller) error {
	wrong := map[string]string{}
	email, err := identity.ParseEmail(email)
	if err != nil {
		wrong["email"] = fault.From(err).Message
	}
	if !role.known() {
		wrong["role"] = "Please choose one of the roles."
	}
	if err := fault.Fields("account.invitation_invalid", wrong); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		name, own, err := manage(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if role == Owner && own != Owner {
			return fault.Field("role", "account.owner_invited", "Only an owner of the account can invite an owner.")
		}
		var belongs bool
		err = tx.NewRaw(`SELECT EXISTS (SELECT FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = ? AND p.world = 'customer' AND p.email_key = ?)`,
			id, identity.EmailKey(email)).Scan(ctx, &belongs)
		if err != nil {
			return fmt.Errorf("look for a member of account %s: %w", id, err)
		}
		if belongs {
			return fault.Field("email", "account.member_already", "Somebody with this address is a member already.")
		}
		if err := d.send(ctx, tx, id, name, email, role, by); err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.member_invited", target(id), map[string]any{"email": email, "role": role})
	})
}

// send makes the link and mails it, as long as the account has not sent too many.
func (d *Desk) send(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, name, email string, role Role, by Caller) error {
	var today, recent int
	err := tx.NewRaw(`SELECT count(*), count(*) FILTER (WHERE email_key = ? AND created_at > ?) FROM single_use_links WHERE account_id = ? AND created_at > ?`,
		identity.EmailKey(email), tx.Now().Add(-invitationPause), id, tx.Now().Add(-24*time.Hour)).Scan(ctx, &today, &recent)
	if err != nil {
		return fmt.Errorf("count the invitations of account %s: %w", id, err)
	}
	switch {
	case recent > 0:
		return fault.New(fault.TooMany, "account.just_invited", "An invitation was sent to this address less than a minute ago.")
	case today >= invitationsADay:
		return fault.New(fault.TooMany, "account.invitations_many", "This account has sent many invitations today. Please go on tomorrow.")
	}
	_, err = tx.NewRaw("UPDATE single_use_links SET used_at = ? WHERE account_id = ? AND email_key = ? AND used_at IS NULL", tx.Now(), id, identity.EmailKey(email)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end older invitations: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token := base64.RawURLEncoding.EncodeToString(raw)
	_, err = tx.NewRaw(`INSERT INTO single_use_links (token_hash, purpose, created_at, expires_at, account_id, email, email_key, role, invited_by)
		VALUES (?, 'invite', ?, ?, ?, ?, ?, ?, ?)`, tokenHash(token), tx.Now(), tx.Now().Add(invitationFor), id, email, identity.EmailKey(email), role, by.Person).Exec(ctx)
	if err != nil {
		return fmt.Errorf("make an invitation: %w", err)
	}
	return d.Mail.Enqueue(ctx, tx, mail.Message{
		Key: "link/join/" + hex.EncodeToString(tokenHash(token)[:12]), Template: mail.AccountInvitation, To: email,
		Data: map[string]string{"inviter": by.Actor.Name, "account": name, "role": role.Label(), "link": InvitationPath(token), "valid_for": "7 days"},
	})
}

// InvitationPath is where an invitation's link leads.
func InvitationPath(token string) string { return "/invitations/" + token }

// tokenHash is all that is kept of a token. The label keeps it apart from other links'.
func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte("join\x00" + token))
	return sum[:]
}

var errNoInvitation = fault.New(fault.NotFound, "account.no_invitation", "There is no such open invitation.")

// open reads an invitation of the account nobody has accepted, by its ID.
func open(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, invitation string) (email string, role Role, err error) {
	hash, err := hex.DecodeString(invitation)
	if err != nil || len(hash) != sha256.Size {
		return "", "", errNoInvitation
	}
	err = tx.NewRaw("SELECT email, role FROM single_use_links WHERE token_hash = ? AND account_id = ? AND used_at IS NULL FOR UPDATE", hash, id).Scan(ctx, &email, &role)
	if tenancy.IsNoRows(err) {
		return "", "", errNoInvitation
	}
	if err != nil {
		return "", "", fmt.Errorf("read an invitation: %w", err)
	}
	return email, role, nil
}

// InviteAgain sends a new link for an open invitation; the one before ends. Faults:
// account.not_found, account.forbidden, account.no_invitation, account.owners_only,
// account.just_invited, account.invitations_many.
func (d *Desk) InviteAgain(ctx context.Context, db *tenancy.DB, id uuid.UUID, invitation string, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		name, own, err := manage(ctx, tx, id, by)
		if err != nil {
			return err
		}
		email, role, err := open(ctx, tx, id, invitation)
		if err != nil {
			return err
		}
		if role == Owner && own != Owner {
			return errAbove
		}
		if err := d.send(ctx, tx, id, name, email, role, by); err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.member_invited", target(id), map[string]any{"email": email, "role": role, "again": true})
	})
}

// Withdraw makes an open invitation worthless. Faults: account.not_found,
// account.forbidden, account.no_invitation.
func (d *Desk) Withdraw(ctx context.Context, db *tenancy.DB, id uuid.UUID, invitation string, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := manage(ctx, tx, id, by); err != nil {
			return err
		}
		email, role, err := open(ctx, tx, id, invitation)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE single_use_links SET used_at = ? WHERE account_id = ? AND email_key = ? AND used_at IS NULL", tx.Now(), id, identity.EmailKey(email)).Exec(ctx); err != nil {
			return fmt.Errorf("withdraw an invitation: %w", err)
		}
		return by.Record(ctx, tx, "account.invitation_withdrawn", target(id), map[string]any{"email": email, "role": role})
	})
}

// endInvitations makes the open invitations of one who may send none any more worthless.
func endInvitations(ctx context.Context, tx *tenancy.Tx, id, inviter uuid.UUID) error {
	_, err := tx.NewRaw("UPDATE single_use_links SET used_at = ? WHERE account_id = ? AND invited_by = ? AND used_at IS NULL", tx.Now(), id, inviter).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end the invitations of a member: %w", err)
	}
	return nil
}

// Offer is what the holder of an invitation's link is offered.
type Offer struct {
	AccountID uuid.UUID
	Account   string
	Email     string
	Role      Role
	Inviter   string
	Person    uuid.UUID // whom the address belongs to here; uuid.Nil: nobody
	Name      string    // of the person
	CanSignIn bool      // the person has a password
}

var errSpent = fault.New(fault.Gone, "account.invitation_spent", "This invitation was used, was withdrawn or is too old. Ask whoever invited you for a new one.")

const offerSQL = `SELECT l.account_id, a.name AS account, l.email, l.role, i.name AS inviter, coalesce(p.id, '00000000-0000-0000-0000-000000000000') AS person,
	coalesce(p.name, '') AS name, coalesce(p.password_hash IS NOT NULL, false) AS can_sign_in
	FROM single_use_links l JOIN accounts a ON a.id = l.account_id JOIN people i ON i.id = l.invited_by
	JOIN memberships m ON m.account_id = l.account_id AND m.person_id = l.invited_by AND (m.role = 'owner' OR m.role = 'admin' AND l.role <> 'owner')
	LEFT JOIN people p ON p.world = 'customer' AND p.email_key = l.email_key
	WHERE l.token_hash = ? AND l.used_at IS NULL AND l.expires_at > ? AND a.closed_at IS NULL AND p.disabled_at IS NULL`

// Look reads what a link offers and does not use it up: programs that check mails open
// links too. Faults: account.invitation_spent, account.no_invitation.
func Look(ctx context.Context, tx *tenancy.Tx, token string) (o Offer, err error) {
	err = tx.NewRaw(offerSQL, tokenHash(token), tx.Now()).Scan(ctx, &o)
	if tenancy.IsNoRows(err) {
		return Offer{}, gone(ctx, tx, token)
	}
	if err != nil {
		return Offer{}, fmt.Errorf("read an invitation: %w", err)
	}
	return o, nil
}

// gone is why a token offers nothing: it did once, or never.
func gone(ctx context.Context, tx *tenancy.Tx, token string) error {
	var was bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM single_use_links WHERE token_hash = ? AND account_id IS NOT NULL)", tokenHash(token)).Scan(ctx, &was); err != nil {
		return fmt.Errorf("read an invitation: %w", err)
	}
	if was {
		return errSpent
	}
	return errNoInvitation
}

// Join uses a link up with the transaction and makes the person a member, who must be
// the one it was sent to. Of two clicks at once one gets account.invitation_spent. A
// member keeps the role they have. Faults: account.invitation_spent, account.no_invitation,
// account.invitation_other.
func Join(ctx context.Context, tx *tenancy.Tx, token string, by Caller) (Offer, error) {
	var locked uuid.UUID
	err := tx.NewRaw(`SELECT a.id FROM accounts a JOIN single_use_links l ON l.account_id = a.id WHERE l.token_hash = ? FOR UPDATE OF a`, tokenHash(token)).Scan(ctx, &locked)
	if tenancy.IsNoRows(err) {
		return Offer{}, errNoInvitation
	}
	if err != nil {
		return Offer{}, fmt.Errorf("lock an invitation: %w", err)
	}
	o, err := Look(ctx, tx, token)
	if err != nil {
		return Offer{}, err
	}
	if o.Person != by.Person {
		return Offer{}, fault.New(fault.Forbidden, "account.invitation_other", "This invitation was sent to "+o.Email+". Sign in with that address to accept it.")
	}
	if _, err := tx.NewRaw("UPDATE single_use_links SET used_at = ? WHERE token_hash = ?", tx.Now(), tokenHash(token)).Exec(ctx); err != nil {
		return Offer{}, fmt.Errorf("use an invitation: %w", err)
	}
	res, err := tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", o.AccountID, by.Person, o.Role, tx.Now()).Exec(ctx)
	if err != nil {
		return Offer{}, fmt.Errorf("join account %s: %w", o.AccountID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return o, err
	}
	text := o.Name + " joined as " + o.Role.Label() + ", invited by " + o.Inviter + "."
	if err := tell(ctx, tx, o.AccountID, "account.member_joined", by.Person.String(), text, by); err != nil {
		return Offer{}, err
	}
	return o, by.Record(ctx, tx, "account.member_joined", target(o.AccountID), map[string]any{"person": by.Person.String(), "name": o.Name, "role": o.Role, "invited_by": o.Inviter})
}
