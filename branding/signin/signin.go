// Package signin is the pages by which people come in and look after how they do:
// sign-in with its second step, sign-up, forgotten passwords, links from mails, and
// the security page. One implementation serves every world; who calls it says where
// the pages lie and which people they are for. What is decided is decided by
// tenancy/identity; this package knows no table.
package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Parts are what all worlds share.
type Parts struct {
	Passwords *identity.Passwords
	Sessions  *identity.Sessions
	Throttle  *identity.Throttle
	Keys      *secrets.Keyring
	Clock     tenancy.Clock // the wall clock
	Mail      Mailer
}

// Pages are the pages of one world.
type Pages struct {
	Parts
	World    identity.World
	Prefix   string // of the paths: empty or "/manage"
	Layout   string // of the pages for people who are signed in
	Home     string // where a person goes after signing in
	Security string // path of the security page; empty: Prefix + "/security"
	Plane    func(*fiber.Ctx) identity.Plane
	// SignUp adds what belongs to a new person, such as an account; nil: people cannot
	// sign up by themselves here.
	SignUp func(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, p identity.Person, company string) error
	// Role is that of people who come in by a code for the first time; empty: a customer's.
	Role identity.Role
}

// Routes are the pages' routes.
func (p *Pages) Routes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: p.Prefix + path, Needs: needs, Handler: h}
	}
	security := strings.TrimPrefix(p.security(), p.Prefix)
	all := []surface.Route{
		at("GET", "/sign-in", identity.Public, p.showSignIn),
		at("POST", "/sign-in", identity.Public, p.signIn),
		at("GET", "/sign-in/code", identity.Public, p.showCode),
		at("POST", "/sign-in/code", identity.Public, p.enterCode),
		at("GET", "/sign-in/set-up", identity.Public, p.showSetUp),
		at("POST", "/sign-in/set-up", identity.Public, p.confirmSetUp),
		at("POST", "/sign-out", identity.Public, p.signOut),
		at("GET", "/forgot", identity.Public, p.showForgot),
		at("POST", "/forgot", identity.Public, p.forgot),
		at("GET", "/link/:purpose/:token", identity.Public, p.showLink),
		at("POST", "/link/:purpose/:token", identity.Public, p.takeLink),
		at("GET", security, identity.SignedIn, p.showSecurity),
		at("POST", security+"/password", identity.SignedIn, p.changePassword),
		at("GET", security+"/prove", identity.SignedIn, p.showProve),
		at("POST", security+"/prove", identity.SignedIn, p.prove),
		at("GET", security+"/second-factor", identity.SignedIn, p.showSetUp),
		at("POST", security+"/second-factor", identity.SignedIn, p.confirmSetUp),
		at("POST", security+"/second-factor/remove", identity.SignedIn, p.removeTOTP),
		at("POST", security+"/recovery-codes", identity.SignedIn, p.renewCodes),
		at("POST", security+"/sessions/end-others", identity.SignedIn, p.endOthers),
		at("POST", security+"/sessions/:handle/end", identity.SignedIn, p.endSession),
	}
	if p.SignUp != nil {
		all = append(all,
			at("GET", "/sign-up", identity.Public, p.showSignUp),
			at("POST", "/sign-up", identity.Public, p.signUp))
	}
	return all
}

// security is the path of the security page.
func (p *Pages) security() string {
	if p.Security != "" {
		return p.Security
	}
	return p.Prefix + "/security"
}

// Proven is nil when the person has shown their password within the last minutes, and
// else the fault session.not_fresh: what would hurt in the wrong hands asks for it.
func (p Parts) Proven(c *fiber.Ctx) error {
	s, ok := surface.Session(c)
	if !ok {
		return fault.New(fault.Unauthorized, "session.none", "Please sign in.")
	}
	return (&identity.Desk{Factors: identity.Factors{Clock: p.Clock}}).Fresh(s)
}

// AskPassword sends the person to show their password at the security page given, and
// back to a path of this host.
func AskPassword(c *fiber.Ctx, security, back string) error {
	return surface.Redirect(c, withNext(security+"/prove", back), "")
}

// desk is where the world's people come in.
func (p *Pages) desk() *identity.Desk {
	people := identity.People{World: p.World}
	return &identity.Desk{
		People: people, Passwords: p.Passwords, Sessions: p.Sessions, Throttle: p.Throttle,
		Factors: identity.Factors{People: people, Keys: p.Keys, Clock: p.Clock},
		Note:    note,
	}
}

