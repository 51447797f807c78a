package web

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// agreedView is what is agreed with one reseller: its own prices, and amounts that staff
// put on its next invoice.
type agreedView struct {
	resellerView
	Prices []overrideRow
	SKUs   []choice
	In     wholesale.NewOverride
	From   string
	To     string
	Lines  []wholesale.ByHandLine
	Key    string
	Amount string
	Why    string
	May    bool
}

type overrideRow struct {
	wholesale.Override
	Now, Later bool
}

func (s *Console) agreedPage(c *fiber.Ctx, r reseller.Reseller) (v agreedView, err error) {
	v = agreedView{resellerView: s.resellerView(c, r, "/agreed"), From: s.tomorrow(), May: mayBill(c)}
	agreed, err := s.Wholesale.AgreedWith(c.UserContext(), r.ID)
	if err != nil {
		return v, err
	}
	now := s.Central.Now()
	for _, p := range agreed.Prices {
		v.Prices = append(v.Prices, overrideRow{p, p.At(now), p.From.After(now)})
	}
	for _, x := range agreed.SKUs {
		v.SKUs = append(v.SKUs, choice{x.Code, x.Name + " (" + x.Code + ")"})
	}
	v.Lines = agreed.Lines
	key, err := uuid.NewV7()
	v.Key = key.String()
	return v, err
}

func (s *Console) showAgreed(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v, err := s.agreedPage(c, r)
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/reseller_agreed", r.Name, v)
}

// agreedError shows the page again as its form was filled in.
func (s *Console) agreedError(c *fiber.Ctx, r reseller.Reseller, problem error, fill func(*agreedView)) error {
	v, err := s.agreedPage(c, r)
	if err != nil {
		return err
	}
	fill(&v)
	return surface.FormError(c, problem, "console", "console/reseller_agreed", r.Name, v)
}

func (s *Console) setOverride(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	in := wholesale.NewOverride{SKU: table.Text(c.FormValue("sku"), 64), Price: table.Text(c.FormValue("price"), 40), From: dayOf(c, "from"), To: dayOf(c, "to"), Reason: table.Text(c.FormValue("reason"), 400)}
	o, err := s.Wholesale.OutlookOverride(c.UserContext(), r.ID, in, office.By(c))
	if err == nil {
		what := in.SKU + " at " + in.Price + " for " + r.Name + " from " + in.From.Format(time.DateOnly) + " on."
		if asked, err := s.confirm(c, o, what, agreedPath(r), "sku", "price", "from", "to", "reason"); asked || err != nil {
			return err
		}
		err = s.Wholesale.SetOverride(c.UserContext(), r.ID, in, office.By(c))
	}
	if err != nil {
		return s.agreedError(c, r, err, func(v *agreedView) {
			v.In, v.From, v.To = in, table.Text(c.FormValue("from"), 10), table.Text(c.FormValue("to"), 10)
		})
	}
	return surface.Redirect(c, agreedPath(r), "The price is agreed. "+r.Name+" sees it in its price list from its first day on.")
}

func agreedPath(r reseller.Reseller) string { return "/resellers/" + r.ID.String() + "/agreed" }

func (s *Console) endOverride(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("price"))
	if err != nil {
		return fault.New(fault.NotFound, "override.unknown", "There is no such price.")
	}
	at := s.Central.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	if err := s.Wholesale.EndOverride(c.UserContext(), r.ID, id, at, office.By(c)); err != nil {
		return office.Refused(c, err, agreedPath(r))
	}
	return surface.Redirect(c, agreedPath(r), "The price ends with today. From then on the price book holds.")
}

func (s *Console) addLine(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	in := wholesale.NewLineByHand{Key: table.Text(c.FormValue("key"), 100), Amount: table.Text(c.FormValue("amount"), 40), Reason: table.Text(c.FormValue("why"), 400)}
	if err := s.Wholesale.AddLine(c.UserContext(), r.ID, in, office.By(c)); err != nil {
		return s.agreedError(c, r, err, func(v *agreedView) { v.Key, v.Amount, v.Why = in.Key, in.Amount, in.Reason })
	}
	return surface.Redirect(c, agreedPath(r), "It stands on the next invoice.")
}

func (s *Console) withdrawLine(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("line"))
	if err != nil {
		return fault.New(fault.NotFound, "byhand.unknown", "There is no such amount.")
	}
	if err := s.Wholesale.WithdrawLine(c.UserContext(), r.ID, id, office.By(c)); err != nil {
		return office.Refused(c, err, agreedPath(r))
	}
	return surface.Redirect(c, agreedPath(r), "It is withdrawn and stands on no invoice.")
}
