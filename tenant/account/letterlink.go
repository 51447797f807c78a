package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// LetterLinks makes and reads links with which an account does without letters before
// renewals, without signing in: mail programs follow them for their owner (RFC 8058). What a
// link says is signed, so nothing of it is kept; it opens nothing else, and holds for good.
type LetterLinks struct{ key []byte }

// LetterLinkPurpose is what the key of links is derived for.
const LetterLinkPurpose = "letter-link"

// NewLetterLinks signs with a key of the platform, which nothing else may use.
func NewLetterLinks(key []byte) *LetterLinks { return &LetterLinks{key: key} }

const letterLinkSize = 16 + sha256.Size/2 // the account and half a SHA-256

// LetterPath is where programs send a link to, and LetterPage where people see it.
const (
	LetterPath = "/hooks/letters/"
	LetterPage = "/letters/"
)

// Path is the path of an account's link; empty: links are not made.
func (l *LetterLinks) Path(of tenancy.ID, account uuid.UUID) string {
	if l == nil {
		return ""
	}
	return LetterPath + base64.RawURLEncoding.EncodeToString(append(account[:], l.sign(of, account)...))
}

func (l *LetterLinks) sign(of tenancy.ID, account uuid.UUID) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(of.Number()))) //nolint:gosec // a name, not a number
	mac.Write(account[:])
	return mac.Sum(nil)[:sha256.Size/2]
}

// Read returns whose link it is. The fault is letters.bad_link, for one that is forged or of
// another shop alike.
func (l *LetterLinks) Read(of tenancy.ID, token string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != letterLinkSize || !hmac.Equal(raw[16:], l.sign(of, uuid.UUID(raw[:16]))) {
		return uuid.Nil, fault.New(fault.NotFound, "letters.bad_link", "This link is not complete. Please copy all of it, or sign in and look at Account, Notifications.")
	}
	return uuid.UUID(raw[:16]), nil
}

// RemindByLink is SetReminders for whoever holds the account's link. Fault:
// account.not_found.
func RemindByLink(ctx context.Context, db *tenancy.DB, id uuid.UUID, on bool, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := GetNotices(ctx, tx, id); err != nil {
			return err
		}
		return remind(ctx, tx, id, on, by)
	})
}
