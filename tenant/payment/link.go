package payment

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Links makes and reads links with which an invoice is paid without signing in. What a
// link says is signed, so nothing of it is kept: it holds for one invoice of one tenant
// until a day, and as long as something is owed.
type Links struct{ key []byte }

// NewLinks signs with a key of the platform, which nothing else may use.
func NewLinks(key []byte) *Links { return &Links{key: key} }

// LinkKeyPurpose is what the key of links is derived for.
const LinkKeyPurpose = "pay-link"

// LinkHolds is how long a link in a letter can be used.
const LinkHolds = 30 * 24 * time.Hour

// Letter is which letter a link was in, for the report of what each recovers.
type Letter byte

// The letters with links.
const (
	LetterDue Letter = iota + 1
	LetterFailed
	LetterSuspended
	LetterEnding
	LetterWeek
)

// ByLink is what payments keep of a link they were made with.
func ByLink(l Letter) string {
	switch l {
	case LetterDue:
		return "link/due"
	case LetterFailed:
		return "link/failed"
	case LetterSuspended:
		return "link/suspended"
	case LetterEnding:
		return "link/ending"
	case LetterWeek:
		return "link/week"
	}
	return "link"
}

const (
	linkBody = 16 + 4 + 1               // invoice, unix seconds of the last moment, letter
	linkSize = linkBody + sha256.Size/2 // and half a SHA-256, which is as hard to guess as an id
)

// Path is the path of a link for an invoice that can be used until a moment.
func (l *Links) Path(of tenancy.ID, invoice uuid.UUID, from Letter, until time.Time) string {
	raw := make([]byte, 0, linkSize)
	raw = append(raw, invoice[:]...)
	raw = binary.BigEndian.AppendUint32(raw, uint32(until.Unix())) //nolint:gosec // until 2106
	raw = append(raw, byte(from))
	return "/pay/" + base64.RawURLEncoding.EncodeToString(append(raw, l.sign(of, raw)...))
}

func (l *Links) sign(of tenancy.ID, body []byte) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(of.Number()))) //nolint:gosec // a name, not a number
	mac.Write(body)
	return mac.Sum(nil)[:sha256.Size/2]
}

// ErrLink is the fault pay_link.over: forged, of another shop, too old, or no more use.
// Which of them it is, nobody is told.
func ErrLink() error {
	return fault.New(fault.NotFound, "pay_link.over", "This link is of no more use: its invoice is paid, or the link is too old. Sign in to see your invoices.")
}

// Read returns what a link is for. The fault is pay_link.over.
func (l *Links) Read(of tenancy.ID, token string, now time.Time) (invoice uuid.UUID, from Letter, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != linkSize || !hmac.Equal(raw[linkBody:], l.sign(of, raw[:linkBody])) {
		return uuid.Nil, 0, ErrLink()
	}
	if now.Unix() > int64(binary.BigEndian.Uint32(raw[16:20])) {
		return uuid.Nil, 0, ErrLink()
	}
	return uuid.UUID(raw[:16]), Letter(raw[20]), nil
}
