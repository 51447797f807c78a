package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenant/payment"
)

// debitKind is the choice of a bank account that is entered.
const debitKind = "debit"

// debitTyped is what was typed of a bank account. It is shown again to who typed it, and
// kept nowhere.
type debitTyped struct{ Holder, IBAN string }

func (d *debitTyped) typed(c *fiber.Ctx) {
	d.Holder, d.IBAN = table.Text(strings.TrimSpace(c.FormValue("debit_holder")), 70), table.Text(strings.TrimSpace(c.FormValue("debit_iban")), 42)
}

// agree keeps the bank account of a form with the mandate its owner gives there.
func (s *Site) agree(c *fiber.Ctx, of uuid.UUID, with *payment.DebitChoice) (payment.Method, []payment.Charging, error) {
	return s.Payments.Agree(c.UserContext(), surface.DB(c), payment.AgreeRequest{
		AccountID: of, Gateway: with.Code, Holder: table.Text(c.FormValue("debit_holder"), 200), IBAN: table.Text(c.FormValue("debit_iban"), 80), Agreed: c.FormValue("debit_agree") == "on",
		Form: table.Text(c.FormValue("debit_form"), 40), Browser: table.Text(c.Get(fiber.HeaderUserAgent), 300), By: office.By(c),
	})
}
