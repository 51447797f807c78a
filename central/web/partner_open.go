package web

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/partner"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

// How a business opens its shop by itself: it says who it is and what the shop is called,
// proves its mailbox by a code, and has the shop. Whether an address is known here is
// told to nobody but who reads its mail.

func (s *Partner) openRoutes(people *signin.Pages) []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	o := &opening{Partner: s, people: people}
	return []surface.Route{
		at("GET", "/sign-up", identity.Public, o.show),
		at("POST", "/sign-up", identity.Public, o.apply),
		at("GET", "/sign-up/address", identity.Public, o.address),
		at("GET", "/sign-up/code", identity.Public, o.showCode),
		at("POST", "/sign-up/code", identity.Public, o.enter),
		at("GET", "/open", identity.StatementRead, o.showAnother),
		at("POST", "/open", identity.StatementRead, o.another),
		at("GET", "/shop", identity.StatementRead, o.shops),
	}
}

// opening is the partner centre while a shop is opened.
type opening struct {
	*Partner
	people *signin.Pages
}

type openView struct {
	Name, Email string
	In          partner.Application
	Address     reseller.SlugAnswer
	Platform    string
	Countries   []place.Choice
	Currencies  []place.Choice
	Another     bool   // somebody who is signed in opens one more
	Key         string // of the form of somebody signed in
	Days        int
}

func (o *opening) view(c *fiber.Ctx) openView {
	v := openView{
		Name: c.FormValue("name"), Email: c.FormValue("email"), Platform: o.Shops.Resellers.Platform, Days: partner.TrialDays,
		In: partner.Application{Shop: c.FormValue("shop"), Slug: c.FormValue("slug"), Currency: c.FormValue("currency"), Country: c.FormValue("country")},
	}
	return v.filled()
}

func (v openView) filled() openView {
	v.Countries = append([]place.Choice{{Value: "", Label: "Choose a country"}}, place.Countries()...)
	v.Currencies = place.Currencies("")
	if v.In.Currency == "" {
		v.In.Currency = "EUR"
	}
	return v
}

// show handles GET /sign-up.
func (o *opening) show(c *fiber.Ctx) error {
	if _, ok := surface.Principal(c); ok {
		return surface.Redirect(c, "/open", "")
	}
	surface.FormToken(c)
	v := openView{Platform: o.Shops.Resellers.Platform, Days: partner.TrialDays}
	return surface.Render(c, "auth", "partner/sign_up", "Open your shop", v.filled())
}

// address handles GET /sign-up/address: is it free, while it is typed.
func (o *opening) address(c *fiber.Ctx) error {
	ok, err := o.SignIn.Throttle.Take(c.UserContext(), "address", identity.Network(surface.ClientIP(c)), 300, time.Hour)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.TooMany, "address.too_many", "That were many addresses in a short time. Please wait a while.")
	}
	said, err := o.Shops.Address(c.UserContext(), c.Query("slug"), c.Query("shop"))
	if err != nil {
		return err
	}
	return surface.Fragment(c, "partner/sign_up", "address", openView{Address: said})
}

// apply handles POST /sign-up.
func (o *opening) apply(c *fiber.Ctx) error {
	surface.FormToken(c)
	v := o.view(c)
	ctx := c.UserContext()
	err := o.Shops.Check(ctx, &v.In)
	if f := fault.From(err); err == nil || f.Kind == fault.Invalid {
		wrong := map[string]string{}
		for _, err := range []error{err, check(identity.ParseEmail(v.Email)), check(identity.ParseName(v.Name))} {
			if err != nil {
				for k, m := range fault.From(err).Fields {
					wrong[k] = m
				}
			}
		}
		err = fault.Fields("application.invalid", wrong)
	}
	if err == nil {
		err = o.people.SendCode(c, v.Email, v.Name, "/sign-up/code")
	}
	if err == nil {
		err = o.remember(c, v.In)
	}
	if err != nil {
		return surface.FormError(c, err, "auth", "partner/sign_up", "Open your shop", v)
	}
	return surface.Redirect(c, "/sign-up/code", "")
}

func check(_ string, err error) error { return err }

const (
	openingCookie  = "ez_opening"
	openingPurpose = "opening a shop"
	openingFor     = 30 * time.Minute
)

// remember keeps what was applied for in the browser, sealed, until the code is there.
func (o *opening) remember(c *fiber.Ctx, a partner.Application) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := o.SignIn.Keys.Seal(openingPurpose, []byte(surface.Host(c)), plain)
	if err != nil {
		return err
	}
	surface.SetCookie(c, openingCookie, base64.RawURLEncoding.EncodeToString(sealed), openingFor)
	return nil
}

func (o *opening) applied(c *fiber.Ctx) (a partner.Application, ok bool) {
	raw := surface.Cookie(c, openingCookie)
	if raw == "" || len(raw) > 3000 {
		return a, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return a, false
	}
	plain, err := o.SignIn.Keys.Open(openingPurpose, []byte(surface.Host(c)), sealed)
	return a, err == nil && json.Unmarshal(plain, &a) == nil
}

