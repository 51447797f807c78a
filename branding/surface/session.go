package surface

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Cookies. On https their names carry the prefix that lets no other host and no
// plain connection set them; on plain http only names below localhost get any.
const (
	securePrefix = "__Host-"
	formCookie   = "ez_form"
	flashCookie  = "ez_flash"
	deviceCookie = "ez_device_"
)

func sessionCookie(w identity.World) string { return "ez_" + string(w) }

// SetCookie sets a cookie of this host that scripts cannot read. It does nothing on
// a plain connection that could be listened to. A zero age ends with the browser.
func SetCookie(c *fiber.Ctx, name, value string, age time.Duration) {
	prefix, ok := cookiePrefix(c)
	if !ok {
		return
	}
	k := &fiber.Cookie{Name: prefix + name, Value: value, Path: "/", HTTPOnly: true, Secure: prefix != "", SameSite: fiber.CookieSameSiteLaxMode}
	if age > 0 {
		k.MaxAge = int(age / time.Second)
	} else if age < 0 {
		k.Expires = time.Unix(0, 0)
		k.MaxAge = -1
	}
	c.Cookie(k)
}

// Cookie reads what SetCookie set; empty when there is none.
func Cookie(c *fiber.Ctx, name string) string {
	prefix, ok := cookiePrefix(c)
	if !ok {
		return ""
	}
	return c.Cookies(prefix + name)
}

func cookiePrefix(c *fiber.Ctx) (string, bool) {
	at := arrivalOf(c)
	if at.scheme == "https" {
		return securePrefix, true
	}
	return "", at.host == "localhost" || strings.HasSuffix(at.host, ".localhost")
}

// Binding is where a session of the request's area counts.
func Binding(c *fiber.Ctx) identity.Binding {
	b := identity.Binding{Host: Host(c)}
	if a, ok := areaOf(c); ok {
		b.World = a.World
	}
	if t, ok := Tenant(c); ok {
		b.Tenant = t.ID
	}
	return b
}

// SessionToken is the secret of the session cookie of the request's area.
func SessionToken(c *fiber.Ctx) string { return Cookie(c, sessionCookie(Binding(c).World)) }

// SetSession gives the browser the cookie of a session that began or was rotated; an
// empty token takes it away.
func SetSession(c *fiber.Ctx, token string, s identity.Session) {
	name := sessionCookie(Binding(c).World)
	if token == "" {
		SetCookie(c, name, "", -1)
		c.Locals(sessionKey, nil)
		c.Locals(principalKey, nil)
		return
	}
	SetCookie(c, name, token, s.ExpiresAt.Sub(s.SeenAt))
	c.Locals(sessionKey, s)
}

// Session is the request's session at any stage; most handlers want Principal.
func Session(c *fiber.Ctx) (identity.Session, bool) {
	s, ok := c.Locals(sessionKey).(identity.Session)
	return s, ok
}

// identify finds out who is behind the session cookie. When the store cannot be
// asked it remembers why, and only pages that need a person fail.
func (s *Surface) identify(c *fiber.Ctx) error {
	token := SessionToken(c)
	if area, _ := areaOf(c); area.Machines || s.cfg.Sessions == nil || token == "" {
		return c.Next()
	}
	session, err := s.cfg.Sessions.Resume(c.UserContext(), Binding(c), token)
	if err == nil {
		err = s.recognise(c, session)
	}
	switch {
	case err == nil:
	case fault.From(err).Kind == fault.Unauthorized || fault.From(err).Kind == fault.NotFound:
		SetSession(c, "", identity.Session{})
	default:
		c.Locals(identityErrorKey, err)
	}
	return c.Next()
}

// recognise looks up the person, whose role, epoch and state count now and not as
// they were at sign-in.
func (s *Surface) recognise(c *fiber.Ctx, session identity.Session) error {
	var person identity.Person
	people := identity.People{World: session.World}
	err := s.view(c, func(tx tenancy.Statements) (err error) {
		person, err = people.ByID(c.UserContext(), tx, session.PersonID)
		return err
	})
	if err != nil {
		return err
	}
	if !person.DisabledAt.IsZero() || person.Epoch != session.Epoch {
		return fault.New(fault.Unauthorized, "session.ended", "Please sign in again.")
	}
	if session.Stage == identity.StageFull && !person.HasTOTP() && MustTOTP(c) {
		session.Stage = identity.StageEnrol // the rule is younger than the session
	}
	c.Locals(sessionKey, session)
	c.Locals(personKey, person)
	if session.Stage == identity.StageFull {
		c.Locals(principalKey, person.Principal(session))
	}
	return nil
}

// Person is who the session belongs to, at any stage; most handlers want Principal.
func Person(c *fiber.Ctx) (identity.Person, bool) {
	p, ok := c.Locals(personKey).(identity.Person)
	return p, ok
}

