package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// clientProForma handles GET /client/subscriptions/:subscription/pro-forma.pdf.
func (s *Site) clientProForma(c *fiber.Ctx) error {
	var doc document.Document
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, _, err := s.theirSubscription(c, tx, account.InvoicesSee)
		if err == nil {
			doc, err = renewal.ProForma(c.UserContext(), tx, x)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.sendPDF(c, doc)
}

// manageProForma handles GET /manage/subscriptions/:subscription/pro-forma.pdf.
func (s *Site) manageProForma(c *fiber.Ctx) error {
	id, err := subscriptionID(c)
	if err != nil {
		return err
	}
	var doc document.Document
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, err := renewal.Get(c.UserContext(), tx, id)
		if err == nil {
			doc, err = renewal.ProForma(c.UserContext(), tx, x)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.sendPDF(c, doc)
}
