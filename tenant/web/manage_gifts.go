package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/credit"
)

const giftPath = "/manage/gift-codes"

func (s *Site) giftRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: giftPath + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.listGifts),
		at("POST", "", identity.SalesWrite, s.makeGifts),
		at("POST", "/:batch/withdraw", identity.SalesWrite, s.withdrawGifts),
	}
}

// giftsView is the page of gift codes.
type giftsView struct {
	Rows     []credit.Made
	Form     credit.Batch
	FormKey  string
	Currency string
	Codes    []string // made just now: they can be read only once
	MayEdit  bool
}

func (s *Site) readGifts(c *fiber.Ctx) (v giftsView, err error) {
	t, _ := surface.Tenant(c)
	p, _ := surface.Principal(c)
	v.Currency, v.MayEdit, v.FormKey, v.Form.Count = t.Currency, p.May(identity.SalesWrite), uuid.NewString(), "1"
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		v.Rows, err = credit.Batches(c.UserContext(), tx)
		return err
	})
	return v, err
}

// listGifts handles GET /manage/gift-codes.
func (s *Site) listGifts(c *fiber.Ctx) error {
	v, err := s.readGifts(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/gift-codes", "Gift codes", v)
}

// makeGifts handles POST /manage/gift-codes: the codes stand on this page and never again.
func (s *Site) makeGifts(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	key, err := uuid.Parse(c.FormValue("key"))
	if err != nil {
		key = uuid.New()
	}
	form := credit.Batch{Key: key, Name: table.Text(c.FormValue("name"), 200), Count: table.Text(c.FormValue("count"), 10), Amount: table.Text(c.FormValue("amount"), 40), Currency: t.Currency, ExpiresOn: table.Text(c.FormValue("expires"), 20)}
	codes, refused := credit.MakeCodes(c.UserContext(), surface.DB(c), form, zoneOf(t), office.By(c))
	v, err := s.readGifts(c)
	if err != nil {
		return err
	}
	if refused != nil {
		v.Form, v.FormKey = form, key.String()
		return surface.FormError(c, refused, "manage", "manage/gift-codes", "Gift codes", v)
	}
	v.Codes = codes
	c.Set(fiber.HeaderCacheControl, "no-store")
	return surface.Render(c, "manage", "manage/gift-codes", "Gift codes", v)
}

// withdrawGifts handles POST /manage/gift-codes/:batch/withdraw.
func (s *Site) withdrawGifts(c *fiber.Ctx) error {
	id, err := pathID(c, "batch", fault.New(fault.NotFound, "gift.not_found", "None of these codes can be redeemed any more."))
	if err != nil {
		return err
	}
	n, err := credit.WithdrawCodes(c.UserContext(), surface.DB(c), id, office.By(c))
	if err != nil {
		return err
	}
	says := "The code cannot be redeemed any more."
	if n > 1 {
		says = "The codes cannot be redeemed any more."
	}
	return surface.Redirect(c, giftPath, says)
}
