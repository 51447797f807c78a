package signin

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type securityView struct {
	Prefix, Email string
	Security      string // path of this page
	HasTOTP       bool
	TOTPSince     time.Time
	MustTOTP      bool
	CodesLeft     int
	Sessions      []sessionRow
	Logins        []loginRow
}

type sessionRow struct {
	Handle, Device, IP string
	SeenAt, CreatedAt  time.Time
	Current            bool
}

type loginRow struct {
	At         time.Time
	Kind, Text string // of the status
	Device, IP string
}

func (p *Pages) showSecurity(c *fiber.Ctx) error {
	view, err := p.securityView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, p.Layout, "auth/security", "Security settings", view)
}

func (p *Pages) securityView(c *fiber.Ctx) (securityView, error) {
	ctx, b := c.UserContext(), surface.Binding(c)
	s, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return securityView{}, err
	}
	view := securityView{
		Prefix: p.Prefix, Security: p.security(), Email: person.Email, HasTOTP: person.HasTOTP(), TOTPSince: person.TOTPConfirmedAt, MustTOTP: surface.MustTOTP(c),
	}
	var logins []identity.Login
	err = p.Plane(c).View(ctx, func(tx tenancy.Statements) (err error) {
		if view.CodesLeft, err = p.desk().Factors.RecoveryCodesLeft(ctx, tx, person.ID); err != nil {
			return err
		}
		logins, err = identity.People{World: p.World}.Logins(ctx, tx, person.ID, 15)
		return err
	})
	if err != nil {
		return securityView{}, err
	}
	for _, l := range logins {
		text := outcomes[l.Outcome]
		view.Logins = append(view.Logins, loginRow{At: l.At, Kind: text[0], Text: text[1], Device: Device(l.UserAgent), IP: l.IP})
	}
	open, err := p.Sessions.List(ctx, p.World, b.Tenant, person.ID)
	if err != nil {
		return securityView{}, err
	}
	for _, o := range open {
		if o.Epoch == person.Epoch {
			view.Sessions = append(view.Sessions, sessionRow{
				Handle: o.Handle, Device: Device(o.UserAgent), IP: o.IP, SeenAt: o.SeenAt, CreatedAt: o.CreatedAt, Current: o.Handle == s.Handle,
			})
		}
	}
	return view, nil
}

var outcomes = map[identity.Result][2]string{
	identity.SignedInOK:    {"good", "Signed in"},
	identity.RecoveryUsed:  {"warn", "Signed in with a recovery code"},
	identity.WrongPassword: {"bad", "Wrong password"},
	identity.WrongCode:     {"bad", "Wrong second factor"},
	identity.Throttled:     {"bad", "Stopped after many tries"},
	identity.PersonBarred:  {"bad", "Access was withdrawn"},
	identity.UnknownPerson: {"idle", "Unknown address"},
}

func (p *Pages) changePassword(c *fiber.Ctx) error {
	_, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	got, err := p.desk().ChangePassword(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), person,
		c.FormValue("current"), c.FormValue("password"), surface.Origin(c))
	if err != nil {
		view, verr := p.securityView(c)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, p.Layout, "auth/security", "Security settings", view)
	}
	surface.SetSession(c, got.Token, got.Session)
	return surface.Redirect(c, p.security(), "Your password is changed. All other sessions have ended.")
}

type proveView struct{ Security, Next string }

func (p *Pages) showProve(c *fiber.Ctx) error {
	return surface.Render(c, p.Layout, "auth/prove", "Your password, please", proveView{Security: p.security(), Next: surface.LocalPath(c.Query("next"), p.security())})
}

func (p *Pages) prove(c *fiber.Ctx) error {
	_, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	next := surface.LocalPath(c.FormValue("next"), p.security())
	got, err := p.desk().Prove(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), person, c.FormValue("current"), surface.Origin(c))
	if err != nil {
		return surface.FormError(c, err, p.Layout, "auth/prove", "Your password, please", proveView{Security: p.security(), Next: next})
	}
	surface.SetSession(c, got.Token, got.Session)
	return surface.Redirect(c, next, "")
}

// proveFirst sends a person whose session is not fresh to show their password, and
// back to where they came from.
func (p *Pages) proveFirst(c *fiber.Ctx, err error) error {
	if !fault.Is(err, "session.not_fresh") {
		return err
	}
	back := p.security()
	if c.Method() == fiber.MethodGet {
		back = c.Path()
	}
	return surface.Redirect(c, withNext(p.security()+"/prove", back), "")
}

func (p *Pages) removeTOTP(c *fiber.Ctx) error {
	s, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	got, err := p.desk().RemoveTOTP(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), s, person, surface.Origin(c), surface.MustTOTP(c))
	if err != nil {
		return p.proveFirst(c, err)
	}
	surface.SetSession(c, got.Token, got.Session)
	if got.Session.Stage == identity.StageEnrol {
		return surface.Redirect(c, p.Prefix+"/sign-in/set-up", "The second factor is removed. Please set up the new one.")
	}
	return surface.Redirect(c, p.security(), "The second factor is removed.")
}

func (p *Pages) renewCodes(c *fiber.Ctx) error {
	s, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	codes, err := p.desk().RenewRecoveryCodes(c.UserContext(), p.Plane(c), s, person, surface.Origin(c))
	if err != nil {
		return p.proveFirst(c, err)
	}
	return surface.Render(c, "auth", "auth/recovery_codes", "Your recovery codes", codesView{Prefix: p.Prefix, Next: p.security(), Codes: codes})
}

func (p *Pages) endSession(c *fiber.Ctx) error {
	s, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	handle := c.Params("handle")
	if handle == s.Handle {
		return p.signOut(c)
	}
	found, err := p.Sessions.Revoke(c.UserContext(), p.World, surface.Binding(c).Tenant, person.ID, handle)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "session.not_found", "This session has ended already.")
	}
	return surface.Redirect(c, p.security(), "The session has ended.")
}

func (p *Pages) endOthers(c *fiber.Ctx) error {
	s, person, err := p.at(c, identity.StageFull)
	if err != nil {
		return err
	}
	if err := p.Sessions.RevokeOthers(c.UserContext(), p.World, surface.Binding(c).Tenant, person.ID, s.Handle); err != nil {
		return err
	}
	return surface.Redirect(c, p.security(), "All other sessions have ended.")
}

// Device is a browser and system in words, as far as the user agent tells.
func Device(userAgent string) string {
	if userAgent == "" {
		return "An unknown device"
	}
	browser := firstOf(userAgent, "a browser", [][2]string{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	})
	system := firstOf(userAgent, "", [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

func firstOf(s, otherwise string, known [][2]string) string {
	for _, k := range known {
		if strings.Contains(s, k[0]) {
			return k[1]
		}
	}
	return otherwise
}
