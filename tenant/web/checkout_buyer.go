package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
)

// address opens the step of the address.
func (v *checkoutView) address() {
	v.Stage = "address"
	v.Countries = append([]place.Choice{{Value: "", Label: "Please choose"}}, place.Countries()...)
	if v.BillTo.Kind == "" {
		v.BillTo.Kind = "person"
	}
}

func addressLines(p account.Party) []string {
	var out []string
	for _, line := range []string{p.Company, p.Name, p.Line1, p.Line2, join(p.Postcode, p.City), p.Region, place.CountryName(p.Country)} {
		if line != "" {
			out = append(out, line)
		}
	}
	if p.TaxID != "" {
		out = append(out, "VAT number "+p.TaxID)
	}
	return out
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// sendCode handles POST /checkout/code: somebody who is not signed in says who they are.
func (s *Site) sendCode(c *fiber.Ctx) error {
	surface.FormToken(c)
	if _, ok := surface.Principal(c); ok {
		return surface.Redirect(c, "/checkout", "")
	}
	email, name := c.FormValue("email"), c.FormValue("name")
	if err := s.customers().SendCode(c, email, name, "/checkout"); err != nil {
		return s.checkoutRefused(c, err, func(v *checkoutView) { v.Stage, v.Email, v.Name = "who", email, name })
	}
	return surface.Redirect(c, "/checkout", "")
}

// otherAddress handles POST /checkout/again: the code went to the wrong address.
func (s *Site) otherAddress(c *fiber.Ctx) error {
	s.customers().ForgetCode(c)
	return surface.Redirect(c, "/checkout", "")
}

// enterCode handles POST /checkout/enter.
func (s *Site) enterCode(c *fiber.Ctx) error {
	surface.FormToken(c)
	err := s.customers().EnterWithCode(c, c.FormValue("code"), c.FormValue("password"), "/checkout")
	if err != nil {
		return s.checkoutRefused(c, err, nil)
	}
	return nil
}

// buyingFor is the account the signed-in person buys for.
func (s *Site) buyingFor(c *fiber.Ctx) (account.Acting, error) {
	if _, ok := surface.Principal(c); !ok {
		return account.Acting{}, fault.New(fault.Unauthorized, "session.none", "Please sign in.")
	}
	var a account.Acting
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		a, err = acting(c, tx)
		return err
	})
	if err == nil {
		err = a.Must(account.Buy)
	}
	return a, err
}

// saveAddress handles POST /checkout/address.
func (s *Site) saveAddress(c *fiber.Ctx) error {
	acting, err := s.buyingFor(c)
	if err != nil {
		return err
	}
	b := formBillTo(c)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error { // the form does not ask for it
		p, err := account.ForInvoice(c.UserContext(), tx, acting.AccountID)
		b.Email, b.Reference = p.BillingEmail, p.Reference
		return err
	})
	if err != nil {
		return err
	}
	if err := account.SaveBillTo(c.UserContext(), surface.DB(c), acting.AccountID, b, office.By(c)); err != nil {
		return s.checkoutRefused(c, err, func(v *checkoutView) { v.BillTo = b; v.address() })
	}
	return surface.Redirect(c, "/checkout", "")
}
