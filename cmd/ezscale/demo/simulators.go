package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
	"github.com/ezscale/ezscale/billing/gateway/paypallab"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	vflab "github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenant/taxid/vieslab"
)

// PlatformToken is what the simulated VirtFusion lets in.
const PlatformToken = "demo-virtfusion-token"

// Install is how long the platform takes to install a server.
func (l *Lab) Install() time.Duration { return l.options.Install }

// startVirtFusion starts the simulator of the platform that delivers servers. It keeps
// its servers over restarts.
func (l *Lab) startVirtFusion(ctx context.Context) error {
	l.Servers = vflab.New(vflab.Options{
		Clock: l.options.Clock, InstallDelay: l.options.Install, TaskDelay: min(3*time.Second, l.options.Install), File: filepath.Join(l.options.Dir, "virtfusion.json"),
	})
	l.Servers.AddToken(PlatformToken)
	return l.listen(ctx, l.options.VirtFusion, l.Servers.Handler())
}

// StripeKeys are a business's keys at the simulated Stripe.
func StripeKeys(slug string) (secret, publishable string) {
	return "sk_test_" + slug, "pk_test_" + slug
}

// startStripe starts the simulator of the gateway that takes cards, with an account for
// each business and one for the platform. It forgets everything when it ends.
func (l *Lab) startStripe(ctx context.Context) error {
	l.Cards = stripelab.New(stripelab.Options{Clock: l.options.Clock, Client: localClient()})
	for _, slug := range []string{"ezscale", "nimbus", "pixelforge", "platform"} {
		l.Cards.AddAccount(StripeKeys(slug))
	}
	return l.listen(ctx, l.options.Stripe, l.Cards.Handler())
}

// PayPalKeys are a business's keys at the simulated PayPal.
func PayPalKeys(slug string) (clientID, secret string) {
	return "demo-client-of-" + slug, "demo-secret-of-" + slug
}

// startPayPal starts the simulator of PayPal, with an account for each business. It
// forgets everything when it ends.
func (l *Lab) startPayPal(ctx context.Context) error {
	l.PayPal = paypallab.New(paypallab.Options{Clock: l.options.Clock, Client: localClient()})
	for _, slug := range []string{"ezscale", "nimbus", "pixelforge"} {
		l.PayPal.AddAccount(PayPalKeys(slug))
	}
	return l.listen(ctx, l.options.PayPal, l.PayPal.Handler())
}

// PayPalURL is where the simulated PayPal is.
func (l *Lab) PayPalURL() string { return fmt.Sprintf("http://localhost:%d", l.options.PayPal.Number) }

// takesDollars is the shop whose customers may pay in digital dollars.
const takesDollars = "nimbus"

// CoinbaseKeyID and coinbaseHook are that shop's key at the simulated Coinbase, whose
// secret the simulator makes, and what notifications are signed with.
const (
	CoinbaseKeyID = "demo-key-of-" + takesDollars
	coinbaseHook  = "demo-hook-of-" + takesDollars
)

// startCoinbase starts the simulator of Coinbase Business, with an account for one shop,
// which is told what becomes of its payments. It forgets everything when it ends.
func (l *Lab) startCoinbase(ctx context.Context) error {
	l.Dollars = coinbaselab.New(coinbaselab.Options{Clock: l.options.Clock, Client: localClient()})
	l.Dollars.AddAccount(CoinbaseKeyID)
	l.Dollars.Subscribe(CoinbaseKeyID, fmt.Sprintf("http://%s.localhost:%d/hooks/coinbase", takesDollars, l.options.HTTP.Number), coinbaseHook)
	return l.listen(ctx, l.options.Coinbase, l.Dollars.Handler())
}

// CoinbaseURL is where the simulated Coinbase is.
func (l *Lab) CoinbaseURL() string {
	return fmt.Sprintf("http://localhost:%d", l.options.Coinbase.Number)
}

// startVIES starts the simulator of the EU's register of VAT numbers. It knows every
// number that does not end in 000.
func (l *Lab) startVIES(ctx context.Context) error {
	register := &vieslab.Lab{Others: func(number string) (vieslab.Entry, bool) {
		return vieslab.Entry{Name: "Business " + number, Address: "1 Register Street"}, !strings.HasSuffix(number, "000")
	}}
	return l.listen(ctx, l.options.VIES, register)
}

// VIESURL is where the simulated register is.
func (l *Lab) VIESURL() string { return fmt.Sprintf("http://localhost:%d", l.options.VIES.Number) }

// StripeURL is where the simulated gateway is.
func (l *Lab) StripeURL() string { return fmt.Sprintf("http://localhost:%d", l.options.Stripe.Number) }

// VirtFusionURL is where the simulated platform is.
func (l *Lab) VirtFusionURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d", l.options.VirtFusion.Number)
}
