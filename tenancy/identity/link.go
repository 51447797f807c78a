package identity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Purpose is what a single-use link is for.
type Purpose string

// The purposes.
const (
	Reset  Purpose = "reset"  // choose a new password
	Verify Purpose = "verify" // confirm the address of a new account and choose its password
	Invite Purpose = "invite" // accept an invitation and choose a password
)

// lifetime of a link.
func (p Purpose) lifetime() time.Duration {
	switch p {
	case Reset:
		return time.Hour
	case Verify:
		return 48 * time.Hour
	default:
		return 7 * 24 * time.Hour
	}
}

var errSpent = fault.New(fault.Gone, "link.spent", "This link has been used or is too old. Please ask for a new one.")

// NewLink makes the token of a single-use link for a person. Only its hash is kept;
// older links of the purpose are worthless from now on.
func (p People) NewLink(ctx context.Context, tx tenancy.Statements, person uuid.UUID, purpose Purpose) (token string, err error) {
	now := tx.Now()
	_, err = tx.NewRaw("UPDATE single_use_links SET used_at = ? WHERE person_id = ? AND purpose = ? AND used_at IS NULL", now, person, purpose).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("end older links: %w", err)
	}
	token = randomText(32)
	_, err = tx.NewRaw("INSERT INTO single_use_links (token_hash, person_id, purpose, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
		linkHash(token), person, purpose, now, now.Add(purpose.lifetime())).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("make a link: %w", err)
	}
	return token, nil
}

// LinkHolder is whom a link that still counts was made for. It does not use it up:
// programs that check mails open links too. It returns the fault link.spent.
func (p People) LinkHolder(ctx context.Context, tx tenancy.Statements, token string, purpose Purpose) (Person, error) {
	var id uuid.UUID
	err := tx.NewRaw(`SELECT l.person_id FROM single_use_links l JOIN people p ON p.id = l.person_id
		WHERE l.token_hash = ? AND l.purpose = ? AND l.used_at IS NULL AND l.expires_at > ? AND p.world = ? AND p.disabled_at IS NULL`,
		linkHash(token), purpose, tx.Now(), p.World).Scan(ctx, &id)
	if tenancy.IsNoRows(err) {
		return Person{}, errSpent
	}
	if err != nil {
		return Person{}, fmt.Errorf("read a link: %w", err)
	}
	return p.ByID(ctx, tx, id)
}

// UseLink uses a link up with the transaction and returns whom it was made for. Of
// two clicks at once one gets the fault link.spent.
func (p People) UseLink(ctx context.Context, tx tenancy.Statements, token string, purpose Purpose) (Person, error) {
	var id uuid.UUID
	err := tx.NewRaw(`UPDATE single_use_links l SET used_at = ? FROM people p
		WHERE p.id = l.person_id AND p.world = ? AND p.disabled_at IS NULL
		AND l.token_hash = ? AND l.purpose = ? AND l.used_at IS NULL AND l.expires_at > ? RETURNING l.person_id`,
		tx.Now(), p.World, linkHash(token), purpose, tx.Now()).Scan(ctx, &id)
	if tenancy.IsNoRows(err) {
		return Person{}, errSpent
	}
	if err != nil {
		return Person{}, fmt.Errorf("use a link: %w", err)
	}
	return p.ByID(ctx, tx, id)
}

func linkHash(token string) []byte {
	sum := sha256.Sum256([]byte("link\x00" + token))
	return sum[:]
}
