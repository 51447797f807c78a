package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// Factors keeps second factors: time-based codes (RFC 6238: SHA-1, 6 digits, 30 s,
// what every authenticator app speaks) and recovery codes. Codes are counted by the
// wall clock, never by a tenant's own.
type Factors struct {
	People People
	Keys   *secrets.Keyring
	Clock  tenancy.Clock
}

const (
	totpPeriod    = 30
	totpPurpose   = "totp"
	recoveryCount = 10
)

var (
	base32Text  = base32.StdEncoding.WithPadding(base32.NoPadding)
	totpOptions = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
)

// Enrolment is what an authenticator app is given.
type Enrolment struct {
	Secret string // base32, in groups for typing
	URL    string // otpauth://…
	QR     string // data:image/png;base64,…
}

var errWrongCode = fault.Field("code", "code.wrong", "This code is not right. Codes change every 30 seconds; please enter the one shown now.")

// Begin makes a secret for a person who has no second factor yet, or shows again the
// one that is still to be confirmed. It returns the fault totp.exists when one is set up.
func (f Factors) Begin(ctx context.Context, tx tenancy.Statements, p Person, issuer string) (Enrolment, error) {
	secret, confirmed, _, err := f.read(ctx, tx, p.ID)
	if err != nil {
		return Enrolment{}, err
	}
	if confirmed {
		return Enrolment{}, fault.New(fault.Conflict, "totp.exists", "A second factor is set up already. Remove it first to set up another.")
	}
	if secret == nil {
		secret = make([]byte, 20)
		_, _ = rand.Read(secret) // never fails
		sealed, err := f.Keys.Seal(totpPurpose, p.ID[:], secret)
		if err != nil {
			return Enrolment{}, err
		}
		if err := f.People.change(ctx, tx, p.ID, "totp_secret = ?, totp_last_step = 0", sealed); err != nil {
			return Enrolment{}, err
		}
	}
	return enrolment(base32Text.EncodeToString(secret), issuer, p.Email)
}

func enrolment(secret, issuer, account string) (Enrolment, error) {
	// The label's colon parts issuer and account, so neither may bring its own.
	issuer, account = strings.ReplaceAll(issuer, ":", " "), strings.ReplaceAll(account, ":", " ")
	u := "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) +
		"?secret=" + secret + "&issuer=" + url.QueryEscape(issuer) + "&algorithm=SHA1&digits=6&period=30"
	code, err := qr.Encode(u, qr.M, qr.Auto)
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw the code: %w", err)
	}
	const module, quiet = 5, 4 * 5 // pixels; scanners want four white modules around it
	size := code.Bounds().Dx() * module
	code, err = barcode.Scale(code, size, size)
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw the code: %w", err)
	}
	picture := image.NewPaletted(image.Rect(0, 0, size+2*quiet, size+2*quiet), color.Palette{color.White, color.Black})
	draw.Draw(picture, code.Bounds().Add(image.Pt(quiet, quiet)), code, code.Bounds().Min, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return Enrolment{}, fmt.Errorf("draw the code: %w", err)
	}
	return Enrolment{Secret: grouped(secret, " "), URL: u, QR: "data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes())}, nil
}

