package signin

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type forgotView struct {
	Prefix, Email string
	Sent          bool
}

func (p *Pages) showForgot(c *fiber.Ctx) error {
	surface.FormToken(c)
	return surface.Render(c, "auth", "auth/forgot", "Forgotten password", forgotView{Prefix: p.Prefix, Email: c.Query("email")})
}

// forgot answers the same whether the address is known or not.
func (p *Pages) forgot(c *fiber.Ctx) error {
	surface.FormToken(c)
	view := forgotView{Prefix: p.Prefix, Email: c.FormValue("email")}
	email, err := identity.ParseEmail(view.Email)
	ok := false
	if err == nil {
		ok, err = p.quota(c, "reset", email)
	}
	if err == nil && ok {
		err = p.sendReset(c, email)
	}
	if err != nil {
		return surface.FormError(c, err, "auth", "auth/forgot", "Forgotten password", view)
	}
	view.Sent = true
	return surface.Render(c, "auth", "auth/forgot", "Look into your mail", view)
}

func (p *Pages) sendReset(c *fiber.Ctx, email string) error {
	ctx, people := c.UserContext(), identity.People{World: p.World}
	return p.Plane(c).Update(ctx, func(tx tenancy.Statements) error {
		person, err := people.ByEmail(ctx, tx, email)
		if fault.Is(err, "person.not_found") || err == nil && !person.DisabledAt.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		return sendLink(ctx, tx, p.Mail, p.Prefix, person, identity.Reset, mail.ResetPassword,
			map[string]string{"valid_for": "1 hour", "ip": surface.ClientIP(c)})
	})
}

type signUpView struct {
	Prefix, Name, Company, Email string
	Sent                         bool
}

func (p *Pages) showSignUp(c *fiber.Ctx) error {
	if s, ok := surface.Session(c); ok {
		return surface.Redirect(c, p.step(s.Stage, ""), "")
	}
	surface.FormToken(c)
	return surface.Render(c, "auth", "auth/sign_up", "Create an account", signUpView{Prefix: p.Prefix})
}

// signUp asks for no password: it is chosen by the link in the mail, so nobody can
// prepare an account under somebody else's address. The answer is the same for an
// address that has an account; its owner gets another mail.
func (p *Pages) signUp(c *fiber.Ctx) error {
	surface.FormToken(c)
	view := signUpView{Prefix: p.Prefix, Name: c.FormValue("name"), Company: c.FormValue("company"), Email: c.FormValue("email")}
	in, company, err := view.parse()
	ok := false
	if err == nil {
		ok, err = p.quota(c, "sign-up", in.Email)
	}
	if err == nil && ok {
		err = p.welcome(c, in, company)
	}
	if err != nil {
		return surface.FormError(c, err, "auth", "auth/sign_up", "Create an account", view)
	}
	view.Sent = true
	return surface.Render(c, "auth", "auth/sign_up", "Look into your mail", view)
}

func (v signUpView) parse() (identity.NewPerson, string, error) {
	fields := map[string]string{}
	email, err := identity.ParseEmail(v.Email)
	collect(fields, err)
	name, err := identity.ParseName(v.Name)
	collect(fields, err)
	company := name
	if strings.TrimSpace(v.Company) != "" {
		if company, err = identity.ParseName(v.Company); err != nil {
			fields["company"] = "Please use at most 100 letters."
		}
	}
	return identity.NewPerson{Email: email, Name: name, Role: identity.CustomerMember}, company, fault.Fields("sign_up.invalid", fields)
}

func collect(fields map[string]string, err error) {
	if err != nil {
		for k, v := range fault.From(err).Fields {
			fields[k] = v
		}
	}
}

func (p *Pages) welcome(c *fiber.Ctx, in identity.NewPerson, company string) error {
	ctx := c.UserContext()
	tenant, _ := surface.Tenant(c)
	in.Locale = tenant.Locale
	return p.Plane(c).Update(ctx, func(tx tenancy.Statements) error { return p.addOrTell(ctx, tx, tenant, in, company) })
}

func (p *Pages) addOrTell(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, in identity.NewPerson, company string) error {
	people := identity.People{World: p.World}
	person, err := people.Add(ctx, tx, in, "")
	switch {
	case fault.Is(err, "person.taken"):
		if person, err = people.ByEmail(ctx, tx, in.Email); err != nil {
			return err
		}
		if !person.DisabledAt.IsZero() {
			return nil
		}
		if person.HasPassword {
			return p.Mail.Enqueue(ctx, tx, mail.Message{
				Key: "address_known/" + person.ID.String() + "/" + tx.Now().Format("2006010215"), Template: mail.AddressKnown, To: person.Email,
				Data: map[string]string{"name": person.Name, "link": p.Prefix + "/sign-in"},
			})
		}
	case err != nil:
		return err
	default:
		if err := p.SignUp(ctx, tx, t, person, company); err != nil {
			return err
		}
	}
	return sendLink(ctx, tx, p.Mail, p.Prefix, person, identity.Verify, mail.VerifyAddress, map[string]string{"valid_for": "2 days"})
}

type linkView struct {
	Prefix, Name, Email, Action string
	Purpose                     identity.Purpose
}

var linkTitles = map[identity.Purpose]string{
	identity.Reset: "Choose a new password", identity.Verify: "Choose your password", identity.Invite: "Accept the invitation",
}

func (p *Pages) link(c *fiber.Ctx) (purpose identity.Purpose, token string, err error) {
	purpose, token = identity.Purpose(c.Params("purpose")), c.Params("token")
	if linkTitles[purpose] == "" || len(token) < 20 || len(token) > 100 {
		return "", "", fault.New(fault.NotFound, "link.unknown", "There is no page at this address.")
	}
	return purpose, token, nil
}

func (p *Pages) holder(c *fiber.Ctx, purpose identity.Purpose, token string) (view linkView, err error) {
	ctx := c.UserContext()
	err = p.Plane(c).View(ctx, func(tx tenancy.Statements) error {
		person, err := identity.People{World: p.World}.LinkHolder(ctx, tx, token, purpose)
		view = linkView{Prefix: p.Prefix, Name: person.Name, Email: person.Email, Action: c.Path(), Purpose: purpose}
		return err
	})
	return view, err
}

func (p *Pages) showLink(c *fiber.Ctx) error {
	purpose, token, err := p.link(c)
	if err != nil {
		return err
	}
	view, err := p.holder(c, purpose, token)
	if err != nil {
		return err
	}
	surface.FormToken(c)
	return surface.Render(c, "auth", "auth/link", linkTitles[purpose], view)
}

func (p *Pages) takeLink(c *fiber.Ctx) error {
	purpose, token, err := p.link(c)
	if err != nil {
		return err
	}
	got, err := p.desk().TakeLink(c.UserContext(), p.Plane(c), surface.Binding(c), token, purpose, c.FormValue("password"), surface.Origin(c), surface.MustTOTP(c))
	if fault.From(err).Kind == fault.Invalid {
		view, herr := p.holder(c, purpose, token)
		if herr != nil {
			return herr
		}
		surface.FormToken(c)
		return surface.FormError(c, err, "auth", "auth/link", linkTitles[purpose], view)
	}
	if err != nil {
		return err
	}
	got.Stranger = false // the mail they just used has told them
	return p.enter(c, got, "")
}
