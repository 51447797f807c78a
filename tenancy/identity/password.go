package identity

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// HashedPassword is a password in argon2id's PHC form.
type HashedPassword string

// Length of a password in letters. The upper bound keeps hashing cheap to refuse.
const (
	MinPassword = 10
	MaxPassword = 200
)

// currentParams is what new hashes are made with: OWASP's second choice, 19 MiB.
var currentParams = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Passwords hashes and compares passwords, a bounded number at once: each takes
// 19 MiB and a core.
type Passwords struct {
	params argon2id.Params
	slots  chan struct{}
	dummy  HashedPassword
}

// NewPasswords makes a hasher that works on at most atOnce passwords at a time.
func NewPasswords(atOnce int) (*Passwords, error) {
	return newPasswords(atOnce, currentParams)
}

func newPasswords(atOnce int, params argon2id.Params) (*Passwords, error) {
	dummy, err := argon2id.CreateHash(randomText(16), &params)
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return &Passwords{params: params, slots: make(chan struct{}, max(atOnce, 1)), dummy: HashedPassword(dummy)}, nil
}

// Hash hashes a password that CheckPassword accepted.
func (p *Passwords) Hash(ctx context.Context, password string) (HashedPassword, error) {
	release, err := p.enter(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	h, err := argon2id.CreateHash(password, &p.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return HashedPassword(h), nil
}

// Matches compares. An empty hash (nobody, or nobody with a password) costs as much
// as a real one and never matches. stale says that the hash was made with other
// parameters than today's and should be made again.
func (p *Passwords) Matches(ctx context.Context, password string, hash HashedPassword) (ok, stale bool, err error) {
	release, err := p.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	nobody := hash == "" || len(password) > 4*MaxPassword
	if nobody {
		hash, password = p.dummy, "x"
	}
	ok, params, err := argon2id.CheckHash(password, string(hash))
	if err != nil {
		return false, false, fmt.Errorf("compare a password: %w", err)
	}
	return ok && !nobody, *params != p.params, nil
}

func (p *Passwords) enter(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "password.busy", "Many people are signing in right now. Please try again in a moment.")
	}
}

// CheckPassword says whether a new password will do: length, and not what everybody
// tries first. There are no rules about which characters: they make passwords
// worse. It returns a fault about the field password.
func CheckPassword(password, email string) error {
	n := utf8.RuneCountInString(password)
	lower := strings.ToLower(password)
	local, _, _ := strings.Cut(EmailKey(email), "@")
	switch {
	case !utf8.ValidString(password):
		return fault.Field("password", "password.malformed", "We could not read that password.")
	case n < MinPassword:
		return fault.Field("password", "password.short", fmt.Sprintf("Please use at least %d characters. A few words in a row do well.", MinPassword))
	case n > MaxPassword:
		return fault.Field("password", "password.long", fmt.Sprintf("Please use at most %d characters.", MaxPassword))
	case lower == EmailKey(email) || len(local) >= MinPassword && lower == local:
		return fault.Field("password", "password.is_email", "Please use something other than your e-mail address.")
	case tooCommon(lower):
		return fault.Field("password", "password.common", "This is one of the first passwords anybody would try. Please choose another.")
	}
	return nil
}

// tooCommon knows the worst passwords of ten letters and more: those of the list,
// one character or a short group repeated, and plain sequences.
func tooCommon(lower string) bool {
	for _, w := range worst {
		if lower == w {
			return true
		}
	}
	for n := 1; n <= 4; n++ {
		if len(lower) >= n && strings.Repeat(lower[:n], len(lower)/n+1)[:len(lower)] == lower {
			return true
		}
	}
	const rows = "01234567890123456789 abcdefghijklmnopqrstuvwxyz qwertyuiopasdfghjklzxcvbnm 98765432109876543210"
	return strings.Contains(rows, lower)
}

var worst = [...]string{
	"password12", "password123", "password1234", "password12345", "password123456", "passwordpassword", "mypassword1",
	"1q2w3e4r5t", "1q2w3e4r5t6y", "q1w2e3r4t5", "q1w2e3r4t5y6", "qwerty1234", "qwerty12345", "qwerty123456", "qwertyuiop1",
	"qwertyuiop123", "qwerty123qwerty", "1qaz2wsx3edc", "1qazxsw23edc", "zaq12wsxcde3", "qazwsxedcrfv", "zxcvbnm123", "asdfghjkl1",
	"asdfghjkl123", "iloveyou12", "iloveyou123", "iloveyou1234", "letmein123", "letmein1234", "welcome123", "welcome1234",
	"welcome2026", "admin12345", "admin123456", "administrator", "administrator1", "changeme12", "changeme123", "changeme1234",
	"football123", "baseball123", "superman123", "princess123", "sunshine123", "trustno1trustno1", "monkey1234", "dragon1234",
	"master1234", "michael123", "charlie123", "abcd123456", "abc1234567", "abcdef123456", "a123456789", "a1b2c3d4e5",
	"aa12345678", "aaa123456789", "123456789a", "1234567890a", "12345678910", "1234512345", "1234554321", "0987654321",
	"9876543210", "1122334455", "112233445566", "123123123a", "147258369a", "1472583690", "7894561230", "0123456789",
	"test123456", "test12345678", "secret1234", "secret12345", "default123", "passw0rd12", "passw0rd123", "p@ssw0rd12",
	"p@ssw0rd123", "p@ssword123", "pa55word123", "computer123", "internet123", "minecraft1", "minecraft123", "starwars123",
	"pokemon123", "liverpool1", "liverpool123", "manchester", "manchester1", "basketball", "basketball1", "godisgood1",
	"correcthorsebatterystaple", "ezscale123", "hosting123", "webhosting", "webhosting1", "changethis", "changethis1",
}