type openCodeView struct {
	Email, Shop, Host string
}

// showCode handles GET /sign-up/code.
func (o *opening) showCode(c *fiber.Ctx) error {
	waiting, ok := o.people.Awaited(c)
	a, also := o.applied(c)
	if !ok || !also {
		return surface.Redirect(c, "/sign-up", "Please begin anew: the code is too old.")
	}
	surface.FormToken(c)
	return surface.Render(c, "auth", "partner/sign_up_code", "Look into your mail", o.codeView(waiting, a))
}

func (o *opening) codeView(waiting signin.Awaited, a partner.Application) openCodeView {
	return openCodeView{Email: waiting.Email, Shop: a.Shop, Host: a.Slug + "." + o.Shops.Resellers.Platform}
}

// enter handles POST /sign-up/code: whoever has the code is signed in and has the shop.
func (o *opening) enter(c *fiber.Ctx) error {
	surface.FormToken(c)
	waiting, ok := o.people.Awaited(c)
	a, also := o.applied(c)
	if !ok || !also {
		return surface.Redirect(c, "/sign-up", "Please begin anew: the code is too old.")
	}
	err := o.people.EnterWithCodeAnd(c, c.FormValue("code"), c.FormValue("password"), func(person identity.Person, w signin.Awaited, known bool) (string, string, error) {
		next, flash, err := o.open(c, person, a, w.Key)
		if known && err == nil && next == "/shop" {
			flash += " You had a sign-in here already; its password stays as it was, and is the shop's too."
		}
		return next, flash, err
	})
	if f := fault.From(err); err != nil && (f.Kind == fault.Invalid || f.Kind == fault.TooMany) {
		return surface.FormError(c, err, "auth", "partner/sign_up_code", "Look into your mail", o.codeView(waiting, a))
	}
	return err
}

// open opens the shop. What is in its way by now, such as an address that was taken, is
// asked again of somebody who is signed in.
func (o *opening) open(c *fiber.Ctx, person identity.Person, a partner.Application, key string) (next, flash string, err error) {
	r, err := o.Shops.Open(c.UserContext(), person.ID, a, key, office.By(c))
	f := fault.From(err)
	switch {
	case err == nil:
		surface.SetCookie(c, openingCookie, "", -1)
		return "/shop", r.Name + " is open.", nil
	case f.Kind == fault.Invalid || f.Kind == fault.Conflict:
		q := url.Values{"shop": {a.Shop}, "slug": {a.Slug}, "currency": {a.Currency}, "country": {a.Country}}
		return "/open?" + q.Encode(), "Your sign-in is there. The address was taken meanwhile: please choose another.", nil
	case f.Kind == fault.Unavailable:
		return "/open", "Your sign-in is there. Your shop is being prepared and opens within a few minutes; you need not do anything.", nil
	}
	return "", "", err
}

// showAnother handles GET /open.
func (o *opening) showAnother(c *fiber.Ctx) error {
	v := openView{Another: true, Key: surface.RequestID(c), Platform: o.Shops.Resellers.Platform, Days: partner.TrialDays,
		In: partner.Application{Shop: strings.Clone(c.Query("shop")), Slug: strings.Clone(c.Query("slug")), Currency: strings.Clone(c.Query("currency")), Country: strings.Clone(c.Query("country"))}}
	return surface.Render(c, "partner", "partner/open", "Open a shop", v.filled())
}

// another handles POST /open.
func (o *opening) another(c *fiber.Ctx) error {
	p, _ := surface.Principal(c)
	v := o.view(c)
	v.Another, v.Key = true, c.FormValue("key")
	ctx := c.UserContext()
	err := o.Shops.Check(ctx, &v.In)
	if err == nil {
		var ok bool
		if ok, err = o.SignIn.Throttle.Take(ctx, "open-shop", p.PersonID.String(), 5, 24*time.Hour); err == nil && !ok {
			err = fault.New(fault.TooMany, "application.too_many", "You have opened several shops today. Please write to us if you need more.")
		}
	}
	var r reseller.Reseller
	if err == nil {
		r, err = o.Shops.Open(ctx, p.PersonID, v.In, v.Key, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "partner", "partner/open", "Open a shop", v)
	}
	return surface.Redirect(c, "/shop", r.Name+" is open.")
}

type shopsView struct {
	Shops []shopLine
}

type shopLine struct {
	partner.Shop
	URL string // by the scheme and port this page was asked by
}

// shops handles GET /shop.
func (o *opening) shops(c *fiber.Ctx) error {
	p, _ := surface.Principal(c)
	all, err := o.Shops.Shops(c.UserContext(), p.PersonID)
	if err != nil {
		return err
	}
	var v shopsView
	for _, s := range all {
		line := shopLine{Shop: s, URL: "https://" + s.Host}
		if o.SiteURL != nil {
			line.URL = o.SiteURL(c, s.Host)
		}
		v.Shops = append(v.Shops, line)
	}
	return surface.Render(c, "partner", "partner/shops", "Your shop", v)
}
