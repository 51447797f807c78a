package signin

import (
	"html/template"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type signInView struct {
	Prefix, Email, Next string
	CanSignUp           bool
}

func (p *Pages) showSignIn(c *fiber.Ctx) error {
	next := c.Query("next")
	if s, ok := surface.Session(c); ok {
		return surface.Redirect(c, p.step(s.Stage, next), "")
	}
	surface.FormToken(c)
	view := signInView{Prefix: p.Prefix, Next: surface.LocalPath(next, ""), CanSignUp: p.SignUp != nil || p.Role != ""}
	return surface.Render(c, "auth", "auth/sign_in", "Sign in", view)
}

func (p *Pages) signIn(c *fiber.Ctx) error {
	in := identity.Credentials{Email: c.FormValue("email"), Password: c.FormValue("password")}
	next := c.FormValue("next")
	got, err := p.desk().SignIn(c.UserContext(), p.Plane(c), surface.Binding(c), in, surface.Origin(c), surface.MustTOTP(c))
	if err != nil {
		surface.FormToken(c)
		view := signInView{Prefix: p.Prefix, Email: in.Email, Next: surface.LocalPath(next, ""), CanSignUp: p.SignUp != nil || p.Role != ""}
		return surface.FormError(c, err, "auth", "auth/sign_in", "Sign in", view)
	}
	// Whoever brought a session loses it: nobody else may know the one they get.
	if old := surface.SessionToken(c); old != "" {
		if err := p.Sessions.End(c.UserContext(), surface.Binding(c), old); err != nil {
			return err
		}
	}
	return p.enter(c, got, next)
}

type codeView struct {
	Prefix, Next string
	Recovery     bool
}

func (p *Pages) showCode(c *fiber.Ctx) error {
	if _, _, err := p.at(c, identity.StageCode); err != nil {
		return err
	}
	view := codeView{Prefix: p.Prefix, Next: surface.LocalPath(c.Query("next"), ""), Recovery: c.Query("recovery") != ""}
	return surface.Render(c, "auth", "auth/code", "Second step", view)
}

func (p *Pages) enterCode(c *fiber.Ctx) error {
	_, person, err := p.at(c, identity.StageCode)
	if err != nil {
		return err
	}
	recovery := c.FormValue("recovery") != ""
	code := c.FormValue("code")
	if recovery {
		code = c.FormValue("recovery")
	}
	got, err := p.desk().EnterCode(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), person, code, recovery, surface.Origin(c))
	if err != nil {
		view := codeView{Prefix: p.Prefix, Next: surface.LocalPath(c.FormValue("next"), ""), Recovery: recovery}
		return surface.FormError(c, err, "auth", "auth/code", "Second step", view)
	}
	return p.enter(c, got, c.FormValue("next"))
}

// at returns the session and its person when it stands at the stage; else it is the
// fault session.none, which leads to the sign-in page and from there to the right step.
func (p *Pages) at(c *fiber.Ctx, stage identity.Stage) (identity.Session, identity.Person, error) {
	s, ok := surface.Session(c)
	person, also := surface.Person(c)
	if !ok || !also || s.Stage != stage {
		if err := surface.SessionError(c); err != nil {
			return s, person, err
		}
		return s, person, fault.New(fault.Unauthorized, "session.none", "Please sign in.")
	}
	return s, person, nil
}

type setUpView struct {
	Prefix, Next, Action string
	Security             string
	Secret, URL          string
	QR                   template.URL
	Required             bool // before anything else
}

// showSetUp shows what an authenticator app needs: as a step of signing in where a
// second factor is required, and from the security page.
func (p *Pages) showSetUp(c *fiber.Ctx) error {
	if s, person, err := p.at(c, identity.StageEnrol); err == nil && !surface.MustTOTP(c) { // the rule was lifted meanwhile
		got, err := p.desk().Admit(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), s, person, surface.Origin(c))
		if err != nil {
			return err
		}
		return p.enter(c, got, c.Query("next"))
	}
	view, _, err := p.setUp(c)
	if err != nil {
		return p.proveFirst(c, err)
	}
	return surface.Render(c, p.setUpLayout(view), "auth/set_up", "Set up a second factor", view)
}

func (p *Pages) setUpLayout(v setUpView) string {
	if v.Required {
		return "auth"
	}
	return p.Layout
}

func (p *Pages) setUp(c *fiber.Ctx) (setUpView, identity.Person, error) {
	view := setUpView{Prefix: p.Prefix, Next: surface.LocalPath(c.Query("next", c.FormValue("next")), ""), Action: c.Path(), Security: p.security()}
	view.Required = c.Path() == p.Prefix+"/sign-in/set-up"
	stage := identity.StageFull
	if view.Required {
		stage = identity.StageEnrol
	}
	s, person, err := p.at(c, stage)
	if err != nil {
		return view, person, err
	}
	if !view.Required {
		if err := p.desk().Fresh(s); err != nil {
			return view, person, err
		}
	}
	issuer, err := surface.SiteName(c)
	if err != nil {
		return view, person, err
	}
	e, err := p.desk().BeginTOTP(c.UserContext(), p.Plane(c), person, issuer)
	if err != nil {
		return view, person, err
	}
	view.Secret, view.URL, view.QR = e.Secret, e.URL, template.URL(e.QR) //nolint:gosec // a picture we drew
	return view, person, nil
}

type codesView struct {
	Prefix, Next string
	Codes        []string
}

func (p *Pages) confirmSetUp(c *fiber.Ctx) error {
	view, person, err := p.setUp(c)
	if err != nil {
		return p.proveFirst(c, err)
	}
	got, codes, err := p.desk().ConfirmTOTP(c.UserContext(), p.Plane(c), surface.Binding(c), surface.SessionToken(c), person, c.FormValue("code"), surface.Origin(c))
	if err != nil {
		return surface.FormError(c, err, p.setUpLayout(view), "auth/set_up", "Set up a second factor", view)
	}
	surface.SetSession(c, got.Token, got.Session)
	surface.SetDevice(c, got.Device)
	next := p.security()
	if view.Required {
		next = surface.LocalPath(view.Next, p.Home)
	}
	return surface.Render(c, "auth", "auth/recovery_codes", "Your recovery codes", codesView{Prefix: p.Prefix, Next: next, Codes: codes})
}

func (p *Pages) signOut(c *fiber.Ctx) error {
	if token := surface.SessionToken(c); token != "" {
		if err := p.Sessions.End(c.UserContext(), surface.Binding(c), token); err != nil {
			return err
		}
		surface.SetSession(c, "", identity.Session{})
	}
	return surface.Redirect(c, p.Prefix+"/sign-in", "You are signed out.")
}
