package web

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/coupon"
)

// couponField is the field of a code beside the total.
type couponField struct {
	Code    string   // that count, in words; empty: none does
	Codes   []string // that count
	More    bool     // another one may
	Typed   string
	Longer  int    // days by which it makes trials longer
	Problem string // why what was typed does not count
}

// Codes are guessed: a network may try so many in so long.
const (
	couponTries = 30
	couponSpan  = 15 * time.Minute
)

// putCoupon handles POST /cart/coupon and /checkout/coupon: a code is entered or taken
// out. It is kept with the cart once it counts.
func (s *Site) putCoupon(c *fiber.Ctx) error {
	surface.FormToken(c)
	back := "/cart"
	if strings.HasPrefix(c.Path(), "/checkout") {
		back = "/checkout"
	}
	k := s.cartOf(c)
	if len(k.Items) == 0 {
		return surface.Redirect(c, "/cart", "")
	}
	typed := strings.TrimSpace(strings.ToValidUTF8(c.FormValue("coupon"), ""))
	if out := c.FormValue("remove"); out != "" || typed == "" {
		left := slices.DeleteFunc(strings.Fields(k.Coupon), func(code string) bool { return out == code || out == "yes" || out == "" })
		k.Coupon = strings.Join(left, " ")
		if err := s.keepCart(c, k); err != nil {
			return err
		}
		return surface.Redirect(c, back, "")
	}
	typed = strings.Fields(typed)[0] // one at a time: codes are guessed
	if len(typed) > 100 {
		typed = typed[:100]
	}
	tried := k
	typed = strings.ToValidUTF8(typed, "")
	tried.Coupon = strings.TrimSpace(k.Coupon + " " + typed)
	if _, known := surface.Principal(c); !known && tried.Who == "" {
		tried.Who = uuid.NewString()[:13]
	}
	if err := s.tryCoupon(c); err != nil {
		return s.couponRefused(c, err, back, k, typed)
	}
	q, err := s.preview(c, tried)
	if err != nil {
		return office.Refused(c, err, "/cart")
	}
	if !slices.Contains(q.Coupon.Codes, coupon.Normal(typed)) {
		return s.couponRefused(c, fault.Field("coupon", "coupon.unknown", q.Coupon.Problem), back, k, typed)
	}
	tried.Coupon = strings.Join(q.Coupon.Codes, " ")
	if err := s.keepCart(c, tried); err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, "")
}

// tryCoupon counts a try of the visitor's network. The fault is coupon.throttled.
func (s *Site) tryCoupon(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	if s.SignIn.Throttle == nil {
		return nil
	}
	ok, err := s.SignIn.Throttle.Take(c.UserContext(), "coupon:"+t.ID.String(), identity.Network(surface.ClientIP(c)), couponTries, couponSpan)
	if err == nil && !ok {
		err = fault.New(fault.TooMany, "coupon.throttled", "Those were many codes in a short time. Please wait a quarter of an hour and try again.")
	}
	return err
}

// couponRefused shows the page the code was typed at, with what is wrong with it.
func (s *Site) couponRefused(c *fiber.Ctx, err error, back string, k cart, typed string) error {
	put := func(f *couponField) { f.Typed, f.Problem, f.More = typed, words(err), true }
	if back == "/checkout" {
		v, perr := s.checkoutPage(c, k, false)
		if perr != nil {
			return office.Refused(c, perr, "/cart")
		}
		put(&v.Cart.Coupon)
		return surface.FormError(c, err, "pay", "shop/checkout", checkoutTitle, v)
	}
	q, perr := s.preview(c, k)
	if perr != nil {
		return perr
	}
	open, perr := s.sells(c)
	if perr != nil {
		return perr
	}
	put(&q.Coupon)
	return surface.FormError(c, err, "shop", "shop/cart", "Your cart", cartView{Cart: q, Sells: open})
}

// timesWords says for how many invoices after the first a code still counts.
func timesWords(n int) string {
	if n == 1 {
		return "the next time"
	}
	return "the next " + strconv.Itoa(n) + " times"
}
