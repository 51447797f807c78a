package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

const (
	gatewaysPath = "/manage/settings/payments"
	stripeCode   = "stripe"
	paypalCode   = "paypal"
	coinbaseCode = "coinbase"
)

func (s *Site) gatewayRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: gatewaysPath + path, Needs: identity.GatewaysWrite, Handler: h}
	}
	return []surface.Route{
		at("GET", "", s.showGateways),
		at("POST", "/stripe", s.saveGateway(stripeCode, []string{"publishable_key", "debits", "debit_notice", "debit_start"}, []string{"secret_key", "webhook_secret"})),
		at("POST", "/stripe/check", s.checkGateway(stripeCode)),
		at("POST", "/stripe/webhook", s.listenGateway(stripeCode, "Stripe")),
		at("POST", "/stripe/connect", s.beginConnect),
		at("GET", "/stripe/connect", s.goConnect),
		at("GET", "/stripe/connected", s.connected),
		at("POST", "/stripe/disconnect", s.disconnect),
		at("POST", "/platform", s.beginCollection),
		at("POST", "/platform/off", s.endCollection),
		at("POST", "/paypal", s.saveGateway(paypalCode, []string{"client_id", "sandbox"}, []string{"client_secret", "webhook_secret"})),
		at("POST", "/paypal/check", s.checkGateway(paypalCode)),
		at("POST", "/paypal/webhook", s.listenGateway(paypalCode, "PayPal")),
		at("POST", "/coinbase", s.saveGateway(coinbaseCode, []string{"key_id"}, []string{"key_secret", "webhook_secret"})),
		at("POST", "/coinbase/check", s.checkGateway(coinbaseCode)),
		at("POST", "/transfer", s.saveGateway(transfer.Code, []string{"holder", "iban", "bic", "bank", "note"}, nil)),
		at("POST", "/sandbox", s.saveGateway(sandbox.Code, nil, nil)),
		at("POST", "/disputes", s.saveContests),
	}
}

// gatewaysView is the page on how the shop takes money.
type gatewaysView struct {
	Stripe, PayPal, Coinbase, Transfer, Sandbox payment.Configured
	MayTest                                     bool // no money need move: a sandbox, or a trial
	Trial                                       bool
	Hook                                        string // where Stripe is to send its notifications
	PayPalHook                                  string // and PayPal
	StripeStatus                                map[string]any
	PayPalStatus                                map[string]any
	CoinbaseHook                                string
	CoinbaseStatus                              map[string]any
	DebitStarts                                 []option
	Connects                                    bool // an account can be connected in place of keys
	Platform                                    payment.Configured
	Collects                                    bool // the platform would take payments for the shop
	Collection                                  payment.CollectionTerms
	Fee                                         collectionFee
	Statement                                   string // what customers read on theirs
	Contests                                    billing.Contests
	Opened, Lost                                []option // what may be done about what is disputed
}

func (s *Site) readGateways(c *fiber.Ctx) (v gatewaysView, err error) {
	t, _ := surface.Tenant(c)
	v.MayTest, v.Trial, v.Hook = t.MayTest(), !t.Sandbox, canonical(c, "/hooks/"+stripeCode)
	v.PayPalHook, v.CoinbaseHook = canonical(c, "/hooks/"+paypalCode), canonical(c, "/hooks/"+coinbaseCode)
	v.Connects = s.Payments.Connects() && !t.Sandbox
	v.DebitStarts = []option{{"", "when the money came"}, {"at_once", "at once, while the bank is asked"}}
	if err := v.readCollection(c, s.Payments, t); err != nil {
		return v, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := payment.Configurations(c.UserContext(), tx)
		for _, g := range all {
			switch g.Code {
			case stripeCode:
				v.Stripe = g
			case paypalCode:
				v.PayPal = g
			case coinbaseCode:
				v.Coinbase = g
			case transfer.Code:
				v.Transfer = g
			case sandbox.Code:
				v.Sandbox = g
			case payment.Platform:
				v.Platform = g
			}
		}
		if err != nil {
			return err
		}
		v.Contests, err = renewal.ContestsOf(c.UserContext(), tx)
		return err
	})
	v.Opened, v.Lost = contestOptions()
	for _, g := range v.all() {
		if g.Public == nil {
			g.Public = map[string]string{}
		}
	}
	v.StripeStatus, v.PayPalStatus, v.CoinbaseStatus = gatewayStatus(v.Stripe), gatewayStatus(v.PayPal), gatewayStatus(v.Coinbase)
	return v, err
}

// all are the gateways by their codes.
func (v *gatewaysView) all() map[string]*payment.Configured {
	return map[string]*payment.Configured{stripeCode: &v.Stripe, paypalCode: &v.PayPal, coinbaseCode: &v.Coinbase, transfer.Code: &v.Transfer, sandbox.Code: &v.Sandbox}
}