// MustTOTP reports whether people of the request's area must have a second factor.
func MustTOTP(c *fiber.Ctx) bool {
	area, _ := areaOf(c)
	t, _ := Tenant(c)
	return area.MustTOTP != nil && area.MustTOTP(t)
}

// Origin is where the request comes from, for what identity records and bounds.
func Origin(c *fiber.Ctx) identity.Origin {
	return identity.Origin{
		IP: ClientIP(c), UserAgent: c.Get(fiber.HeaderUserAgent), RequestID: RequestID(c),
		Device: Cookie(c, deviceCookie+string(Binding(c).World)),
	}
}

// SetDevice gives the browser the cookie that proves it signed in before.
func SetDevice(c *fiber.Ctx, value string) {
	SetCookie(c, deviceCookie+string(Binding(c).World), value, 180*24*time.Hour)
}

func (s *Surface) view(c *fiber.Ctx, fn func(tenancy.Statements) error) error {
	if db := DB(c); db != nil {
		return db.View(c.UserContext(), func(tx *tenancy.Tx) error { return fn(tx) })
	}
	return s.cfg.Central.View(c.UserContext(), func(tx *tenancy.CentralTx) error { return fn(tx) })
}

// admit lets a request through that has what the route needs.
func (s *Surface) admit(r Route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Locals(routeKey, &r) // one for all requests: of thousands of pages each would keep a copy
		if r.Needs == identity.Public {
			return c.Next()
		}
		p, ok := Principal(c)
		if !ok {
			if err, _ := c.Locals(identityErrorKey).(error); err != nil {
				return err
			}
			return errSignIn
		}
		if !p.May(r.Needs) {
			return fault.New(fault.Forbidden, "permission.denied", "Your role does not include this. The owner of your team can change that.")
		}
		return c.Next()
	}
}

var errSignIn = fault.New(fault.Unauthorized, "session.none", "Please sign in.")

// guardForms refuses requests that change something and were not sent by our own
// pages: by what the browser says of their origin, and by a token that only our
// pages know.
func (s *Surface) guardForms(c *fiber.Ctx) error {
	switch c.Method() {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return c.Next()
	}
	if area, _ := areaOf(c); area.Machines {
		return c.Next() // a cookie gives no right there, so there is none to misuse
	}
	if err := sameOrigin(c); err != nil {
		return fault.Wrap(err, fault.Forbidden, "form.foreign", "This form was sent from another site. Please open the page here and try again.")
	}
	if err := SessionError(c); err != nil {
		return err // which token to expect is not known
	}
	given := c.Get("X-CSRF-Token")
	if given == "" {
		given = c.FormValue("_csrf")
	}
	want, ok := s.formToken(c)
	if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(want)) != 1 {
		return fault.New(fault.Forbidden, "form.expired", "This form is no longer valid. Please reload the page and send it again.")
	}
	return c.Next()
}

// sameOrigin is the standard library's check, given what it looks at.
func sameOrigin(c *fiber.Ctx) error {
	at := arrivalOf(c)
	r := &http.Request{Method: c.Method(), Host: at.authority, URL: &url.URL{Path: c.Path()}, Header: http.Header{}}
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if v := c.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	return http.NewCrossOriginProtection().Check(r)
}

// formToken is the token the request's forms must carry: the session's, or one
// bound to a cookie of its own for people who are not signed in.
func (s *Surface) formToken(c *fiber.Ctx) (string, bool) {
	if session, ok := Session(c); ok {
		return session.CSRF, true
	}
	seed := Cookie(c, formCookie)
	if len(seed) < 20 || len(seed) > 100 {
		return "", false
	}
	return s.tokenOf(seed, Host(c)), true
}

func (s *Surface) tokenOf(seed, host string) string {
	mac := hmac.New(sha256.New, s.cfg.FormKey)
	_, _ = mac.Write([]byte(host + "\x00" + seed))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// FormToken is the token for the page's forms. It gives a visitor who is not signed
// in the cookie the token belongs to, so pages that call it must not be cached.
func FormToken(c *fiber.Ctx) string {
	s := surfaceOf(c)
	if token, ok := s.formToken(c); ok {
		return token
	}
	raw := make([]byte, 18)
	_, _ = rand.Read(raw) // never fails
	seed := base64.RawURLEncoding.EncodeToString(raw)
	SetCookie(c, formCookie, seed, 24*time.Hour)
	token := s.tokenOf(seed, Host(c))
	c.Locals(formTokenKey, token)
	return token
}

// SessionError is why the session of the request could not be asked for, such as
// the store being down; nil when it could, or there is none.
func SessionError(c *fiber.Ctx) error {
	err, _ := c.Locals(identityErrorKey).(error)
	return err
}