// Confirm turns a begun second factor on by its first code and returns fresh
// recovery codes, which can never be shown again. All other sessions end.
func (f Factors) Confirm(ctx context.Context, tx tenancy.Statements, id uuid.UUID, code string) ([]string, error) {
	secret, confirmed, last, err := f.read(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if confirmed || secret == nil {
		return nil, fault.New(fault.Conflict, "totp.not_begun", "This second factor was set up or given up meanwhile. Please reload the page.")
	}
	step, ok := f.match(secret, code, last)
	if !ok {
		return nil, errWrongCode
	}
	err = f.People.change(ctx, tx, id, "totp_confirmed_at = ?, totp_last_step = ?, session_epoch = session_epoch + 1", tx.Now(), step)
	if err != nil {
		return nil, err
	}
	return f.NewRecoveryCodes(ctx, tx, id)
}

// Check accepts a code once: the step it belongs to is used up with the
// transaction, so that a second request with the same code is refused, also when
// both arrive at once. A wrong or used code is the fault code.wrong.
func (f Factors) Check(ctx context.Context, tx tenancy.Statements, id uuid.UUID, code string) error {
	secret, confirmed, last, err := f.read(ctx, tx, id)
	if err != nil {
		return err
	}
	if !confirmed {
		return errWrongCode
	}
	step, ok := f.match(secret, code, last)
	if !ok {
		return errWrongCode
	}
	res, err := tx.NewRaw("UPDATE people SET totp_last_step = ? WHERE id = ? AND totp_last_step < ?", step, id, step).Exec(ctx)
	if err != nil {
		return fmt.Errorf("use a code: %w", err)
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return errWrongCode // somebody was faster with the same code
	}
	return nil
}

// Remove takes the second factor and its recovery codes away. All sessions end.
func (f Factors) Remove(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
	if _, err := tx.NewRaw("DELETE FROM recovery_codes WHERE person_id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("remove recovery codes: %w", err)
	}
	return f.People.change(ctx, tx, id, "totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = 0, session_epoch = session_epoch + 1")
}

// match finds the step a code belongs to: the present one or a neighbour, and later
// than the last one used.
func (f Factors) match(secret []byte, code string, last int64) (int64, bool) {
	code = digits(code)
	if len(code) != 6 {
		return 0, false
	}
	now := f.Clock().Unix() / totpPeriod
	for _, step := range []int64{now, now - 1, now + 1} {
		if step <= last || step < 0 {
			continue
		}
		ok, err := hotp.ValidateCustom(code, uint64(step), base32Text.EncodeToString(secret), totpOptions) //nolint:gosec // not negative
		if err == nil && ok {
			return step, true
		}
	}
	return 0, false
}

// CodeAt is the code of a secret (as Enrolment shows it) at a time: for the demo's
// logins and for tests.
func CodeAt(secret string, at time.Time) (string, error) {
	return hotp.GenerateCodeCustom(strings.ReplaceAll(secret, " ", ""), uint64(at.Unix()/totpPeriod), totpOptions) //nolint:gosec // after 1970
}

func (f Factors) read(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (secret []byte, confirmed bool, last int64, err error) {
	var sealed []byte
	err = tx.NewRaw("SELECT totp_secret, totp_confirmed_at IS NOT NULL, totp_last_step FROM people WHERE world = ? AND id = ?", f.People.World, id).
		Scan(ctx, &sealed, &confirmed, &last)
	if tenancy.IsNoRows(err) {
		return nil, false, 0, errNoPerson
	}
	if err != nil || sealed == nil {
		return nil, confirmed, last, err
	}
	secret, err = f.Keys.Open(totpPurpose, id[:], sealed)
	return secret, confirmed, last, err
}

// NewRecoveryCodes replaces the person's recovery codes. Only hashes are kept; each
// code carries 80 bits, so a plain hash does.
func (f Factors) NewRecoveryCodes(ctx context.Context, tx tenancy.Statements, id uuid.UUID) ([]string, error) {
	if _, err := tx.NewRaw("DELETE FROM recovery_codes WHERE person_id = ?", id).Exec(ctx); err != nil {
		return nil, fmt.Errorf("replace recovery codes: %w", err)
	}
	codes := make([]string, recoveryCount)
	for i := range codes {
		raw := make([]byte, 10)
		_, _ = rand.Read(raw) // never fails
		code := strings.ToLower(base32Text.EncodeToString(raw))
		codes[i] = grouped(code, "-")
		if _, err := tx.NewRaw("INSERT INTO recovery_codes (person_id, code_hash) VALUES (?, ?)", id, recoveryHash(id, code)).Exec(ctx); err != nil {
			return nil, fmt.Errorf("add a recovery code: %w", err)
		}
	}
	return codes, nil
}

// UseRecoveryCode accepts a recovery code once, in any spelling. It returns how many
// are left, or the fault code.wrong.
func (f Factors) UseRecoveryCode(ctx context.Context, tx tenancy.Statements, id uuid.UUID, code string) (left int, err error) {
	plain := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(toText(code)))
	if len(plain) != 16 {
		return 0, errWrongRecovery
	}
	res, err := tx.NewRaw("UPDATE recovery_codes SET used_at = ? WHERE person_id = ? AND code_hash = ? AND used_at IS NULL",
		tx.Now(), id, recoveryHash(id, plain)).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("use a recovery code: %w", err)
	}
	if n, _ := res.RowsAffected(); n == 0 {
		return 0, errWrongRecovery
	}
	return f.RecoveryCodesLeft(ctx, tx, id)
}

// RecoveryCodesLeft is how many of the person's recovery codes are unused.
func (f Factors) RecoveryCodesLeft(ctx context.Context, tx tenancy.Statements, id uuid.UUID) (int, error) {
	var n int
	if err := tx.NewRaw("SELECT count(*) FROM recovery_codes WHERE person_id = ? AND used_at IS NULL", id).Scan(ctx, &n); err != nil {
		return 0, fmt.Errorf("count recovery codes: %w", err)
	}
	return n, nil
}

var errWrongRecovery = fault.Field("recovery", "recovery_code.wrong", "This recovery code is not right, or it has been used.")

func recoveryHash(id uuid.UUID, plain string) []byte {
	sum := sha256.Sum256(append(append([]byte("recovery"), id[:]...), plain...))
	return sum[:]
}

// digits drops what people put between digits.
func digits(s string) string {
	if len(s) > 32 {
		return ""
	}
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "", "\t", "").Replace(s)
}

// grouped puts sep between groups of four.
func grouped(s, sep string) string {
	var b strings.Builder
	for i := 0; i < len(s); i += 4 {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s[i:min(i+4, len(s))])
	}
	return b.String()
}

// Rewrap seals again, with the newest master key, the secrets that an older one
// sealed, and reports how many. It may be repeated.
func (f Factors) Rewrap(ctx context.Context, tx tenancy.Statements) (int, error) {
	var rows []struct {
		ID     uuid.UUID `bun:"id"`
		Sealed []byte    `bun:"totp_secret"`
	}
	err := tx.NewRaw("SELECT id, totp_secret FROM people WHERE world = ? AND totp_secret IS NOT NULL ORDER BY id FOR UPDATE", f.People.World).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("rewrap second factors: %w", err)
	}
	changed := 0
	for _, r := range rows {
		sealed, fresh, err := f.Keys.Rewrap(totpPurpose, r.ID[:], r.Sealed)
		if err != nil {
			return 0, fmt.Errorf("rewrap the second factor of %s: %w", r.ID, err)
		}
		if !fresh {
			continue
		}
		if _, err := tx.NewRaw("UPDATE people SET totp_secret = ? WHERE id = ?", sealed, r.ID).Exec(ctx); err != nil {
			return 0, fmt.Errorf("rewrap the second factor of %s: %w", r.ID, err)
		}
		changed++
	}
	return changed, nil
}