// note writes what a person changed about their sign-in to the trail.
func note(ctx context.Context, tx tenancy.Statements, d identity.Deed) error {
	return audit.Append(ctx, tx, audit.Entry{
		Actor:  audit.Actor{Kind: string(d.Person.World), ID: d.Person.ID.String(), Name: d.Person.Name},
		Action: d.Action, Target: audit.Target{Kind: "person", ID: d.Person.ID.String()},
		IP: d.Origin.IP, RequestID: d.Origin.RequestID,
	})
}

// Invite mails a person who was added to a team a link by which they choose their
// password. Inviter is a name to show.
func Invite(ctx context.Context, tx tenancy.Statements, m Mailer, prefix string, p identity.Person, inviter string) error {
	return sendLink(ctx, tx, m, prefix, p, identity.Invite, mail.Invitation, map[string]string{"inviter": inviter, "valid_for": "7 days"})
}

// LinkPath is the path of a single-use link.
func LinkPath(prefix string, purpose identity.Purpose, token string) string {
	return prefix + "/link/" + string(purpose) + "/" + token
}

// sendLink makes a link and mails it, with the transaction.
func sendLink(ctx context.Context, tx tenancy.Statements, m Mailer, prefix string, p identity.Person, purpose identity.Purpose, template string, data map[string]string) error {
	token, err := identity.People{World: p.World}.NewLink(ctx, tx, p.ID, purpose)
	if err != nil {
		return err
	}
	data["name"], data["link"] = p.Name, LinkPath(prefix, purpose, token)
	sum := sha256.Sum256([]byte(token))
	return m.Enqueue(ctx, tx, mail.Message{
		Key: fmt.Sprintf("link/%s/%s", purpose, hex.EncodeToString(sum[:12])), Template: template, To: p.Email, Data: data,
	})
}

// enter gives the browser the session and sends it to the step that comes next.
func (p *Pages) enter(c *fiber.Ctx, in identity.Entered, next string) error {
	surface.SetSession(c, in.Token, in.Session)
	if in.Device != "" {
		surface.SetDevice(c, in.Device)
		if in.Stranger {
			if err := p.tellOwner(c, in.Person); err != nil {
				return err
			}
		}
	}
	return surface.Redirect(c, p.step(in.Session.Stage, next), "")
}

// step is the page of a session's stage.
func (p *Pages) step(s identity.Stage, next string) string {
	path := ""
	switch s {
	case identity.StageCode:
		path = p.Prefix + "/sign-in/code"
	case identity.StageEnrol:
		path = p.Prefix + "/sign-in/set-up"
	default:
		return surface.LocalPath(next, p.Home)
	}
	return withNext(path, next)
}

func withNext(path, next string) string {
	if next = surface.LocalPath(next, ""); next == "" {
		return path
	}
	return path + "?next=" + url.QueryEscape(next)
}

// tellOwner mails a person that somebody signed in from a browser we had not seen,
// unless it is their first time.
func (p *Pages) tellOwner(c *fiber.Ctx, person identity.Person) error {
	ctx, o := c.UserContext(), surface.Origin(c)
	return p.Plane(c).Update(ctx, func(tx tenancy.Statements) error {
		before, err := identity.People{World: p.World}.Logins(ctx, tx, person.ID, 50)
		if err != nil {
			return err
		}
		times := 0
		for _, l := range before {
			if l.Outcome == identity.SignedInOK || l.Outcome == identity.RecoveryUsed {
				times++
			}
		}
		if times < 2 {
			return nil
		}
		return p.Mail.Enqueue(ctx, tx, mail.Message{
			Key: "new_sign_in/" + o.RequestID, Template: mail.NewSignIn, To: person.Email,
			Data: map[string]string{
				"name": person.Name, "when": tx.Now().Format("2 January 2006, 15:04 MST"), "ip": o.IP,
				"device": Device(o.UserAgent), "link": p.security(),
			},
		})
	})
}

// quota counts a request for something that sends mails; it returns a fault when
// the network has had enough, and false when the address has.
func (p *Pages) quota(c *fiber.Ctx, what, address string) (bool, error) {
	b := surface.Binding(c)
	site := what + ":" + string(b.World) + ":" + b.Tenant.String()
	ok, err := p.Throttle.Take(c.UserContext(), site+":network", identity.Network(surface.ClientIP(c)), 20, time.Hour)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, fault.New(fault.TooMany, "mail.too_many", "That were many requests in a short time. Please wait an hour and try again.")
	}
	return p.Throttle.Take(c.UserContext(), site+":address", identity.EmailKey(address), 3, time.Hour)
}
