package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Coming in by a code from a mail, within a page that goes on afterwards: the checkout.
// Whether the address has an account is asked of nobody until the code has shown that
// the mailbox is theirs, so nothing on the page, and nothing of its timing, can tell.
// What is waited for stands in a sealed cookie of the browser that asked.

const (
	codeCookie  = "ez_code"
	codePurpose = "sign-in code"
	codeFor     = 15 * time.Minute
)

// Awaited is somebody who was sent a code.
type Awaited struct {
	Email string    `json:"e"`
	Name  string    `json:"n"`
	Code  string    `json:"c"`
	Until time.Time `json:"u"`
	Key   string    `json:"k"` // names the mail
}

// SendCode mails a code to the address and remembers in the browser what it waits for.
// Faults: about the fields email and name, mail.too_many.
func (p *Pages) SendCode(c *fiber.Ctx, email, name, next string) error {
	fields := map[string]string{}
	email, err := identity.ParseEmail(email)
	collect(fields, err)
	name, err = identity.ParseName(name)
	collect(fields, err)
	if err := fault.Fields("sign_up.invalid", fields); err != nil {
		return err
	}
	ok, err := p.quota(c, "code", email)
	if err != nil {
		return err
	}
	a := Awaited{Email: email, Name: name, Code: newCode(), Until: p.Clock().Add(codeFor).UTC(), Key: surface.RequestID(c)}
	// An address that had enough gets no more mail, and the page says what it always says.
	if ok {
		ctx := c.UserContext()
		err := p.Plane(c).Update(ctx, func(tx tenancy.Statements) error {
			return p.Mail.Enqueue(ctx, tx, mail.Message{Key: "code/" + a.Key, Template: mail.SignInCode, To: email,
				Data: map[string]string{"name": name, "code": a.Code, "valid_for": "15 minutes", "link": next}})
		})
		if err != nil {
			return err
		}
	}
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := p.Keys.Seal(codePurpose, p.codeFor(c), plain)
	if err != nil {
		return err
	}
	surface.SetCookie(c, codeCookie, base64.RawURLEncoding.EncodeToString(sealed), codeFor)
	return nil
}

// Awaited is whom the browser waits for; false when nobody, or the code is too old.
func (p *Pages) Awaited(c *fiber.Ctx) (Awaited, bool) {
	raw := surface.Cookie(c, codeCookie)
	if raw == "" || len(raw) > 2000 {
		return Awaited{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return Awaited{}, false
	}
	plain, err := p.Keys.Open(codePurpose, p.codeFor(c), sealed)
	if err != nil {
		return Awaited{}, false
	}
	var a Awaited
	if json.Unmarshal(plain, &a) != nil || !p.Clock().Before(a.Until) {
		return Awaited{}, false
	}
	return a, true
}

// ForgetCode lets the browser begin anew.
func (p *Pages) ForgetCode(c *fiber.Ctx) { surface.SetCookie(c, codeCookie, "", -1) }

// EnterWithCode signs in whoever was sent the code, adding them with the password when
// they are new, and answers with the page that comes next. Faults: code.none, and about
// the fields code and password.
func (p *Pages) EnterWithCode(c *fiber.Ctx, code, password, next string) error {
	return p.EnterWithCodeAnd(c, code, password, func(person identity.Person, _ Awaited, known bool) (string, string, error) {
		if known {
			return next, "Welcome back. You have an account here already; its password stays as it was.", nil
		}
		return next, "Your account is there. You can sign in with " + person.Email + " from now on.", nil
	})
}

// EnterWithCodeAnd is EnterWithCode that does something for the person before they go on:
// then says where to and what they are told. When it fails they are signed in all the same.
func (p *Pages) EnterWithCodeAnd(c *fiber.Ctx, code, password string, then func(person identity.Person, a Awaited, known bool) (next, flash string, err error)) error {
	a, ok := p.Awaited(c)
	if !ok {
		return fault.New(fault.Conflict, "code.none", "This code is too old. Please ask for a new one.")
	}
	ctx, b, o := c.UserContext(), surface.Binding(c), surface.Origin(c)
	try := identity.Try{Binding: b, Account: a.Email, IP: o.IP, Device: o.Device, Code: true}
	if err := p.Throttle.Admit(ctx, try); err != nil {
		return err
	}
	typed := strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	if subtle.ConstantTimeCompare([]byte(typed), []byte(a.Code)) != 1 {
		return fault.Field("code", "code.wrong_mailed", "This is not the code from the newest mail.")
	}
	if err := p.Throttle.Succeeded(ctx, try); err != nil {
		return err
	}
	tenant, _ := surface.Tenant(c)
	in := identity.Newcomer{NewPerson: identity.NewPerson{Email: a.Email, Name: a.Name, Role: p.Role, Locale: tenant.Locale, Password: password}}
	if in.Role == "" {
		in.Role = identity.CustomerMember
	}
	if p.SignUp != nil {
		in.Added = func(ctx context.Context, tx tenancy.Statements, person identity.Person) error {
			return p.SignUp(ctx, tx, tenant, person, a.Name)
		}
	}
	got, known, err := p.desk().EnterByMailbox(ctx, p.Plane(c), b, in, o, surface.MustTOTP(c))
	if err != nil {
		return err
	}
	if old := surface.SessionToken(c); old != "" {
		if err := p.Sessions.End(ctx, b, old); err != nil {
			return err
		}
	}
	p.ForgetCode(c)
	got.Stranger = false // the mail they just used has told them
	surface.SetSession(c, got.Token, got.Session)
	if got.Device != "" {
		surface.SetDevice(c, got.Device)
	}
	next, flash, err := then(got.Person, a, known)
	if err != nil {
		return err
	}
	return surface.Redirect(c, p.step(got.Session.Stage, next), flash)
}

// codeFor binds the cookie to the host it was made for.
func (p *Pages) codeFor(c *fiber.Ctx) []byte {
	return []byte(fmt.Sprintf("%s/%s", p.World, surface.Host(c)))
}

// newCode is six digits.
func newCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "" // never: crypto/rand does not fail
	}
	return fmt.Sprintf("%06d", n.Int64())
}
