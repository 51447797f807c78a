package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/payment"
)

// collectionFee is what the platform keeps of a payment, in words and by an example.
type collectionFee struct {
	Percent    string
	Fixed      billing.Money // zero: none
	Of, Keeps  billing.Money // of so much it keeps this
	Left       billing.Money
	HoldsWords string
}

func feeOf(t payment.CollectionTerms) (f collectionFee, err error) {
	f.Percent = strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(float64(t.Fee.Ppm)/10_000, 'f', 4, 64), "0"), ".")
	f.Fixed, f.Of = billing.Money{Minor: t.Fee.Fixed, Currency: t.Currency}, billing.Money{Minor: 10_000, Currency: t.Currency}
	if f.Keeps, err = t.Fee.Of(f.Of); err == nil {
		f.Left, err = f.Of.Sub(f.Keeps)
	}
	switch t.HoldDays {
	case 0:
		f.HoldsWords = "at once"
	case 1:
		f.HoldsWords = "after a day"
	default:
		f.HoldsWords = "after " + strconv.Itoa(t.HoldDays) + " days"
	}
	return f, err
}

func (v *gatewaysView) readCollection(c *fiber.Ctx, d *payment.Desk, t tenancy.Tenant) (err error) {
	if v.Collection, v.Collects, err = d.Collection(c.UserContext(), surface.DB(c)); err != nil || v.Collection.Currency == "" {
		return err
	}
	v.Statement = stripe.StatementOf(t.Name)
	v.Fee, err = feeOf(v.Collection)
	return err
}

// beginCollection handles POST /manage/settings/payments/platform.
func (s *Site) beginCollection(c *fiber.Ctx) error {
	if err := s.Payments.BeginCollection(c.UserContext(), surface.DB(c), office.By(c)); err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Redirect(c, gatewaysPath, "The platform takes cards for your shop from now on.")
}

// endCollection handles POST /manage/settings/payments/platform/off.
func (s *Site) endCollection(c *fiber.Ctx) error {
	if err := s.Payments.EndCollection(c.UserContext(), surface.DB(c), office.By(c)); err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	return surface.Redirect(c, gatewaysPath, "The platform takes no new payments for your shop.")
}
