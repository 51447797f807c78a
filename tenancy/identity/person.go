package identity

import (
	"context"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Person is somebody who may sign in. Secrets are not in it.
type Person struct {
	bun.BaseModel `bun:"table:people"`

	ID              uuid.UUID `bun:"id,pk"`
	World           World     `bun:"world"`
	Email           string    `bun:"email"`
	EmailKey        string    `bun:"email_key"` // what makes two spellings one address
	Name            string    `bun:"name"`
	Role            Role      `bun:"role"`
	HasPassword     bool      `bun:"has_password,scanonly"`
	TOTPConfirmedAt time.Time `bun:"totp_confirmed_at,nullzero"`
	EmailVerifiedAt time.Time `bun:"email_verified_at,nullzero"`
	DisabledAt      time.Time `bun:"disabled_at,nullzero"`
	Epoch           int       `bun:"session_epoch"` // moves to end all sessions
	Locale          string    `bun:"locale"`
	CreatedAt       time.Time `bun:"created_at"`
	ChangedAt       time.Time `bun:"changed_at"`
}

// HasTOTP reports whether a second factor is set up.
func (p Person) HasTOTP() bool { return !p.TOTPConfirmedAt.IsZero() }

// Principal is the person as signed in by s.
func (p Person) Principal(s Session) Principal {
	return Principal{
		World: p.World, PersonID: p.ID, Name: p.Name, Email: p.Email, Role: p.Role,
		SecondFactor: s.SecondFactor, HasTOTP: p.HasTOTP(), SessionID: s.Handle, CSRF: s.CSRF,
	}
}

const personColumns = `id, world, email, email_key, name, role, password_hash IS NOT NULL AS has_password,
	totp_confirmed_at, email_verified_at, disabled_at, session_epoch, locale, created_at, changed_at`

// People is the people of one world, in whichever plane's transaction it is given.
type People struct{ World World }

var errNoPerson = fault.New(fault.NotFound, "person.not_found", "There is no such person.")

// ByID returns the person, or the fault person.not_found.
func (p People) ByID(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (Person, error) {
	return p.one(ctx, tx, "id = ?", id)
}

// ByEmail returns the person with this address in any spelling, or the fault
// person.not_found.
func (p People) ByEmail(ctx context.Context, tx tenancy.Statements, email string) (Person, error) {
	return p.one(ctx, tx, "email_key = ?", EmailKey(email))
}

func (p People) one(ctx context.Context, tx tenancy.Statements, where string, arg any) (Person, error) {
	var found Person
	err := tx.NewRaw("SELECT "+personColumns+" FROM people WHERE world = ? AND "+where, p.World, arg).Scan(ctx, &found)
	if tenancy.IsNoRows(err) {
		return Person{}, errNoPerson
	}
	if err != nil {
		return Person{}, fmt.Errorf("read person: %w", err)
	}
	return found, nil
}

// List returns everybody of the world, by name. It is for teams: small by nature.
func (p People) List(ctx context.Context, tx tenancy.Statements, limit, offset int) ([]Person, error) {
	var found []Person
	err := tx.NewRaw("SELECT "+personColumns+" FROM people WHERE world = ? ORDER BY lower(name), id LIMIT ? OFFSET ?", p.World, limit, offset).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return found, nil
}

// NewPerson is what it takes to add somebody.
type NewPerson struct {
	Email    string
	Name     string
	Role     Role
	Locale   string
	Password string // empty: they set one by an invitation
	Verified bool   // the address is known to be theirs
}

// Add creates a person. It returns the fault person.taken when the world has one
// with this address, and faults about fields for an address or password we refuse.
// Hashing takes a tenth of a second: hash first and hand in a HashedPassword where
// the transaction holds locks.
func (p People) Add(ctx context.Context, tx tenancy.Statements, in NewPerson, hash HashedPassword) (Person, error) {
	email, err := ParseEmail(in.Email)
	if err != nil {
		return Person{}, err
	}
	name, err := ParseName(in.Name)
	if err != nil {
		return Person{}, err
	}
	if _, known := grants[p.World][in.Role]; !known {
		return Person{}, fault.Field("role", "person.role_unknown", "Please choose one of the roles.")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Person{}, err
	}
	now := tx.Now()
	verified := time.Time{}
	if in.Verified {
		verified = now
	}
	locale := in.Locale
	if locale == "" {
		locale = "en"
	}
	res, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, password_hash, email_verified_at, locale, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (world, email_key) DO NOTHING`,
		id, p.World, email, EmailKey(email), name, in.Role, bun.NullZero(string(hash)), bun.NullZero(verified), locale, now, now).Exec(ctx)
	if err != nil {
		return Person{}, fmt.Errorf("add person: %w", err)
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return Person{}, fault.Field("email", "person.taken", "There is somebody with this address already.")
	}
	return p.ByID(ctx, tx, id)
}

// SetRole changes what the person may do. It counts from their next request.
func (p People) SetRole(ctx context.Context, tx tenancy.Statements, id uuid.UUID, role Role) error {
	if _, known := grants[p.World][role]; !known {
		return fault.Field("role", "person.role_unknown", "Please choose one of the roles.")
	}
	return p.change(ctx, tx, id, "role = ?", role)
}

// Rename changes the person's name.
func (p People) Rename(ctx context.Context, tx tenancy.Statements, id uuid.UUID, name string) error {
	name, err := ParseName(name)
	if err != nil {
		return err
	}
	return p.change(ctx, tx, id, "name = ?", name)
}

// Disable keeps the person out and ends all their sessions; Enable lets them in again.
func (p People) Disable(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	return p.change(ctx, tx, id, "disabled_at = coalesce(disabled_at, ?), session_epoch = session_epoch + 1", tx.Now())
}

// Enable undoes Disable.
func (p People) Enable(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	return p.change(ctx, tx, id, "disabled_at = NULL")
}

// EndSessions makes every session of the person that exists now worthless.
func (p People) EndSessions(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	return p.change(ctx, tx, id, "session_epoch = session_epoch + 1")
}

func (p People) change(ctx context.Context, tx tenancy.Statements, id uuid.UUID, set string, args ...any) error {
	res, err := tx.NewRaw("UPDATE people SET "+set+", changed_at = ? WHERE world = ? AND id = ?", append(args, tx.Now(), p.World, id)...).Exec(ctx)
	if err != nil {
		return fmt.Errorf("change person: %w", err)
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return errNoPerson
	}
	return nil
}

// ParseEmail reads an address a person typed: trimmed, one mailbox, at most 254
// bytes. It returns a fault about the field email.
func ParseEmail(s string) (string, error) {
	refused := fault.Field("email", "email.malformed", "That does not look like an e-mail address.")
	s = strings.TrimSpace(s)
	if s == "" {
		return "", fault.Field("email", "email.missing", "Please enter your e-mail address.")
	}
	if len(s) > 254 || toText(s) != s || strings.ContainsAny(s, "\r\n\t <>\"(),;:\\[]") {
		return "", refused
	}
	addr, err := mail.ParseAddress(s)
	if err != nil || addr.Address != s {
		return "", refused
	}
	local, domain, _ := strings.Cut(s, "@")
	if len(local) > 64 || !strings.Contains(domain, ".") || strings.HasSuffix(domain, ".") {
		return "", refused
	}
	return s, nil
}

// EmailKey is what two spellings of one address have in common. It is for
// comparing: mails go to the spelling the person gave.
func EmailKey(email string) string { return strings.ToLower(strings.TrimSpace(toText(email))) }

// ParseName reads a name a person typed: trimmed, one line, at most 100 letters. It
// returns a fault about the field name.
func ParseName(s string) (string, error) {
	s = strings.Join(strings.Fields(toText(s)), " ")
	if s == "" {
		return "", fault.Field("name", "name.missing", "Please enter your name.")
	}
	if len([]rune(s)) > 100 {
		return "", fault.Field("name", "name.long", "Please use at most 100 letters.")
	}
	return s, nil
}

// toText drops what Postgres cannot keep in a text and what is no letter on any
// screen: invalid UTF-8 and control characters.
func toText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// HashOf is a person's password hash, for a person of another world who is the same:
// whoever opens a shop at the partner centre signs in to it with the same password.
// Empty: they have none yet.
func (p People) HashOf(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (HashedPassword, error) {
	var hash *string
	err := tx.NewRaw("SELECT password_hash FROM people WHERE world = ? AND id = ?", p.World, id).Scan(ctx, &hash)
	if tenancy.IsNoRows(err) {
		return "", errNoPerson
	}
	if err != nil {
		return "", fmt.Errorf("read a password's hash: %w", err)
	}
	if hash == nil {
		return "", nil
	}
	return HashedPassword(*hash), nil
}