func gatewayStatus(g payment.Configured) map[string]any {
	var m map[string]any
	switch c := g.Connected; {
	case c.Account != "" && !c.Charges:
		return office.Status("warn", "Connected, not finished at Stripe")
	case c.Account != "" && !g.On:
		return office.Status("idle", "Connected, switched off")
	case c.Account != "":
		return office.Status("good", "Connected")
	case !g.HasSecrets:
		return office.Status("idle", "Not set up")
	case g.CheckError != "":
		m = office.Status("bad", "Does not work")
	case g.CheckedAt.IsZero():
		return office.Status("warn", "Not tested yet")
	case !g.On:
		return office.Status("idle", "Works, switched off")
	default:
		m = office.Status("good", "Works")
	}
	m["Since"] = g.CheckedAt
	return m
}

// showGateways handles GET /manage/settings/payments.
func (s *Site) showGateways(c *fiber.Ctx) error {
	v, err := s.readGateways(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/gateways", "Payments", v)
}

// saveGateway handles the form of one gateway. Fields are named <gateway>_<field>; a
// secret that is left empty stays.
func (s *Site) saveGateway(code string, public, secret []string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		ch := payment.Change{Code: code, On: c.FormValue(code+"_on") == "on", Public: map[string]string{}, Secret: map[string]string{}}
		for _, name := range public {
			ch.Public[name] = table.Text(strings.TrimSpace(c.FormValue(code+"_"+name)), 300)
		}
		for _, name := range secret {
			if v := strings.TrimSpace(c.FormValue(code + "_" + name)); v != "" {
				ch.Secret[name] = v
			}
		}
		err := checkTyped(ch)
		if err == nil {
			err = s.Payments.SaveGateway(c.UserContext(), surface.DB(c), ch, office.By(c))
		}
		if err == nil {
			return surface.Redirect(c, gatewaysPath, "Saved.")
		}
		v, rerr := s.readGateways(c)
		if rerr != nil {
			return rerr
		}
		g := v.all()[code]
		g.Public, g.On = ch.Public, ch.On
		return surface.FormError(c, err, "manage", "manage/gateways", "Payments", v)
	}
}

// checkTyped says at the field what cannot be.
func checkTyped(ch payment.Change) error {
	wrong := map[string]string{}
	looks := func(field, value, says string, prefixes ...string) {
		for _, p := range prefixes {
			if value == "" || strings.HasPrefix(value, p) && len(value) <= 255 && strings.Trim(value[len(p):], keyLetters) == "" {
				return
			}
		}
		wrong[field] = says
	}
	switch ch.Code {
	case stripeCode:
		if s := ch.Public["debit_start"]; s != "" && s != "at_once" {
			wrong["stripe_debit_start"] = "Choose one of the two."
		}
		looks("stripe_publishable_key", ch.Public["publishable_key"], "A publishable key begins with pk_live_ or pk_test_.", "pk_")
		looks("stripe_secret_key", ch.Secret["secret_key"], "A secret key begins with sk_ or rk_.", "sk_", "rk_")
		looks("stripe_webhook_secret", ch.Secret["webhook_secret"], "A signing secret begins with whsec_.", "whsec_")
		if n, err := strconv.Atoi(ch.Public["debit_notice"]); ch.Public["debit_notice"] != "" && (err != nil || n < 1 || n > 14) {
			wrong["stripe_debit_notice"] = "Give a number of days from 1 to 14."
		}
	case paypalCode:
		looks("paypal_client_id", ch.Public["client_id"], "A client ID is about 80 letters and digits. Copy it from PayPal's developer pages.", "")
		looks("paypal_client_secret", ch.Secret["client_secret"], "A client secret is about 80 letters and digits. Copy it from PayPal's developer pages.", "")
		looks("paypal_webhook_secret", ch.Secret["webhook_secret"], "A webhook ID is 17 letters and digits.", "")
	case transfer.Code:
		if iban := ch.Public["iban"]; iban != "" && !billing.IsIBAN(iban) {
			wrong["transfer_iban"] = "This is not a valid IBAN. Please look at it again."
		}
	}
	return fault.Fields("gateway.invalid", wrong)
}

const keyLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// checkGateway handles POST /manage/settings/payments/<gateway>/check.
func (s *Site) checkGateway(code string) fiber.Handler {
	return func(c *fiber.Ctx) error { return s.check(c, code) }
}

func (s *Site) check(c *fiber.Ctx, code string) error {
	h, err := s.Payments.CheckGateway(c.UserContext(), surface.DB(c), code)
	if err != nil {
		return office.Refused(c, err, gatewaysPath)
	}
	kind := "test payments"
	if h.Live {
		kind = "live payments"
	}
	flash := surface.Flash{Kind: "good", Text: "It works: " + h.Account + ", for " + kind + "."}
	if len(h.Notes) > 0 {
		flash = surface.Flash{Kind: "warning", Text: h.Account + ", for " + kind + ". " + strings.Join(h.Notes, " ")}
	}
	return surface.RedirectFlash(c, gatewaysPath, flash)
}

// listenGateway handles POST /manage/settings/payments/<gateway>/webhook.
func (s *Site) listenGateway(code, name string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if err := s.Payments.ListenTo(c.UserContext(), surface.DB(c), code, canonical(c, "/hooks/"+code), office.By(c)); err != nil {
			return office.Refused(c, err, gatewaysPath)
		}
		return surface.Redirect(c, gatewaysPath, name+" tells this shop from now on what becomes of its payments.")
	}
}
