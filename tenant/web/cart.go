package web

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// The cart is a sealed cookie of the shop's host: it needs no row for somebody who only
// looks around, and it is still there after signing up or in. What is in it is words
// from a form; the catalog checks them again whenever they are priced.
const (
	cartCookie  = "ez_cart"
	cartPurpose = "cart"
	cartFor     = 30 * 24 * time.Hour
	maxCart     = 2800 // bytes of the cookie
)

// cart is what a visitor picked, in order.
type cart struct {
	Items  []catalog.Picked `json:"i"`
	Coupon string           `json:"c,omitempty"` // a code that counted when it was entered
	Who    string           `json:"w,omitempty"` // under which a stranger entered it
}

func cartAAD(c *fiber.Ctx) []byte {
	t, _ := surface.Tenant(c)
	return []byte(t.ID.String() + "/" + surface.Host(c))
}

// cartOf reads the visitor's cart; one that cannot be read is empty.
func (s *Site) cartOf(c *fiber.Ctx) cart {
	var out cart
	raw := surface.Cookie(c, cartCookie)
	if raw == "" || len(raw) > 2*maxCart || s.SignIn.Keys == nil {
		return out
	}
	sealed, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return out
	}
	plain, err := s.SignIn.Keys.Open(cartPurpose, cartAAD(c), sealed)
	if err != nil || json.Unmarshal(plain, &out) != nil || len(out.Items) > checkout.MaxItems {
		return cart{}
	}
	return out
}

// keepCart gives the browser the cart. The fault is cart.full.
func (s *Site) keepCart(c *fiber.Ctx, k cart) error {
	if len(k.Items) == 0 {
		surface.SetCookie(c, cartCookie, "", -1)
		return nil
	}
	plain, err := json.Marshal(k)
	if err != nil {
		return err
	}
	sealed, err := s.SignIn.Keys.Seal(cartPurpose, cartAAD(c), plain)
	if err != nil {
		return err
	}
	value := base64.RawURLEncoding.EncodeToString(sealed)
	if len(k.Items) > checkout.MaxItems || len(value) > maxCart {
		return fault.New(fault.Conflict, "cart.full", "Your cart is full. Please order what is in it first.")
	}
	surface.SetCookie(c, cartCookie, value, cartFor)
	return nil
}

func (s *Site) cartRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: identity.Public, Handler: h}
	}
	return []surface.Route{
		at("GET", "/cart", s.showCart),
		at("GET", "/cart/badge", s.cartBadge),
		at("POST", "/cart", s.addToCart),
		at("POST", "/cart/remove", s.removeFromCart),
		at("POST", "/cart/coupon", s.putCoupon),
		at("POST", "/checkout/coupon", s.putCoupon),
		at("GET", "/checkout", s.showCheckout),
		at("POST", "/checkout", s.order),
		at("POST", "/checkout/address", s.saveAddress),
		at("POST", "/checkout/code", s.sendCode),
		s.bringing(at("POST", "/checkout/enter", s.enterCode)),
		at("POST", "/checkout/again", s.otherAddress),
	}
}

type cartView struct {
	Cart      quoteView
	Sells     sells
	Canonical string
}

// showCart handles GET /cart.
func (s *Site) showCart(c *fiber.Ctx) error {
	surface.FormToken(c)
	q, err := s.preview(c, s.cartOf(c))
	if err != nil {
		return err
	}
	open, err := s.sells(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "shop", "shop/cart", "Your cart", cartView{Cart: q, Sells: open})
}

// cartBadge handles GET /cart/badge: how much is in the cart, for the head of pages that
// are kept rendered. It asks nothing of the database.
func (s *Site) cartBadge(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	c.Set(fiber.HeaderCacheControl, "no-store")
	n := len(s.cartOf(c).Items)
	if n == 0 {
		return c.SendString("Cart")
	}
	return c.SendString(`Cart <span class="badge badge-brand">` + strconv.Itoa(n) + `</span>`)
}

// addToCart handles POST /cart: what the configurator sends.
func (s *Site) addToCart(c *fiber.Ctx) error {
	surface.FormToken(c)
	picked := pickedFrom(c)
	p, err := s.readPlan(c, picked.Path())
	if err != nil {
		return err
	}
	configured, err := catalog.Configure(p.plan, p.offers, p.currency, picked)
	if err != nil {
		return surface.FormError(c, err, "shop", "shop/plan", p.title(), s.configurator(c, p, picked))
	}
	k := s.cartOf(c)
	if i, err := strconv.Atoi(c.FormValue("item")); err == nil && i >= 0 && i < len(k.Items) && k.Items[i].Path() == picked.Path() {
		k.Items[i] = configured.Picked
	} else {
		k.Items = append(k.Items, configured.Picked)
	}
	if err := s.keepCart(c, k); err != nil {
		return surface.FormError(c, err, "shop", "shop/plan", p.title(), s.configurator(c, p, picked))
	}
	if c.FormValue("go") == "cart" {
		return surface.Redirect(c, "/cart", "")
	}
	return surface.Redirect(c, "/checkout", "")
}

// removeFromCart handles POST /cart/remove.
func (s *Site) removeFromCart(c *fiber.Ctx) error {
	k := s.cartOf(c)
	if i, err := strconv.Atoi(c.FormValue("item")); err == nil && i >= 0 && i < len(k.Items) {
		k.Items = append(k.Items[:i:i], k.Items[i+1:]...)
		if err := s.keepCart(c, k); err != nil {
			return err
		}
	}
	return surface.Redirect(c, "/cart", "")
}
