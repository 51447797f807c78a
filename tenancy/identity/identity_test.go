package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// house is a world with a desk for the resellers' teams.
type house struct {
	*tenancytest.World
	redis *miniredis.Miniredis
	desk  *Desk
}

// cheap makes hashing quick in tests; what is tested does not depend on its price.
var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func mustHouse(t testing.TB) *house {
	t.Helper()
	w := tenancytest.New(t)
	mr := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mr.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	k, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(k)
	must(t, err)
	pw, err := newPasswords(4, cheap)
	must(t, err)
	people := People{World: Reseller}
	return &house{World: w, redis: mr, desk: &Desk{
		People: people, Passwords: pw, Sessions: NewSessions(rdb, w.Clock.Now),
		Throttle: NewThrottle(rdb, ring.DeriveKey("devices"), w.Clock.Now),
		Factors:  Factors{People: people, Keys: ring, Clock: w.Clock.Now},
	}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const goodPassword = "four words in a row"

func (h *house) mustAdd(t testing.TB, who tenancy.Tenant, email string) Person {
	t.Helper()
	hash, err := h.desk.Passwords.Hash(t.Context(), goodPassword)
	must(t, err)
	var p Person
	must(t, InTenant(h.DB(who)).Update(t.Context(), func(tx tenancy.Statements) error {
		p, err = h.desk.People.Add(t.Context(), tx, NewPerson{Email: email, Name: "Ada", Role: ResellerOwner, Verified: true}, hash)
		return err
	}))
	return p
}

func (h *house) binding(t tenancy.Tenant) Binding {
	return Binding{World: Reseller, Tenant: t.ID, Host: t.PrimaryHost}
}

func (h *house) signIn(t testing.TB, who tenancy.Tenant, email, password string, o Origin) (Entered, error) {
	t.Helper()
	return h.desk.SignIn(t.Context(), InTenant(h.DB(who)), h.binding(who), Credentials{email, password}, o, false)
}

func (h *house) pass(d time.Duration) {
	h.Clock.Advance(d)
	h.redis.FastForward(d)
}

func code(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestSignInSaysTheSameToEveryoneItRefuses(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	gone := h.mustAdd(t, h.A, "gone@alpha.test")
	must(t, InTenant(h.DB(h.A)).Update(t.Context(), func(tx tenancy.Statements) error {
		return h.desk.People.Disable(t.Context(), tx, gone.ID)
	}))
	for _, c := range []struct {
		name            string
		who             tenancy.Tenant
		email, password string
		want            string
	}{
		{"right", h.A, "ada@alpha.test", goodPassword, ""},
		{"another spelling of the address", h.A, " ADA@Alpha.Test", goodPassword, ""},
		{"a wrong password", h.A, "ada@alpha.test", "something else", "signin.refused"},
		{"nobody", h.A, "nobody@alpha.test", goodPassword, "signin.refused"},
		{"the other tenant's", h.B, "ada@alpha.test", goodPassword, "signin.refused"},
		{"barred", h.A, "gone@alpha.test", goodPassword, "signin.refused"},
		{"nothing", h.A, "", "", "signin.refused"},
		{"a NUL and bytes that are no text", h.A, "a\x00\xff@x", "\x00\xff", "signin.refused"},
		{"a megabyte", h.A, strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20), "signin.refused"},
	} {
		got, err := h.signIn(t, c.who, c.email, c.password, Origin{IP: "192.0.2.1", UserAgent: "x\x00\xff"})
		if code(err) != c.want || (err == nil) != (got.Token != "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	var logins []Login
	must(t, h.DB(h.A).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		logins, err = h.desk.People.Logins(t.Context(), tx, gone.ID, 10)
		return err
	}))
	if len(logins) != 1 || logins[0].Outcome != PersonBarred {
		t.Errorf("history of who was barred: %+v", logins)
	}
}

func TestOldHashesAreMadeAgain(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	read := func() (hash HashedPassword) {
		must(t, h.DB(h.A).View(t.Context(), func(tx *tenancy.Tx) (err error) {
			hash, err = h.desk.hashOf(t.Context(), tx, p.ID)
			return err
		}))
		return hash
	}
	before := read()
	_, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	if read() != before {
		t.Error("a hash of today's parameters was made again")
	}
	stronger := cheap
	stronger.Iterations++
	h.desk.Passwords, err = newPasswords(4, stronger)
	must(t, err)
	_, err = h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	if after := read(); after == before || !strings.Contains(string(after), "t=2") {
		t.Errorf("the hash is still %q", after)
	}
	_, err = h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
}

func TestCheckPassword(t *testing.T) {
	for _, c := range []struct{ name, password, want string }{
		{"four words", goodPassword, ""},
		{"ten letters", "xkqpvzmwtr", ""},
		{"letters of any script", "пароль длинный", ""},
		{"nine", "xkqpvzmwt", "password.short"},
		{"nothing", "", "password.short"},
		{"too long", strings.Repeat("xkqpvz", 40), "password.long"},
		{"the address", "Ada.Lovelace@example.test", "password.is_email"},
		{"its first part", "ada.lovelace", "password.is_email"},
		{"of the list", "Password123", "password.common"},
		{"one letter", "aaaaaaaaaaaa", "password.common"},
		{"a group repeated", "abcabcabcabc", "password.common"},
		{"a sequence", "1234567890", "password.common"},
		{"the keyboard", "qwertyuiop", "password.common"},
		{"no text", "\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "password.malformed"},
	} {
		if got := code(CheckPassword(c.password, "ada.lovelace@example.test")); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func (h *house) mustTOTP(t testing.TB, who tenancy.Tenant, p Person) (secret string, recovery []string) {
	t.Helper()
	must(t, InTenant(h.DB(who)).Update(t.Context(), func(tx tenancy.Statements) error {
		e, err := h.desk.Factors.Begin(t.Context(), tx, p, "Al:pha")
		if err != nil {
			return err
		}
		secret = e.Secret
		recovery, err = h.desk.Factors.Confirm(t.Context(), tx, p.ID, h.code(t, secret))
		return err
	}))
	return secret, recovery
}

func (h *house) code(t testing.TB, secret string) string {
	t.Helper()
	c, err := CodeAt(secret, h.Clock.Now())
	must(t, err)
	return c
}

func TestTOTP(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	secret, _ := h.mustTOTP(t, h.A, p)
	check := func(c string) string {
		return code(InTenant(h.DB(h.A)).Update(t.Context(), func(tx tenancy.Statements) error {
			return h.desk.Factors.Check(t.Context(), tx, p.ID, c)
		}))
	}
	at := func(d time.Duration) string {
		c, err := CodeAt(secret, h.Clock.Now().Add(d))
		must(t, err)
		return c
	}
	if got := check(at(0)); got != "code.wrong" {
		t.Errorf("the code that set it up works again: %q", got)
	}
	h.pass(5 * time.Minute)
	for _, c := range []struct{ name, code, want string }{
		{"two steps ago", at(-time.Minute), "code.wrong"},
		{"two steps ahead", at(time.Minute), "code.wrong"},
		{"nothing", "", "code.wrong"},
		{"letters", "abcdef", "code.wrong"},
		{"a kilobyte", strings.Repeat("1", 1024), "code.wrong"},
		{"a step ago", at(-30 * time.Second), ""},
		{"with a blank", at(0)[:3] + " " + at(0)[3:], ""},
		{"replayed", at(0), "code.wrong"},
		{"an older one after it", at(-30 * time.Second), "code.wrong"},
		{"a step ahead", at(30 * time.Second), ""},
	} {
		if got := check(c.code); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var dump []byte
	must(t, h.DB(h.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT totp_secret FROM people WHERE id = ?", p.ID).Scan(t.Context(), &dump)
	}))
	raw, err := base32Text.DecodeString(strings.ReplaceAll(secret, " ", ""))
	must(t, err)
	if strings.Contains(string(dump), string(raw)) {
		t.Error("the secret stands in the database")
	}
}

func TestOneCodeSentTwiceAtOnceCountsOnce(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	secret, recovery := h.mustTOTP(t, h.A, p)
	h.pass(time.Minute)
	totp := h.code(t, secret)
	for name, use := range map[string]func(context.Context, tenancy.Statements) error{
		"code": func(ctx context.Context, tx tenancy.Statements) error {
			return h.desk.Factors.Check(ctx, tx, p.ID, totp)
		},
		"recovery code": func(ctx context.Context, tx tenancy.Statements) error {
			_, err := h.desk.Factors.UseRecoveryCode(ctx, tx, p.ID, recovery[0])
			return err
		},
	} {
		if ok, refused := race(t, h.DB(h.A), use); ok != 1 || refused != 7 {
			t.Errorf("%s: accepted %d times, refused %d", name, ok, refused)
		}
	}
}

// race runs eight of the same at once and counts.
func race(t *testing.T, db *tenancy.DB, use func(context.Context, tenancy.Statements) error) (ok, refused int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := InTenant(db).Update(t.Context(), func(tx tenancy.Statements) error { return use(t.Context(), tx) })
			mu.Lock()
			defer mu.Unlock()
			switch code(err) {
			case "":
				ok++
			case "code.wrong", "recovery_code.wrong", "link.spent":
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	return ok, refused
}

func TestRecoveryCodes(t *testing.T) {
	h := mustHouse(t)
	p, q := h.mustAdd(t, h.A, "ada@alpha.test"), h.mustAdd(t, h.A, "bob@alpha.test")
	_, codes := h.mustTOTP(t, h.A, p)
	_, others := h.mustTOTP(t, h.A, q)
	use := func(c string) (left int, got string) {
		err := InTenant(h.DB(h.A)).Update(t.Context(), func(tx tenancy.Statements) (err error) {
			left, err = h.desk.Factors.UseRecoveryCode(t.Context(), tx, p.ID, c)
			return err
		})
		return left, code(err)
	}
	for _, c := range []struct {
		name, code string
		left       int
		want       string
	}{
		{"right", codes[0], 9, ""},
		{"again", codes[0], 0, "recovery_code.wrong"},
		{"in capitals, with blanks", strings.ToUpper(strings.ReplaceAll(codes[1], "-", " ")), 8, ""},
		{"somebody else's", others[0], 0, "recovery_code.wrong"},
		{"nothing", "", 0, "recovery_code.wrong"},
		{"no text", "\xff\x00", 0, "recovery_code.wrong"},
	} {
		if left, got := use(c.code); left != c.left || got != c.want {
			t.Errorf("%s: %d left, %q; want %d, %q", c.name, left, got, c.left, c.want)
		}
	}
}

func TestLinks(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	h.mustAdd(t, h.B, "ada@alpha.test")
	link := func(purpose Purpose) (token string) {
		must(t, h.DB(h.A).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
			token, err = h.desk.People.NewLink(t.Context(), tx, p.ID, purpose)
			return err
		}))
		return token
	}
	use := func(people People, who tenancy.Tenant, token string, purpose Purpose) string {
		return code(InTenant(h.DB(who)).Update(t.Context(), func(tx tenancy.Statements) error {
			_, err := people.UseLink(t.Context(), tx, token, purpose)
			return err
		}))
	}
	mine := h.desk.People
	first, second := link(Reset), link(Reset)
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"an older one", use(mine, h.A, first, Reset), "link.spent"},
		{"for another purpose", use(mine, h.A, second, Verify), "link.spent"},
		{"in another world", use(People{World: Customer}, h.A, second, Reset), "link.spent"},
		{"at another tenant", use(mine, h.B, second, Reset), "link.spent"},
		{"right", use(mine, h.A, second, Reset), ""},
		{"again", use(mine, h.A, second, Reset), "link.spent"},
		{"garbage", use(mine, h.A, "\x00\xff", Reset), "link.spent"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	third := link(Reset)
	h.pass(time.Hour)
	if got := use(mine, h.A, third, Reset); got != "link.spent" {
		t.Errorf("after an hour: %q", got)
	}
	fourth := link(Verify)
	ok, refused := race(t, h.DB(h.A), func(ctx context.Context, tx tenancy.Statements) error {
		_, err := mine.UseLink(ctx, tx, fourth, Verify)
		return err
	})
	if ok != 1 || refused != 7 {
		t.Errorf("clicked eight times at once: accepted %d times, refused %d", ok, refused)
	}
}

func TestSessionsCountOnlyWhereTheyBegan(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	in, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	here := h.binding(h.A)
	for _, c := range []struct {
		name string
		b    Binding
		want string
	}{
		{"here", here, ""},
		{"another host of the tenant", Binding{World: Reseller, Tenant: h.A.ID, Host: "other.test"}, "session.none"},
		{"another tenant", h.binding(h.B), "session.none"},
		{"another tenant by this host", Binding{World: Reseller, Tenant: h.B.ID, Host: here.Host}, "session.none"},
		{"another world", Binding{World: Customer, Tenant: h.A.ID, Host: here.Host}, "session.none"},
		{"the console", Binding{World: Staff, Host: "console.test"}, "session.none"},
	} {
		if _, err := h.desk.Sessions.Resume(t.Context(), c.b, in.Token); code(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, key := range h.redis.Keys() {
		if strings.Contains(key, in.Token) {
			t.Error("a key in Redis holds the cookie's secret")
		}
	}
	for _, token := range []string{"", "x", strings.Repeat("a", 10000), "\x00\r\n\xff", in.Token + "x", in.Session.Handle} {
		if _, err := h.desk.Sessions.Resume(t.Context(), here, token); code(err) != "session.none" {
			t.Errorf("%.20q: %v", token, err)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	b := h.binding(h.A)
	enter := func() Entered {
		in, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
		must(t, err)
		return in
	}
	alive := func(in Entered) bool {
		_, err := h.desk.Sessions.Resume(t.Context(), b, in.Token)
		if err != nil && code(err) != "session.none" {
			t.Fatal(err)
		}
		return err == nil
	}
	one, two := enter(), enter()
	rotated, s, err := h.desk.Sessions.Rotate(t.Context(), b, one.Token, func(s *Session) { s.SecondFactor = true })
	must(t, err)
	if alive(one) || s.CSRF == one.Session.CSRF || s.Handle == one.Session.Handle || !s.SecondFactor {
		t.Error("a rotated session keeps its old token, form token or handle")
	}
	one.Token, one.Session = rotated, s
	list, err := h.desk.Sessions.List(t.Context(), Reseller, h.A.ID, p.ID)
	must(t, err)
	if len(list) != 2 {
		t.Errorf("%d sessions are listed", len(list))
	}
	if ok, err := h.desk.Sessions.Revoke(t.Context(), Reseller, h.B.ID, p.ID, two.Session.Handle); err != nil || ok || !alive(two) {
		t.Errorf("revoked through another tenant: %v, %v", ok, err)
	}
	if ok, err := h.desk.Sessions.Revoke(t.Context(), Reseller, h.A.ID, p.ID, two.Session.Handle); err != nil || !ok || alive(two) {
		t.Errorf("revoke: %v, %v", ok, err)
	}
	three := enter()
	must(t, h.desk.Sessions.RevokeOthers(t.Context(), Reseller, h.A.ID, p.ID, three.Session.Handle))
	if alive(one) || !alive(three) {
		t.Error("ending the others ended this one, or left another")
	}
	h.pass(11 * time.Hour)
	if !alive(three) {
		t.Error("eleven idle hours ended it")
	}
	h.pass(13 * time.Hour)
	if alive(three) {
		t.Error("thirteen idle hours did not end it")
	}
	four := enter()
	for range 16 { // used every ten hours, for almost seven days
		h.pass(10 * time.Hour)
		if !alive(four) {
			t.Fatal("a session in use ended early")
		}
	}
	h.pass(10 * time.Hour)
	if alive(four) {
		t.Error("a session in use lives for ever")
	}
}

func TestRedisGoneAndBack(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	in, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	h.redis.Close()
	if _, err := h.desk.Sessions.Resume(t.Context(), h.binding(h.A), in.Token); code(err) != "session.unavailable" {
		t.Errorf("resume: %v", err)
	}
	if _, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"}); code(err) != "session.unavailable" {
		t.Errorf("sign in: %v", err)
	}
	must(t, h.redis.Restart())
	if _, err := h.desk.Sessions.Resume(t.Context(), h.binding(h.A), in.Token); err != nil {
		t.Errorf("resume when it is back: %v", err)
	}
}

// Whoever hammers an account stops themselves, and never its owner.
func TestThrottleCannotLockTheOwnerOut(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	known, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	guess := func(ip string, device string) string {
		_, err := h.signIn(t, h.A, "ada@alpha.test", "a wrong password", Origin{IP: ip, Device: device})
		return code(err)
	}
	for n := range triesPair {
		if got := guess("198.51.100.9", ""); got != "signin.refused" {
			t.Fatalf("try %d: %q", n+1, got)
		}
	}
	if got := guess("198.51.100.9", ""); got != "signin.throttled" {
		t.Errorf("one network, one try too many: %q", got)
	}
	if _, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "198.51.100.9"}); code(err) != "signin.throttled" {
		t.Errorf("the guesser hits the right one too late: %v", err)
	}
	if _, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "198.51.100.9", Device: known.Device}); err != nil {
		t.Errorf("the owner, behind the guesser's address, on a known device: %v", err)
	}
	// A botnet: many networks, all their tries.
	for n := range 30 {
		for range triesPair {
			guess(fmt.Sprintf("203.0.113.%d", n+1), "")
		}
	}
	if _, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.77"}); err != nil {
		t.Errorf("the owner, from a new place, in the middle of it: %v", err)
	}
	if _, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1", Device: known.Device}); err != nil {
		t.Errorf("the owner, on a known device: %v", err)
	}
	refused := 0
	for range triesPair {
		if guess("192.0.2.200", "") == "signin.refused" {
			refused++
		}
	}
	if refused != triesPairAtWar {
		t.Errorf("a new network got %d guesses while the account is under attack", refused)
	}
	// A stolen device cookie has a budget, too, and a forged one is worth nothing.
	for range triesDevice {
		guess("192.0.2.50", known.Device)
	}
	if got := guess("192.0.2.50", known.Device); got != "signin.throttled" {
		t.Errorf("guessing with a known device's cookie: %q", got)
	}
	for _, forged := range []string{"a.99991231.x", known.Device + "x", strings.Repeat("a", 10000), "..", h.desk.Throttle.NewDevice(h.binding(h.B), "ada@alpha.test"), h.desk.Throttle.NewDevice(h.binding(h.A), "eve@alpha.test")} {
		if h.desk.Throttle.Knows(Try{Binding: h.binding(h.A), Account: "ada@alpha.test", Device: forged}) {
			t.Errorf("%.30q passes for a known device", forged)
		}
	}
	h.pass(window)
	if got := guess("198.51.100.9", ""); got != "signin.refused" {
		t.Errorf("after the window: %q", got)
	}
}

func TestSecondFactorStopsGuessing(t *testing.T) {
	h := mustHouse(t)
	p := h.mustAdd(t, h.A, "ada@alpha.test")
	secret, _ := h.mustTOTP(t, h.A, p)
	h.pass(time.Minute)
	in, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	if in.Session.Stage != StageCode || in.Device != "" {
		t.Fatalf("a password alone gave %+v", in.Session)
	}
	enter := func(c string) (Entered, error) {
		return h.desk.EnterCode(t.Context(), InTenant(h.DB(h.A)), h.binding(h.A), in.Token, in.Person, c, false, Origin{IP: "192.0.2.1"})
	}
	for range triesPair {
		if _, err := enter("000000"); code(err) != "code.wrong" {
			t.Fatalf("a wrong code: %v", err)
		}
	}
	if _, err := enter(h.code(t, secret)); code(err) != "signin.throttled" {
		t.Errorf("the right code after too many: %v", err)
	}
	h.pass(window)
	in, err = h.signIn(t, h.A, "ada@alpha.test", goodPassword, Origin{IP: "192.0.2.1"})
	must(t, err)
	full, err := enter(h.code(t, secret))
	must(t, err)
	if full.Session.Stage != StageFull || !full.Session.SecondFactor || full.Token == in.Token || full.Device == "" {
		t.Errorf("%+v", full)
	}
	if _, err := h.desk.Sessions.Resume(t.Context(), h.binding(h.A), in.Token); code(err) != "session.none" {
		t.Errorf("the token of the first step still counts: %v", err)
	}
}

func TestChangingHowOneSignsInEndsOtherSessions(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	b, plane, o := h.binding(h.A), InTenant(h.DB(h.A)), Origin{IP: "192.0.2.1"}
	in, err := h.signIn(t, h.A, "ada@alpha.test", goodPassword, o)
	must(t, err)
	if _, err := h.desk.ChangePassword(t.Context(), plane, b, in.Token, in.Person, "not the present one", "another good password", o); code(err) != "password.wrong" {
		t.Errorf("with a wrong present password: %v", err)
	}
	changed, err := h.desk.ChangePassword(t.Context(), plane, b, in.Token, in.Person, goodPassword, "another good password", o)
	must(t, err)
	if changed.Person.Epoch != in.Person.Epoch+1 || changed.Session.Epoch != changed.Person.Epoch || changed.Token == in.Token {
		t.Errorf("epoch %d, session's %d", changed.Person.Epoch, changed.Session.Epoch)
	}
	h.pass(freshFor + time.Second)
	if _, err := h.desk.RemoveTOTP(t.Context(), plane, b, changed.Token, changed.Session, changed.Person, o, false); code(err) != "session.not_fresh" {
		t.Errorf("without showing the password again: %v", err)
	}
	if _, err := h.desk.RenewRecoveryCodes(t.Context(), plane, changed.Session, changed.Person, o); code(err) != "session.not_fresh" {
		t.Errorf("codes without showing the password again: %v", err)
	}
	proven, err := h.desk.Prove(t.Context(), plane, b, changed.Token, changed.Person, "another good password", o)
	must(t, err)
	if _, err := h.desk.RemoveTOTP(t.Context(), plane, b, proven.Token, proven.Session, proven.Person, o, false); err != nil {
		t.Errorf("after showing it: %v", err)
	}
}

func TestAddRefuses(t *testing.T) {
	h := mustHouse(t)
	h.mustAdd(t, h.A, "ada@alpha.test")
	for _, c := range []struct {
		name string
		in   NewPerson
		want string
	}{
		{"the same address in another spelling", NewPerson{Email: "ADA@ALPHA.TEST", Name: "x", Role: ResellerOwner}, "person.taken"},
		{"no address", NewPerson{Name: "x", Role: ResellerOwner}, "email.missing"},
		{"a header inside", NewPerson{Email: "a@b.test\r\nBcc: x@y.test", Name: "x", Role: ResellerOwner}, "email.malformed"},
		{"a name and address", NewPerson{Email: "A <a@b.test>", Name: "x", Role: ResellerOwner}, "email.malformed"},
		{"no domain", NewPerson{Email: "a@b", Name: "x", Role: ResellerOwner}, "email.malformed"},
		{"no name", NewPerson{Email: "a@b.test", Name: " \t\x00", Role: ResellerOwner}, "name.missing"},
		{"a long name", NewPerson{Email: "a@b.test", Name: strings.Repeat("ä", 101), Role: ResellerOwner}, "name.long"},
		{"a role of another world", NewPerson{Email: "a@b.test", Name: "x", Role: StaffReadOnly}, "person.role_unknown"},
	} {
		err := h.DB(h.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := h.desk.People.Add(t.Context(), tx, c.in, "")
			return err
		})
		if code(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEveryRoleIsListedAndEveryListedRoleGrants(t *testing.T) {
	for w, roles := range grants {
		listed := map[Role]bool{}
		for _, r := range Roles(w) {
			listed[r] = true
			if !(Principal{World: w, Role: r}).May(SignedIn) {
				t.Errorf("%s of %s may not even sign in", r, w)
			}
		}
		for r := range roles {
			if !listed[r] {
				t.Errorf("%s of %s is not listed", r, w)
			}
		}
	}
	if (Principal{World: Customer, Role: "owner"}).May(TeamManage) || (Principal{World: Reseller, Role: "admin"}).May(StaffManage) {
		t.Error("a role's name is worth something in another world")
	}
}

func FuzzParseEmail(f *testing.F) {
	f.Add("ada@alpha.test")
	f.Add("\"a b\"@x.test")
	f.Fuzz(func(t *testing.T, s string) {
		email, err := ParseEmail(s)
		if err == nil && (strings.ContainsAny(email, "\r\n\x00<> ") || strings.Count(email, "@") != 1 || EmailKey(email) == "") {
			t.Fatalf("%q was read as %q", s, email)
		}
	})
}

func FuzzDeviceCookie(f *testing.F) {
	clock := (&tenancytest.Clock{}).Now
	th := NewThrottle(nil, []byte("0123456789abcdef0123456789abcdef"), clock)
	b := Binding{World: Staff, Host: "h"}
	// Fixed, for every worker of the fuzzer makes its own.
	good := "nonce.99991231." + th.sealDevice(b, "a@b.test", "nonce", "99991231")
	f.Add(good)
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		if th.Knows(Try{Binding: b, Account: "a@b.test", Device: s}) && s != good {
			t.Fatalf("%q passes", s)
		}
	})
}

func FuzzRecoveryAndCodes(f *testing.F) {
	fa := Factors{Clock: (&tenancytest.Clock{}).Now}
	f.Add("123 456")
	f.Fuzz(func(t *testing.T, s string) {
		if step, ok := fa.match([]byte("12345678901234567890"), s, 0); ok && step < 0 {
			t.Fatal(step)
		}
		_ = recoveryHash(uuid.Nil, s)
	})
}
