package web

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/referral"
)

// Customers who bring others: the link, what it leaves with who follows it, and the page
// of who shared it.

const referralsPath = "/client/credit/referrals"

func (s *Site) referralRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/r/:handle", Needs: identity.Public, Handler: s.followLink},
		{Method: fiber.MethodGet, Path: referralsPath, Needs: identity.SignedIn, Handler: s.showReferrals},
	}
}

// The link somebody came by is kept in a sealed cookie of the shop's host until they sign
// up: nothing is kept here of who only looks around.
const (
	referralCookie  = "ez_ref"
	referralPurpose = "referral"
)

type followed struct {
	Code string    `json:"c"`
	At   time.Time `json:"t"`
}

// followLink handles GET /r/<code>. Whether the code names somebody is not told: the
// answer is the shop in either case.
func (s *Site) followLink(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	code := c.Params("handle")
	if len(code) > 20 || s.SignIn.Keys == nil {
		return c.Redirect("/", fiber.StatusSeeOther)
	}
	plain, err := json.Marshal(followed{Code: code, At: s.SignIn.Clock()})
	if err != nil {
		return err
	}
	sealed, err := s.SignIn.Keys.Seal(referralPurpose, cartAAD(c), plain)
	if err != nil {
		return err
	}
	surface.SetCookie(c, referralCookie, base64.RawURLEncoding.EncodeToString(sealed), referral.CookieFor)
	return c.Redirect("/", fiber.StatusSeeOther)
}

// visitOf is how a visitor came; one whose cookie cannot be read came by no link.
func (s *Site) visitOf(c *fiber.Ctx) referral.Visit {
	v := referral.Visit{IP: surface.ClientIP(c)}
	raw := surface.Cookie(c, referralCookie)
	if raw == "" || len(raw) > 400 || s.SignIn.Keys == nil {
		return v
	}
	sealed, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return v
	}
	plain, err := s.SignIn.Keys.Open(referralPurpose, cartAAD(c), sealed)
	var f followed
	if err == nil && json.Unmarshal(plain, &f) == nil {
		v.Code, v.At = f.Code, f.At
	}
	return v
}

// bringing has accounts that are opened while a route is handled know by which link their
// owner came.
func (s *Site) bringing(r surface.Route) surface.Route {
	if r.Method == fiber.MethodGet {
		return r
	}
	next := r.Handler
	r.Handler = func(c *fiber.Ctx) error {
		c.SetUserContext(referral.Carry(c.UserContext(), s.visitOf(c)))
		return next(c)
	}
	return r
}

// referralsView is the page of who brings others.
type referralsView struct {
	Account  account.Acting
	On       bool
	Gives    billing.Money // to the referrer; zero: nothing in their currency
	Gets     billing.Money // the newcomer
	Least    billing.Money
	WaitDays int
	PerYear  int
	Link     string
	Rows     []referralRow
	Earned   []billing.Money // one a currency
}

// referralRow is one account that was brought, without its name.
type referralRow struct {
	referral.Referral
	Status map[string]any
	Says   string

	Href, ByHref string // of the owners' pages, for the team; empty: there is none
}

func referralStatus(r referral.Referral) map[string]any {
	switch r.State {
	case billing.ReferralWaiting:
		return office.Status("busy", "Pending")
	case billing.ReferralGranted:
		return office.Status("good", "Granted")
	case billing.ReferralRefused:
		return office.Status("idle", "Refused")
	}
	return office.Status("idle", "Signed up")
}

// showReferrals handles GET /client/credit/referrals.
func (s *Site) showReferrals(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	var v referralsView
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		var err error
		if v.Account, err = acting(c, tx); err != nil {
			return err
		}
		if err := v.Account.Must(account.InvoicesSee); err != nil {
			return err
		}
		p, err := referral.Of(c.UserContext(), tx)
		if err != nil {
			return err
		}
		v.program(p, t.Currency)
		found, err := referral.By(c.UserContext(), tx, v.Account.AccountID)
		v.list(found)
		return err
	})
	if err != nil {
		return err
	}
	v.Link = surface.BaseURL(c) + "/r/" + referral.Code(v.Account.AccountID)
	return surface.Render(c, "client", "client/referrals", "Referrals", v)
}

// program is what the account is promised, and newcomers in the shop's currency.
func (v *referralsView) program(p referral.Program, shop string) {
	own, _ := p.For(v.Account.Currency)
	new, _ := p.For(shop)
	v.On = own.Referrer > 0 || new.Newcomer > 0
	v.Gives = billing.Money{Minor: own.Referrer, Currency: v.Account.Currency}
	v.Gets, v.Least = billing.Money{Minor: new.Newcomer, Currency: shop}, billing.Money{Minor: new.Least, Currency: shop}
	v.WaitDays, v.PerYear = p.WaitDays, p.PerYear
}

func (v *referralsView) list(found []referral.Referral) {
	sums := map[string]int64{}
	for _, r := range found {
		row := referralRow{Referral: r, Status: referralStatus(r), Says: referral.Says(r.Reason)}
		if r.State == billing.ReferralJoined {
			row.Says = "Has not paid enough yet."
		}
		v.Rows = append(v.Rows, row)
		if !r.ToReferrer.IsZero() {
			if _, had := sums[r.ToReferrer.Currency]; !had {
				v.Earned = append(v.Earned, billing.Money{Currency: r.ToReferrer.Currency})
			}
			sums[r.ToReferrer.Currency] += r.ToReferrer.Minor
		}
	}
	for i, m := range v.Earned {
		v.Earned[i].Minor = sums[m.Currency]
	}
}
